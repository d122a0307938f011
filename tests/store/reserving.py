"""Reservations over the stores under test, in the words of the tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.messages import HoldKind
from ratelimit_service.core.protocols.answers import Result
from ratelimit_service.core.reservation import PlannedLine, Share
from ratelimit_service.core.rules import Step
from ratelimit_service.core.settlement import Amount, Report, Usage
from ratelimit_service.store.base import Store
from ratelimit_service.store.reservations import Answered, Asked, More, Reservations

HOUR_US = 3_600_000_000
TTL_US = 60_000_000
TIMEOUT_S = 20.0

RELEASED = Usage(Report.RELEASED)
UNKNOWN = Usage(Report.UNKNOWN)


def used(amount: int, measure: str = "requests") -> Usage:
    """Say that so much was used of each descriptor."""
    return Usage(Report.AMOUNTS, (Amount(measure, amount),))


@dataclass(frozen=True, slots=True)
class Want:
    """One counter's part: counters of different names lie in different slots."""

    name: str
    amount: int = 1
    limit: int = 200
    algorithm: Algorithm = Algorithm.FIXED_WINDOW
    kind: HoldKind = HoldKind.KEEP
    minimum: int = -1
    lease_us: int = 0


def counter_of(want: Want) -> Counter:
    """Return the identity of a want's counter."""
    path = (Step("name", want.name),)
    window_us = 0 if want.algorithm is Algorithm.CONCURRENCY else HOUR_US
    return Counter("domain", path, "", window_us, algorithm=want.algorithm)


def lines_of(store: Store, wants: Sequence[Want]) -> tuple[PlannedLine, ...]:
    """Plan wants, each a descriptor of its own."""
    return tuple(
        PlannedLine(
            "",
            store.key(counter_of(want)),
            _cap(want),
            "requests",
            want.kind,
            want.amount,
            want.amount if want.minimum < 0 else want.minimum,
            want.lease_us,
            shares=(Share(index, want.amount),),
        )
        for index, want in enumerate(wants)
    )


def _cap(want: Want) -> Cap:
    window_us = 0 if want.algorithm is Algorithm.CONCURRENCY else HOUR_US
    refill = want.limit if want.algorithm is Algorithm.TOKEN_BUCKET else 0
    return Cap(want.algorithm, want.limit, window_us, refill)


class Desk:
    """Asks a store for reservations, as one caller unless it is told otherwise."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reservations = Reservations(store)

    async def reserve(
        self,
        *wants: Want,
        request_id: str = "",
        owner: str = "me",
        payload: str = "",
        ttl_us: int = TTL_US,
    ) -> Answered:
        """Reserve; the payload is what is wanted unless it is given."""
        lines = lines_of(self.store, wants)
        asked = Asked(owner, "domain", payload or repr(wants), lambda _: lines, ttl_us, request_id)
        return await self.reservations.reserve(asked, TIMEOUT_S)

    async def settle(self, answered: Answered, usage: Usage = UNKNOWN, owner: str = "me") -> Result:
        """Settle a reservation."""
        return await self.reservations.reconcile(answered.reservation_id, owner, usage, TIMEOUT_S)

    async def extend(
        self, answered: Answered, amount: int = 0, request: str = "", ttl_us: int = TTL_US
    ) -> Result:
        """Renew a reservation, and top it up by an amount of requests."""
        amounts = (Amount("requests", amount),) if amount else ()
        more = More("me", ttl_us, lambda *_: (), amounts, request, f"{amount}")
        return await self.reservations.extend(answered.reservation_id, more, TIMEOUT_S)

    async def counted(self, *wants: Want) -> list[int]:
        """Return what the counters count, holds included."""
        return [counted for counted, _ in await self.held(*wants)]

    async def held(self, *wants: Want) -> list[tuple[int, int]]:
        """Return what the counters count, and what of it is held."""
        looks = [replace(want, amount=0, minimum=0) for want in wants]
        lines = lines_of(self.store, looks)
        seen = await self.reservations.look(lambda _: lines, TIMEOUT_S)
        return [(sight.view.state.counted, sight.view.state.held) for sight in seen]
