"""ShouldRateLimit as JSON over HTTP, as the reference has it under ``/json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from google.protobuf import json_format

from ratelimit_service.errors import InvalidRequestError, ServiceError
from ratelimit_service.pb import rls_pb2
from ratelimit_service.transport.rls import RateLimitEndpoint

MAX_DEPTH: Final = 20
MAX_REASON_LENGTH: Final = 300
"""The library repeats what it could not read, however long that was."""


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """An HTTP status and a JSON document."""

    status: int
    body: bytes


class JsonRateLimit:
    """Answers a RateLimitRequest in protobuf's JSON mapping with a RateLimitResponse in it."""

    def __init__(self, endpoint: RateLimitEndpoint) -> None:
        self._endpoint = endpoint

    async def decide_json(self, body: bytes, timeout_s: float | None = None) -> JsonAnswer:
        """Answer 200 for OK and 429 for OVER_LIMIT.

        What cannot be read or decided is answered with the status of its error, and an
        object of ``code`` and ``message``. Raises nothing.
        """
        try:
            response = await self._endpoint.answer(body, parse_json, timeout_s)
        except ServiceError as error:
            document = {"code": error.code.grpc_name, "message": str(error)}
            return JsonAnswer(error.code.http_status, json.dumps(document).encode())
        over = response.overall_code == rls_pb2.RateLimitResponse.OVER_LIMIT
        status = HTTPStatus.TOO_MANY_REQUESTS if over else HTTPStatus.OK
        return JsonAnswer(status, json_format.MessageToJson(response, indent=None).encode())


def parse_json(body: bytes) -> rls_pb2.RateLimitRequest:
    """Read a request in protobuf's JSON mapping. Raises InvalidRequestError."""
    message = rls_pb2.RateLimitRequest()
    try:
        return json_format.Parse(body.decode(), message, max_recursion_depth=MAX_DEPTH)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        reason = str(error)[:MAX_REASON_LENGTH]
        raise InvalidRequestError(f"the body is no RateLimitRequest in JSON: {reason}") from error
