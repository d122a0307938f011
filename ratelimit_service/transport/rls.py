"""ShouldRateLimit, whatever wire it comes over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from ratelimit_service.core.headers import HeaderNames, limit_headers
from ratelimit_service.core.judge import Decision
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.errors import InvalidRequestError, ServiceError
from ratelimit_service.limiter import Limiter
from ratelimit_service.pb import rls_pb2
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.codec import decode_request, encode_decision
from ratelimit_service.transport.dynamic_metadata import encode_dynamic_metadata

RATE_LIMIT_NAME: Final = rls_pb2.DESCRIPTOR.services_by_name["RateLimitService"].full_name

Parse: TypeAlias = Callable[[bytes], rls_pb2.RateLimitRequest]
"""Reads a message off a wire, or raises InvalidRequestError."""


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
        self, body: bytes, parse: Parse, timeout_s: float | None
    ) -> rls_pb2.RateLimitResponse:
        """Decide a call; ``timeout_s`` is what is left of its deadline, in seconds.

        Raises a ServiceError and nothing else; it has been counted.
        """
        with self._calls.call(timeout_s) as call:
            message = parse(body)
            call.domain = message.domain
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


def parse_message(body: bytes) -> rls_pb2.RateLimitRequest:
    """Read a request as gRPC carries it. Raises InvalidRequestError."""
    try:
        return rls_pb2.RateLimitRequest.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError("the bytes are no RateLimitRequest") from error


def add_rate_limit_service(server: grpc.aio.Server, endpoint: RateLimitEndpoint) -> None:
    """Let a server answer for envoy.service.ratelimit.v3.RateLimitService.

    It takes bytes: what the library cannot parse it answers with UNKNOWN and a traceback.
    """

    async def should_rate_limit(
        body: bytes, context: grpc.aio.ServicerContext[bytes, rls_pb2.RateLimitResponse]
    ) -> rls_pb2.RateLimitResponse:
        try:
            return await endpoint.answer(body, parse_message, context.time_remaining())
        except ServiceError as error:
            return await context.abort(grpc.StatusCode[error.code.grpc_name], str(error))

    method: grpc.RpcMethodHandler[bytes, rls_pb2.RateLimitResponse]
    method = grpc.unary_unary_rpc_method_handler(
        should_rate_limit, response_serializer=rls_pb2.RateLimitResponse.SerializeToString
    )
    methods = {"ShouldRateLimit": method}
    handler = grpc.method_handlers_generic_handler(RATE_LIMIT_NAME, methods)
    server.add_generic_rpc_handlers((handler,))
    # Found by its name at once, not by asking every handler; generated code does the same.
    server.add_registered_method_handlers(RATE_LIMIT_NAME, methods)
