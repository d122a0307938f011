"""Brings to an end what coordinators left undone, where a store has several slots."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from ratelimit_service.core.protocols.answers import Swept
from ratelimit_service.core.protocols.sweep import sweep
from ratelimit_service.core.protocols.tasks import SweepTask
from ratelimit_service.errors import OverloadedError, StoreTimeoutError
from ratelimit_service.store.base import Store
from ratelimit_service.store.driver import Driver
from ratelimit_service.store.homes import HOMES, home_of
from ratelimit_service.telemetry.recorder import Recorder

ROUND_S: Final = 15.0
"""How long it takes to look at every home once."""

_LONGEST_S: Final = 30.0
"""No home keeps the others waiting for longer."""


class Sweeper:
    """Looks at one home after the other, for ever. Every replica does, each at its own."""

    def __init__(self, store: Store, driver: Driver, recorder: Recorder) -> None:
        self._store = store
        self._driver = driver
        self._recorder = recorder

    async def run(self) -> None:
        """Sweep until cancelled. Where slots are not enforced there is nothing to do."""
        number = random.randrange(HOMES)  # noqa: S311  # only spreads replicas over the homes
        while True:
            await asyncio.sleep(ROUND_S / HOMES)
            if self._store.enforces_slots:
                number = (number + 1) % HOMES
                await self.sweep(number)

    async def sweep(self, number: int) -> Swept | None:
        """Sweep one home; None where the store does not answer, which others report."""
        home = home_of(number)
        deadline = asyncio.get_running_loop().time() + _LONGEST_S
        protocol = sweep(SweepTask(home.slot, home.due_list))
        try:
            result = await self._driver.run(protocol, deadline)
        except (StoreTimeoutError, OverloadedError):
            return None
        if not isinstance(result, Swept):
            return None
        if result.found:
            self._recorder.swept(result.found, result.ended)
        return result
