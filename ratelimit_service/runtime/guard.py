"""The net under every call: a defect ends the call that met it, and nothing else."""

from __future__ import annotations

import structlog

from ratelimit_service.errors import InternalError, ServiceError
from ratelimit_service.pb import rls_pb2
from ratelimit_service.telemetry.recorder import Recorder
from ratelimit_service.transport.rls import Endpoint, Parse

_log = structlog.get_logger(__name__)


class Guard:
    """An endpoint whose defects are logged, counted and answered as InternalError."""

    def __init__(self, endpoint: Endpoint, recorder: Recorder) -> None:
        self._endpoint = endpoint
        self._recorder = recorder

    async def idle(self) -> None:
        """Return once no call is under way."""
        await self._endpoint.idle()

    async def answer(
        self, body: bytes, parse: Parse, timeout_s: float | None
    ) -> rls_pb2.RateLimitResponse:
        """Decide a call as the endpoint does. Raises a ServiceError and nothing else."""
        try:
            return await self._endpoint.answer(body, parse, timeout_s)
        except ServiceError:
            raise
        except Exception as error:
            _log.exception("a call failed because of a defect")
            # Whatever the defect is, the domain may be what it is about.
            self._recorder.failed("", InternalError.code.grpc_name)
            raise InternalError("internal error") from error
