"""ShouldRateLimit, whatever wire it comes over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import grpc
import structlog

from ratelimit_service.core.headers import HeaderNames, limit_headers
from ratelimit_service.core.judge import Decision
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.errors import (
    DeadlineExceededError,
    InternalError,
    OverloadedError,
    ServiceError,
)
from ratelimit_service.limiter import Limiter
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from ratelimit_service.telemetry.recorder import Recorder
from ratelimit_service.transport.codec import decode_request, encode_decision
from ratelimit_service.transport.dynamic_metadata import encode_dynamic_metadata

DEFAULT_MAX_UNDER_WAY: Final = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What goes into answers beside the decision, and how many are worked on at a time.

    Limit headers are added where ``header_names`` are given. A call that comes while
    ``max_under_way`` others are under way is refused at once.
    """

    header_names: HeaderNames | None = None
    dynamic_metadata: bool = False
    max_under_way: int = DEFAULT_MAX_UNDER_WAY


class RateLimitEndpoint:
    """Answers ShouldRateLimit messages; an error of one call never touches another."""

    def __init__(self, limiter: Limiter, recorder: Recorder, options: AnswerOptions) -> None:
        self._limiter = limiter
        self._recorder = recorder
        self._options = options
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Return once no call is under way."""
        await self._idle.wait()

    async def answer(
        self, message: rls_pb2.RateLimitRequest, timeout_s: float | None
    ) -> rls_pb2.RateLimitResponse:
        """Decide a call; ``timeout_s`` is what is left of its deadline, in seconds.

        Raises a ServiceError and nothing else; it has been counted.
        """
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._decide(message, timeout_s)
        except ServiceError as error:
            self._recorder.failed(message.domain, error.code.grpc_name)
            raise
        except Exception as error:
            _log.exception("a call failed because of a defect")
            self._recorder.failed(message.domain, InternalError.code.grpc_name)
            raise InternalError("internal error") from error
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _decide(
        self, message: rls_pb2.RateLimitRequest, timeout_s: float | None
    ) -> rls_pb2.RateLimitResponse:
        if self._under_way > self._options.max_under_way:
            raise OverloadedError("too many calls under way")
        if timeout_s is not None and timeout_s <= 0:
            raise DeadlineExceededError("the deadline was over when the call arrived")
        request = decode_request(message)
        decision = await self._limiter.should_rate_limit(request, timeout_s)
        return self._encode(request, decision)

    def _encode(self, request: RateLimitRequest, decision: Decision) -> rls_pb2.RateLimitResponse:
        names = self._options.header_names
        headers = () if names is None else limit_headers(decision, names)
        message = encode_decision(decision, headers)
        if self._options.dynamic_metadata:
            message.dynamic_metadata.CopyFrom(encode_dynamic_metadata(request, decision))
        return message


class RateLimitServicer(rls_pb2_grpc.RateLimitServiceServicer):
    """envoy.service.ratelimit.v3.RateLimitService over gRPC."""

    def __init__(self, endpoint: RateLimitEndpoint) -> None:
        self._endpoint = endpoint

    async def ShouldRateLimit(  # noqa: N802 - the method's name on the wire
        self,
        request: rls_pb2.RateLimitRequest,
        context: grpc.aio.ServicerContext[rls_pb2.RateLimitRequest, rls_pb2.RateLimitResponse],
    ) -> rls_pb2.RateLimitResponse:
        """Answer within the caller's deadline, or end the call with a status and a text."""
        try:
            return await self._endpoint.answer(request, context.time_remaining())
        except ServiceError as error:
            return await context.abort(grpc.StatusCode[error.code.grpc_name], str(error))
