"""Refusals remembered for a moment, so that a hammered counter does not cost a store call."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.core.terms import Counting
from ratelimit_service.store.base import Store

LIFETIME_US: Final = 200_000
"""No refusal is repeated for longer, so that a refund elsewhere is soon seen."""

_ENTRY_BYTES: Final = 500
_STEP_BYTES: Final = 100


def monotonic_us() -> int:
    """Return a time in microseconds that never goes back and means nothing elsewhere."""
    return time.monotonic_ns() // 1_000


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What a counter held above a limit; the times are those of the cache's clock."""

    counted: int
    resets_at_us: int
    ends_at_us: int
    size_bytes: int


class NearCache:
    """A store that answers from memory while a counter is known to be above its limit.

    A charge that is answered so is not counted; looks and refunds always go to the store,
    and a refund ends what is remembered. As a request of ONLY_OVER must be seen whole, it
    goes to the store unless all of it is remembered.
    """

    def __init__(
        self, store: Store, max_bytes: int, now_us: Callable[[], int] = monotonic_us
    ) -> None:
        """Keep about ``max_bytes`` at most; the oldest refusals give way to new ones.

        ``now_us`` is a monotonic clock in microseconds.
        """
        self._store = store
        self._max_bytes = max_bytes
        self._now_us = now_us
        self._refusals: OrderedDict[Counter, _Refusal] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """About how much memory is used now."""
        return self._size_bytes

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        """Charge the counters of one request; see Store.charge."""
        if counting is Counting.STRICT:  # decided as a whole, by all that it charges
            return await self._store.charge(charges, counting, timeout_s)
        asked_at_us = self._now_us()
        known = [self._recall(charge, asked_at_us) for charge in charges]
        if counting is Counting.ONLY_OVER and None in known:
            known = [None] * len(charges)
        unknown = [charge for charge, hit in zip(charges, known, strict=True) if hit is None]
        if not unknown:
            return [hit for hit in known if hit is not None]
        outcomes = await self._store.charge(unknown, counting, timeout_s)
        for charge, outcome in zip(unknown, outcomes, strict=True):
            self._learn(charge, outcome, asked_at_us)
        answers = iter(outcomes)
        return [next(answers) if hit is None else hit for hit in known]

    @property
    def enforces_slots(self) -> bool:
        """As the store behind."""
        return self._store.enforces_slots

    def key(self, counter: Counter) -> str:
        """Return the key of a counter in the store behind."""
        return self._store.key(counter)

    def slot(self, key: str) -> str:
        """Name the slot of a key in the store behind."""
        return self._store.slot(key)

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        """Say messages to the store behind."""
        return await self._store.deliver(sent, timeout_s)

    async def ping(self) -> None:
        """Ask the store behind."""
        await self._store.ping()

    async def close(self) -> None:
        """Close the store behind."""
        await self._store.close()

    def _recall(self, charge: Charge, now_us: int) -> Outcome | None:
        if charge.amount <= 0:
            if charge.amount < 0:  # also when the store fails, since it may have run
                self._drop(charge.counter)
            return None
        refusal = self._refusals.get(charge.counter)
        if refusal is None or refusal.counted <= charge.cap.limit or refusal.ends_at_us <= now_us:
            return None
        return Outcome(refusal.counted, refusal.resets_at_us - now_us)

    def _learn(self, charge: Charge, outcome: Outcome, asked_at_us: int) -> None:
        """Remember a refusal. Its times count from the question, so that none comes late."""
        if charge.amount < 0:
            self._drop(charge.counter)
        if charge.amount <= 0 or outcome.counted <= charge.cap.limit:
            return
        if outcome.reset_in_us is None:
            return
        self._drop(charge.counter)
        resets_at_us = asked_at_us + outcome.reset_in_us
        ends_at_us = min(asked_at_us + LIFETIME_US, resets_at_us)
        size_bytes = _size_bytes(charge.counter)
        self._refusals[charge.counter] = _Refusal(
            outcome.counted, resets_at_us, ends_at_us, size_bytes
        )
        self._size_bytes += size_bytes
        self._make_room()

    def _make_room(self) -> None:
        """Let go of the oldest: those that ended, and more while there are too many."""
        now_us = self._now_us()
        while self._refusals:
            counter, refusal = next(iter(self._refusals.items()))
            if self._size_bytes <= self._max_bytes and refusal.ends_at_us > now_us:
                return
            self._drop(counter)

    def _drop(self, counter: Counter) -> None:
        refusal = self._refusals.pop(counter, None)
        if refusal is not None:
            self._size_bytes -= refusal.size_bytes


def _size_bytes(counter: Counter) -> int:
    """Estimate an entry: its texts as Python keeps them, and what stands around them."""
    texts = sum(sys.getsizeof(step.key) + sys.getsizeof(step.value) for step in counter.path)
    return _ENTRY_BYTES + _STEP_BYTES * len(counter.path) + texts
