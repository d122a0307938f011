"""What every store does, whatever it keeps its counters in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.core.terms import Counting


class Store(Protocol):
    """Counters, records of reservations, and the clock that their times follow."""

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        """Charge the counters of one request and say what each then holds, in order.

        A charge that occurs twice counts twice, in order. Charges of one request that
        lie in different slots are not atomic together.

        Raises StoreUnavailableError when the store fails, StoreTimeoutError when it has
        not answered after ``timeout_s`` seconds, and OverloadedError when too many calls
        wait; only after OverloadedError is it certain that nothing was counted.
        """
        ...

    @property
    def enforces_slots(self) -> bool:
        """Whether a message may touch the keys of one slot only. May turn true later."""
        ...

    def key(self, counter: Counter) -> str:
        """Return the key of a counter."""
        ...

    def slot(self, key: str) -> str:
        """Name the slot of a key; where slots are not enforced all keys share one."""
        ...

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        """Say messages to slots, all at once, and return what each replied, in order.

        A message that has no reply after ``timeout_s`` seconds, or whose reply was lost, is
        Lost; it is never said twice (F13). Raises OverloadedError when too many calls wait
        and CrossSlotError when ``enforces_slots`` has just turned true; nothing was done
        then.
        """
        ...

    async def ping(self) -> None:
        """Return when the store can decide; raise StoreUnavailableError when it cannot."""
        ...

    async def close(self) -> None:
        """Let go of connections; calls that still wait fail with StoreUnavailableError."""
        ...
