"""From the charges of decisions to a call of lua/charge.lua, and from its reply to outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.link import Reply, ScriptCall
from ratelimit_service.store.scripts import load_script


def _new_answer() -> asyncio.Future[Sequence[Outcome]]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)  # not frozen: that triples the cost of making one
class Operation:
    """Charges of one decision that are made in one step, and where their outcomes go.

    ``keys`` are those of the charges, one for each. ``slot`` is theirs where the server
    enforces slots, else None.
    """

    keys: Sequence[str]
    charges: Sequence[Charge]
    counting: Counting
    slot: int | None = None
    answer: asyncio.Future[Sequence[Outcome]] = field(default_factory=_new_answer)

    @property
    def weight(self) -> int:
        """How many charges it has."""
        return len(self.charges)


def compose(operations: Sequence[Operation], time: str) -> ScriptCall:
    """Write one call for several operations.

    ``time`` is in microseconds since the epoch; empty takes the server's.
    """
    places: dict[str, int] = {}
    windows: list[str | int] = [time]
    arguments: list[str | int] = []
    for operation in operations:
        arguments += (operation.counting.value, len(operation.keys))
        for key, charge in zip(operation.keys, operation.charges, strict=True):
            place = places.get(key)
            if place is None:
                place = places[key] = len(places) + 1
                windows.append(charge.counter.window_us)
            arguments += (place, charge.amount, charge.cap.limit)
    return ScriptCall(load_script("charge"), tuple(places), (*windows, *arguments))


def deliver(operations: Sequence[Operation], reply: Reply) -> None:
    """Hand the reply of their call out to the operations that are still waited for.

    Raises StoreUnavailableError for a reply that is not the script's.
    """
    charges = sum(len(operation.charges) for operation in operations)
    if not isinstance(reply, list) or len(reply) != 2 * charges:
        raise StoreUnavailableError("the store answered a script with something unknown")
    numbers = cast("list[int]", reply)
    at = 0
    for operation in operations:
        end = at + 2 * len(operation.charges)
        if not operation.answer.done():
            outcomes = map(Outcome, numbers[at:end:2], numbers[at + 1 : end : 2])
            operation.answer.set_result(list(outcomes))
        at = end
