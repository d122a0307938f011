"""ShouldRateLimit, whatever wire it comes over."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from ratelimit_service.core.headers import HeaderNames, limit_headers
from ratelimit_service.core.judge import Decision
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.errors import ServiceError
from ratelimit_service.limiter import Limiter
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.codec import decode_request, encode_decision
from ratelimit_service.transport.dynamic_metadata import encode_dynamic_metadata


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What goes into answers beside the decision.

    Limit headers are added where ``header_names`` are given.
    """

    header_names: HeaderNames | None = None
    dynamic_metadata: bool = False


class RateLimitEndpoint:
    """Answers ShouldRateLimit messages; an error of one call never touches another."""

    def __init__(self, limiter: Limiter, calls: Calls, options: AnswerOptions) -> None:
        self._limiter = limiter
        self._calls = calls
        self._options = options

    async def answer(
        self, message: rls_pb2.RateLimitRequest, timeout_s: float | None
    ) -> rls_pb2.RateLimitResponse:
        """Decide a call; ``timeout_s`` is what is left of its deadline, in seconds.

        Raises a ServiceError and nothing else; it has been counted.
        """
        with self._calls.call(timeout_s, message.domain):
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
