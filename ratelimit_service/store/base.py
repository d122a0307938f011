"""What every store does, whatever it keeps its counters in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ratelimit_service.core.judge import Outcome
from ratelimit_service.core.plan import Charge, Counting


class Store(Protocol):
    """Counters, and the clock that their windows follow."""

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

    async def ping(self) -> None:
        """Return when the store can decide; raise StoreUnavailableError when it cannot."""
        ...

    async def close(self) -> None:
        """Let go of connections; calls that still wait fail with StoreUnavailableError."""
        ...
