"""Counters in this process: for one replica, for tests and for trying things out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.messages import Count, CountLine, Verdict
from ratelimit_service.core.outcomes import Outcome, outcome_of
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.core.slot import Slot
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import OutdatedPlanError
from ratelimit_service.store.keys import KeyEncoder


def wall_clock_us() -> int:
    """Return this host's time in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


class MemoryStore:
    """What one process counts and remembers, in one slot. It ends with the process."""

    enforces_slots = False

    def __init__(self, now_us: Callable[[], int] = wall_clock_us) -> None:
        self._now_us = now_us
        self._slot = Slot()
        self._key = KeyEncoder().key

    def __len__(self) -> int:
        """Return how many counters and records are kept."""
        return len(self._slot)

    async def charge(
        self,
        charges: Sequence[Charge],
        counting: Counting,
        timeout_s: float,  # noqa: ARG002  (nothing here waits)
    ) -> Sequence[Outcome]:
        """Charge the counters of one request; see Store.charge. Waits for nothing."""
        key = self._key
        lines = [CountLine(key(c.counter), c.cap, c.amount, c.terms) for c in charges]
        reply = self._slot.handle(Count(tuple(lines), counting), self._now_us())
        if reply.verdict is Verdict.NEED_BOUNDARIES:
            raise OutdatedPlanError(reply.now_us)
        return [
            outcome_of(charge, view, reply.now_us)
            for charge, view in zip(charges, reply.views, strict=True)
        ]

    def key(self, counter: Counter) -> str:
        """Return the key of a counter."""
        return self._key(counter)

    def slot(self, key: str) -> str:  # noqa: ARG002  # there is one
        """Name the one slot."""
        return ""

    async def deliver(
        self,
        sent: Sequence[Sent],
        timeout_s: float,  # noqa: ARG002  (nothing here waits)
    ) -> Sequence[Reply]:
        """Do messages in turn; see Store.deliver. Never fails."""
        now_us = self._now_us()
        return [self._slot.handle(item.message, now_us) for item in sent]

    async def ping(self) -> None:
        """Return at once."""

    async def close(self) -> None:
        """Forget everything."""
        self._slot = Slot()
