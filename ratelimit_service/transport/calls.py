"""The calls under way: how many there may be, when they are over, and what their errors are."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import structlog

from ratelimit_service.errors import (
    DeadlineExceededError,
    InternalError,
    OverloadedError,
    ServiceError,
)
from ratelimit_service.telemetry.recorder import Recorder

DEFAULT_MAX_UNDER_WAY: Final = 10_000

_log = structlog.get_logger(__name__)


class Calls:
    """Bounds and watches the calls of one server, whatever they ask for."""

    def __init__(self, recorder: Recorder, max_under_way: int = DEFAULT_MAX_UNDER_WAY) -> None:
        """Refuse a call that comes while ``max_under_way`` others are under way at once."""
        self._recorder = recorder
        self._max_under_way = max_under_way
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Return once no call is under way."""
        await self._idle.wait()

    def call(self, timeout_s: float | None, domain: str = "") -> Call:
        """Return what a call is to be answered within, with what is left of its deadline."""
        return Call(self, timeout_s, domain)

    def begin(self, timeout_s: float | None) -> None:
        """Let a call in. Raises OverloadedError or DeadlineExceededError."""
        self._under_way += 1
        self._idle.clear()
        if self._under_way > self._max_under_way:
            raise OverloadedError("too many calls under way")
        if timeout_s is not None and timeout_s <= 0:
            raise DeadlineExceededError("the deadline was over when the call arrived")

    def end(self) -> None:
        """Let a call out."""
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    def failed(self, domain: str, error: BaseException) -> ServiceError | None:
        """Count an error. Return what the caller sees of a defect, None where the error says it."""
        if isinstance(error, ServiceError):
            self._recorder.failed(domain, error.code.grpc_name)
            return None
        if not isinstance(error, Exception):
            return None
        _log.exception("a call failed because of a defect")
        # Whatever the defect is, the domain may be what it is about.
        self._recorder.failed("", InternalError.code.grpc_name)
        return InternalError("internal error")


class Call:
    """One call, for the time of a ``with``.

    It raises a ServiceError, which has been counted, and no other Exception. ``domain`` is
    what its error is counted under, once it is known.
    """

    __slots__ = ("_calls", "_timeout_s", "domain")

    def __init__(self, calls: Calls, timeout_s: float | None, domain: str) -> None:
        self._calls = calls
        self._timeout_s = timeout_s
        self.domain = domain

    def __enter__(self) -> Self:
        try:
            self._calls.begin(self._timeout_s)
        except ServiceError as error:
            self._calls.failed(self.domain, error)
            self._calls.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._calls.end()
        if error is None:
            return
        shown = self._calls.failed(self.domain, error)
        if shown is not None:
            raise shown from error
