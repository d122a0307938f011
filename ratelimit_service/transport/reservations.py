"""ratelimit.v1.DecisionService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from ratelimit_service.errors import InvalidRequestError, ServiceError
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.reserver import Caller, Reserver
from ratelimit_service.transport.callers import caller_of
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.reservation_answers import (
    encode_admission,
    encode_extension,
    encode_settlement,
    encode_usage,
)
from ratelimit_service.transport.reservation_requests import (
    decode_extension,
    decode_looking,
    decode_reserving,
    decode_settling,
)

DECISION_NAME: Final = pb.DESCRIPTOR.services_by_name["DecisionService"].full_name

_Request = TypeVar("_Request", bound=Message)

# The library has no type for handlers of different messages, and only its stubs have parameters.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def decision_handler(reserver: Reserver, calls: Calls) -> grpc.GenericRpcHandler:
    """Return the service. Its calls answer in time, or end with a status and a text.

    It takes bytes: what the library cannot parse it answers with UNKNOWN and a traceback.
    """
    endpoint = DecisionEndpoint(reserver)
    methods: dict[str, _Handler] = {
        "CheckAndIncrementByN": _method(
            pb.CheckAndIncrementByNRequest, endpoint.check_and_increment, calls
        ),
        "Reconcile": _method(pb.ReconcileRequest, endpoint.reconcile, calls),
        "Extend": _method(pb.ExtendRequest, endpoint.extend, calls),
        "GetUsage": _method(pb.GetUsageRequest, endpoint.get_usage, calls),
    }
    return grpc.method_handlers_generic_handler(DECISION_NAME, methods)


class DecisionEndpoint:
    """Answers messages; each method raises what the reserver's of the same name raises."""

    def __init__(self, reserver: Reserver) -> None:
        self._reserver = reserver

    async def check_and_increment(
        self, request: pb.CheckAndIncrementByNRequest, caller: Caller
    ) -> pb.CheckAndIncrementByNResponse:
        """Reserve over every limit of every descriptor, all or nothing."""
        reserving = decode_reserving(request)
        return encode_admission(await self._reserver.check_and_increment(reserving, caller))

    async def reconcile(self, request: pb.ReconcileRequest, caller: Caller) -> pb.ReconcileResponse:
        """Settle a reservation to what was really used."""
        settling = decode_settling(request)
        return encode_settlement(await self._reserver.reconcile(settling, caller))

    async def extend(self, request: pb.ExtendRequest, caller: Caller) -> pb.ExtendResponse:
        """Keep a reservation alive, and reserve more for it."""
        extending = decode_extension(request)
        return encode_extension(await self._reserver.extend(extending, caller))

    async def get_usage(self, request: pb.GetUsageRequest, caller: Caller) -> pb.GetUsageResponse:
        """Tell what is used and held."""
        return encode_usage(await self._reserver.get_usage(decode_looking(request), caller))


def _method(
    kind: type[_Request], answer: Callable[[_Request, Caller], Awaitable[Message]], calls: Calls
) -> _Handler:
    async def handle(body: bytes, context: grpc.aio.ServicerContext[bytes, Message]) -> Message:
        timeout_s = context.time_remaining()
        caller = Caller(caller_of(context.auth_context()), timeout_s)
        try:
            with calls.call(timeout_s) as call:
                request = _parse(kind, body)
                call.domain = getattr(request, "domain", "")
                return await answer(request, caller)
        except ServiceError as error:
            return await context.abort(grpc.StatusCode[error.code.grpc_name], str(error))

    return grpc.unary_unary_rpc_method_handler(
        handle, response_serializer=lambda message: message.SerializeToString()
    )


def _parse(kind: type[_Request], body: bytes) -> _Request:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError(f"the bytes are no {kind.DESCRIPTOR.name}") from error
