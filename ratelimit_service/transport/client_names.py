"""Only callers whose certificate carries one of the allowed names: GRPC_CLIENT_TLS_SAN."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar, cast

import grpc

_NAMES: Final = "x509_subject_alternative_name"

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

_Behaviour: TypeAlias = Callable[
    [_Request, grpc.aio.ServicerContext[_Request, _Response]], Awaitable[_Response]
]


class ClientNames(grpc.aio.ServerInterceptor):
    """Ends unary calls on connections whose certificate has no allowed alternative name.

    Streams pass: they are those of health checks and of reflection, and decide nothing.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(name.encode() for name in allowed)

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails],
            Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None],
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        """Put the check before the handler of a unary call."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self._checked(cast("_Behaviour[_Request, _Response]", handler.unary_unary)),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _checked(
        self, behaviour: _Behaviour[_Request, _Response]
    ) -> _Behaviour[_Request, _Response]:
        async def checked(
            request: _Request, context: grpc.aio.ServicerContext[_Request, _Response]
        ) -> _Response:
            if self._allowed.isdisjoint(context.auth_context().get(_NAMES, ())):
                await context.abort(
                    grpc.StatusCode.UNAUTHENTICATED,
                    "the client certificate has none of the allowed alternative names",
                )
            return await behaviour(request, context)

        return checked
