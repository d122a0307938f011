"""A caller's trace goes on in ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from ratelimit_service.telemetry.tracing import Tracing

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class TraceContext(grpc.aio.ServerInterceptor):
    """Makes what a call's metadata names the parent of the spans of that call."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails],
            Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None],
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        """Continue the trace; the handler runs in the same task, and so finds it."""
        self._tracing.continue_from(handler_call_details.invocation_metadata)
        return await continuation(handler_call_details)
