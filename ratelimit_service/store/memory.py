"""Counters in this process: for one replica, for tests and for trying things out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from heapq import heappop, heappush, heapreplace
from typing import Final

from ratelimit_service.core.algorithms import WindowState, add_hits, current_window
from ratelimit_service.core.counting import select_counted
from ratelimit_service.core.judge import Outcome
from ratelimit_service.core.plan import Charge, Counter, Counting

GRACE_US: Final = 10_000_000
"""How long a counter is kept after its window, in case the clock steps back."""

_FORGOTTEN_PER_CHARGE: Final = 2
"""More than a charge can add, so that memory shrinks, and few, so that midnight is no spike."""


def wall_clock_us() -> int:
    """Return this host's time in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


class MemoryStore:
    """The counters of one process, in a dictionary. They end with the process."""

    def __init__(self, now_us: Callable[[], int] = wall_clock_us) -> None:
        self._now_us = now_us
        self._states: dict[Counter, WindowState] = {}
        # One entry for each counter: when to look whether it can be forgotten.
        self._due: list[tuple[int, int, Counter]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """Return how many counters are kept."""
        return len(self._states)

    async def charge(
        self,
        charges: Sequence[Charge],
        counting: Counting,
        timeout_s: float,  # noqa: ARG002  (nothing here waits)
    ) -> Sequence[Outcome]:
        """Charge the counters of one request; see Store.charge. Never fails."""
        now_us = self._now_us()
        self._forget(now_us, _FORGOTTEN_PER_CHARGE * len(charges))
        if counting is Counting.EVERY:
            return [self._charge_one(charge, charge.amount, now_us) for charge in charges]
        held = {charge.counter: self._charge_one(charge, 0, now_us).counted for charge in charges}
        selected = select_counted(charges, held, counting)
        return [
            self._charge_one(charge, charge.amount if counts else 0, now_us)
            for charge, counts in zip(charges, selected, strict=True)
        ]

    async def ping(self) -> None:
        """Return at once."""

    async def close(self) -> None:
        """Forget every counter."""
        self._states.clear()
        self._due.clear()

    def _charge_one(self, charge: Charge, amount: int, now_us: int) -> Outcome:
        counter = charge.counter
        kept = self._states.get(counter)
        state = current_window(kept, counter.window_us, now_us)
        if amount:
            state = add_hits(state, amount)
            self._states[counter] = state
            if kept is None:
                heappush(self._due, (_forget_at_us(counter, state), next(self._order), counter))
        return Outcome(state.counted, state.reset_in_us(counter.window_us, now_us))

    def _forget(self, now_us: int, at_most: int) -> None:
        """Drop counters whose windows are over; look again later at those that went on."""
        due = self._due
        for _ in range(at_most):
            if not due or due[0][0] > now_us:
                return
            _, order, counter = due[0]
            forget_at_us = _forget_at_us(counter, self._states[counter])
            if forget_at_us > now_us:
                heapreplace(due, (forget_at_us, order, counter))
            else:
                heappop(due)
                del self._states[counter]


def _forget_at_us(counter: Counter, state: WindowState) -> int:
    return state.started_at_us + counter.window_us + GRACE_US
