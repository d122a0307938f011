"""Background tasks that nobody awaits, and that must not end unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import structlog

from ratelimit_service.health import Health

PAUSE_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Supervisor:
    """Runs tasks for the time of an ``async with``.

    One that ends or fails is logged, turns the health bad, and is started again after
    ``pause_s`` seconds (F58). Health is good again once it ran for as long as that.
    """

    def __init__(self, health: Health, pause_s: float = PAUSE_S) -> None:
        self._health = health
        self._pause_s = pause_s
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work``, which should go on for ever, under a name for logs and health."""
        self._tasks.add(asyncio.create_task(self._keep(name, work), name=name))

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        await self._until_it_ends(name, work)
        while True:
            await asyncio.sleep(self._pause_s)
            recovery = loop.call_later(self._pause_s, self._health.working, name)
            try:
                await self._until_it_ends(name, work)
            finally:
                recovery.cancel()

    async def _until_it_ends(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it was, the task starts again
            _log.exception("background task failed", task=name)
            self._health.failing(name, f"failed: {type(error).__name__}")
        else:
            _log.error("background task ended", task=name)
            self._health.failing(name, "ended")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
