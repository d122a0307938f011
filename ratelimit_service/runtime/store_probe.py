"""Asks the store, again and again, whether it can decide (F31)."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.health import STORE, Health
from ratelimit_service.store.base import Store

INTERVAL_S: Final = 1.0

_log = structlog.get_logger(__name__)


class StoreProbe:
    """Tells the health what the store says, and the log when that changes."""

    def __init__(self, store: Store, health: Health, timeout_s: float) -> None:
        self._store = store
        self._health = health
        self._timeout_s = timeout_s
        self._problem: str | None = "not asked yet"

    async def run(self) -> None:
        """Probe each second until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(INTERVAL_S)

    async def probe(self) -> None:
        """Ask once, for ``timeout_s`` seconds at most."""
        problem = await self._ask()
        if problem is None:
            self._health.working(STORE)
        else:
            self._health.failing(STORE, problem)
        if problem != self._problem:
            self._problem = problem
            self._report(problem)

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._store.ping()
        except StoreUnavailableError as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        return None

    @staticmethod
    def _report(problem: str | None) -> None:
        if problem is None:
            _log.info("the store answers")
        else:
            _log.warning("the store does not answer; trying again", reason=problem)
