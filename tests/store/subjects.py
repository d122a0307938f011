"""The stores under test, each with a clock that the test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratelimit_service.core.algorithms import Cap
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.rules import Step
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.core.units import Unit
from ratelimit_service.store.base import Store
from tests.support.valkey import Standalone

TIMEOUT_S = 10.0
MINUTE_US = Unit.MINUTE.window_us
START_US = 28_333_333 * MINUTE_US
"""Where most tests begin: a minute of the year 2023, at its first microsecond."""


class Clock:
    """A time that moves when a test says so, in microseconds since the epoch."""

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


@dataclass(frozen=True, slots=True)
class Subject:
    """A store, its clock, and the servers that keep its counters (none for memory)."""

    store: Store
    clock: Clock
    servers: Sequence[Standalone] = ()

    async def charge(
        self, *charges: Charge, counting: Counting = Counting.EVERY
    ) -> Sequence[Outcome]:
        """Charge at the clock's time."""
        return await self.store.charge(charges, counting, TIMEOUT_S)

    async def counted(self, counter: Counter) -> int:
        """Return what a counter holds."""
        (outcome,) = await self.charge(charge(counter, 0))
        return outcome.counted

    def keys(self) -> Mapping[bytes, Standalone]:
        """Return every key in the servers, and where it lies."""
        return {key: server for server in self.servers for key in server.execute("KEYS", "*")}


def counter(name: str = "a", window_us: int = MINUTE_US) -> Counter:
    """Return a counter of a path of one step; those of different names lie in many slots."""
    return Counter("domain", (Step("name", name),), "", window_us)


def charge(counter: Counter, amount: int = 1, limit: int = 10) -> Charge:
    """Return a charge of a counter."""
    cap = Cap(counter.algorithm, limit, counter.window_us)
    return Charge(counter, amount, cap, Terms(amount))
