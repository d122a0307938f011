"""Strict calls whose counters lie in several slots, of which no script can touch all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.counting import Weighed, weigh
from ratelimit_service.core.messages import CountLine, HoldKind
from ratelimit_service.core.outcomes import Outcome, outcome_of
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.protocols.answers import Reserved, Seen, Settled
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.settlement import Report, Usage
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import StoreTimeoutError
from ratelimit_service.store.base import Store
from ratelimit_service.store.redis.link import CrossSlotError
from ratelimit_service.store.reservations import Asked, Reservations

_HELD_US: Final = 60_000_000
"""What a process that dies in between has charged comes back after this."""

_PAUSE_S: Final = 0.005


class AcrossSlots:
    """A store that charges a strict call all or not at all, wherever its counters lie.

    First it looks which charges count. Those that would have refused the call are then
    reserved, all of them, and settled at once; who came between makes it look again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reservations = Reservations(store)

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        """Charge the counters of one request; see Store.charge."""
        try:
            return await self._store.charge(charges, counting, timeout_s)
        except CrossSlotError:
            if counting is not Counting.STRICT:
                raise
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            outcomes = await self._try(charges, deadline)
            if outcomes is not None:
                return outcomes
            await asyncio.sleep(_PAUSE_S)

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
        await self._reservations.finish()
        await self._store.close()

    async def _try(self, charges: Sequence[Charge], deadline: float) -> Sequence[Outcome] | None:
        """Charge; None where what fitted a moment ago does not any more."""
        looks = [replace(charge, amount=0) for charge in charges]
        outcomes = list(await self._store.charge(looks, Counting.EVERY, _left_s(deadline)))
        weighed = self._weigh(charges, outcomes)
        outcomes = [
            replace(outcome, fits=fits)
            for outcome, fits in zip(outcomes, weighed.fits, strict=True)
        ]
        counted = [at for at, counts in enumerate(weighed.counts) if counts and charges[at].amount]
        binding = [at for at in counted if _is_binding(charges[at])]
        if binding:
            seen = await self._charge_all([charges[at] for at in binding], deadline)
            if seen is None:
                return None
            for at in binding:
                sight = seen[self.key(charges[at].counter)]
                outcomes[at] = outcome_of(charges[at], sight.view, sight.now_us)
        others = [at for at in counted if not _is_binding(charges[at])]
        if others:
            asked = [charges[at] for at in others]
            made = await self._store.charge(asked, Counting.EVERY, _left_s(deadline))
            for at, outcome in zip(others, made, strict=True):
                outcomes[at] = outcome
        return outcomes

    def _weigh(self, charges: Sequence[Charge], looked: Sequence[Outcome]) -> Weighed:
        lines = [CountLine(self.key(c.counter), c.cap, c.amount, c.terms) for c in charges]
        used = {line.key: seen.counted for line, seen in zip(lines, looked, strict=True)}
        return weigh(lines, used, Counting.STRICT)

    async def _charge_all(
        self, charges: Sequence[Charge], deadline: float
    ) -> Mapping[str, Seen] | None:
        """Charge all or none; return what was seen of each key, or None for none."""
        lines: dict[str, PlannedLine] = {}
        for charge in charges:
            key = self.key(charge.counter)
            amount = charge.amount + (lines[key].amount if key in lines else 0)
            measure = charge.counter.measure
            lines[key] = PlannedLine(
                "", key, charge.cap, measure, HoldKind.RELEASE, amount, minimum=amount
            )
        asked = Asked("", "", "", lambda _: tuple(lines.values()), _HELD_US)
        answered = await self._reservations.reserve(asked, _left_s(deadline))
        if not isinstance(answered.result, Reserved):
            return None
        settled = await self._reservations.reconcile(
            answered.reservation_id, "", Usage(Report.UNKNOWN), _left_s(deadline)
        )
        seen = settled.seen if isinstance(settled, Settled) else ()
        return dict(zip(lines, seen or answered.result.seen, strict=True))


def _is_binding(charge: Charge) -> bool:
    """Tell whether the call is refused where this one cannot be made."""
    return charge.amount > 0 and charge.terms.refuses and not charge.terms.always


def _left_s(deadline: float) -> float:
    left_s = deadline - asyncio.get_running_loop().time()
    if left_s <= 0:
        raise StoreTimeoutError("the store has not answered in time")
    return left_s
