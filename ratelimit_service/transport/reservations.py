"""ratelimit.v1.DecisionService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc

from ratelimit_service.errors import ServiceError
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import decision_pb2_grpc
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

_Response = TypeVar("_Response")

# The library has no type for what all contexts have in common, whatever their messages are.
_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class DecisionServicer(decision_pb2_grpc.DecisionServiceServicer):
    """Answers within the caller's deadline, or ends a call with a status and a text.

    An error of one call never touches another.
    """

    def __init__(self, reserver: Reserver, calls: Calls) -> None:
        self._reserver = reserver
        self._calls = calls

    async def CheckAndIncrementByN(  # noqa: N802 - the method's name on the wire
        self, request: pb.CheckAndIncrementByNRequest, context: _Context
    ) -> pb.CheckAndIncrementByNResponse:
        """Reserve over every limit of every descriptor, all or nothing."""

        async def reserve(caller: Caller) -> pb.CheckAndIncrementByNResponse:
            reserving = decode_reserving(request)
            return encode_admission(await self._reserver.check_and_increment(reserving, caller))

        return await self._answer(context, request.domain, reserve)

    async def Reconcile(  # noqa: N802 - the method's name on the wire
        self, request: pb.ReconcileRequest, context: _Context
    ) -> pb.ReconcileResponse:
        """Settle a reservation to what was really used."""

        async def settle(caller: Caller) -> pb.ReconcileResponse:
            settling = decode_settling(request)
            return encode_settlement(await self._reserver.reconcile(settling, caller))

        return await self._answer(context, "", settle)

    async def Extend(  # noqa: N802 - the method's name on the wire
        self, request: pb.ExtendRequest, context: _Context
    ) -> pb.ExtendResponse:
        """Keep a reservation alive, and reserve more for it."""

        async def extend(caller: Caller) -> pb.ExtendResponse:
            extending = decode_extension(request)
            return encode_extension(await self._reserver.extend(extending, caller))

        return await self._answer(context, "", extend)

    async def GetUsage(  # noqa: N802 - the method's name on the wire
        self, request: pb.GetUsageRequest, context: _Context
    ) -> pb.GetUsageResponse:
        """Tell what is used and held."""

        async def look(caller: Caller) -> pb.GetUsageResponse:
            looking = decode_looking(request)
            return encode_usage(await self._reserver.get_usage(looking, caller))

        return await self._answer(context, request.domain, look)

    async def _answer(
        self, context: _Context, domain: str, work: Callable[[Caller], Awaitable[_Response]]
    ) -> _Response:
        timeout_s = context.time_remaining()
        try:
            with self._calls.call(timeout_s, domain):
                return await work(Caller(caller_of(context.auth_context()), timeout_s))
        except ServiceError as error:
            await context.abort(grpc.StatusCode[error.code.grpc_name], str(error))
            raise
