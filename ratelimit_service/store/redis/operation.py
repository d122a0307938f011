"""From the charges of decisions to a call of lua/charge.lua, and from its reply to outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from ratelimit_service.core.algorithms import Algorithm, Cap, CounterState
from ratelimit_service.core.messages import View
from ratelimit_service.core.outcomes import Outcome, outcome_of
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import OutdatedPlanError, StoreUnavailableError
from ratelimit_service.store.redis.link import Reply, ScriptCall
from ratelimit_service.store.redis.messages import cap_arguments, holds_key, releases_of
from ratelimit_service.store.scripts import load_script


def _new_answer() -> asyncio.Future[Sequence[Outcome]]:
    return asyncio.get_running_loop().create_future()


class HoldsNeededError(StoreUnavailableError):
    """Nothing of the operation was done: holds matter that it did not give."""


BARE: Final = frozenset(
    {
        Algorithm.FIXED_WINDOW,
        Algorithm.FIRST_HIT,
        Algorithm.CALENDAR,
        Algorithm.LIFETIME,
        Algorithm.TOKEN_BUCKET,
    }
)
"""The algorithms whose counters say by themselves whether holds matter."""


@dataclass(slots=True, eq=False)  # not frozen: that triples the cost of making one
class Operation:
    """Charges of one decision that are made in one step, and where their outcomes go.

    ``keys`` are those of the charges, one for each. ``slot`` is theirs where the server
    enforces slots, else None. ``bare``: their holds are not given, since most likely none
    matters; where one does the answer is HoldsNeededError.
    """

    keys: Sequence[str]
    charges: Sequence[Charge]
    counting: Counting
    slot: int | None = None
    bare: bool = False
    answer: asyncio.Future[Sequence[Outcome]] = field(default_factory=_new_answer)

    @property
    def weight(self) -> int:
        """How many charges it has."""
        return len(self.charges)


def compose(operations: Sequence[Operation], time: str) -> ScriptCall:
    """Write one call for several operations, all bare or none.

    ``time`` is in microseconds since the epoch; empty takes the server's.
    """
    bare = operations[0].bare
    caps = _Caps()
    places: dict[str, int] = {}
    keys: list[str] = []
    caps_of_counters: list[str | int] = []
    arguments: list[str | int] = []
    for operation in operations:
        strict = operation.counting is Counting.STRICT
        arguments += (operation.counting.value, len(operation.keys))
        for key, charge in zip(operation.keys, operation.charges, strict=True):
            place = places.get(key)
            if place is None:
                place = places[key] = len(places) + 1
                keys += (key,) if bare else (key, holds_key(key))
                caps_of_counters.append(caps.place(charge.cap))
            terms = charge.terms
            arguments += (place, charge.amount, terms.asks, charge.cap.limit)
            if strict:
                arguments += (int(terms.always), int(terms.refuses), terms.quota)
    everything = (time, int(bare), *caps.arguments(), *caps_of_counters, *arguments)
    return ScriptCall(load_script("charge"), tuple(keys), everything)


class _Caps:
    """The caps of a call: most of its counters share a few, and the same objects."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._caps: list[Cap] = []

    def place(self, cap: Cap) -> int:
        place = self._places.get(id(cap))
        if place is None:
            self._caps.append(cap)
            place = self._places[id(cap)] = len(self._caps)
        return place

    def arguments(self) -> list[str | int]:
        written = [argument for cap in self._caps for argument in cap_arguments(cap)]
        return [len(self._caps), *written]


def deliver(operations: Sequence[Operation], reply: Reply) -> None:
    """Hand the reply of their call out to the operations that are still waited for.

    Raises StoreUnavailableError for a reply that is not the script's.
    """
    charges = sum(len(operation.charges) for operation in operations)
    match reply:
        case [int(now_us), list(numbers), list(views)] if len(numbers) == 2 * charges:
            counted = _Counted(now_us, cast("list[int]", numbers), _views(views))
        case _:
            raise StoreUnavailableError("the store answered a script with something unknown")
    at = 0
    for operation in operations:
        if not operation.answer.done():
            _answer(operation, counted, at)
        at += len(operation.charges)


@dataclass(slots=True)
class _Counted:
    """What lua/charge.lua replied; views are by the place of their charge, from 0."""

    now_us: int
    numbers: list[int]
    views: Mapping[int, View]


_IN_A_VIEW: Final = -1
_OUTDATED: Final = -2
_BLIND: Final = -3


def _answer(operation: Operation, counted: _Counted, at: int) -> None:
    end = at + len(operation.charges)
    resets = counted.numbers[2 * at + 1 : 2 * end : 2]
    if min(resets) >= 0:
        outcomes = map(Outcome, counted.numbers[2 * at : 2 * end : 2], resets)
        operation.answer.set_result(list(outcomes))
    elif _OUTDATED in resets:
        operation.answer.set_exception(OutdatedPlanError(counted.now_us))
    elif _BLIND in resets:
        operation.answer.set_exception(HoldsNeededError("holds must be looked at"))
    else:
        operation.answer.set_result(
            [
                Outcome(counted.numbers[2 * place], reset)
                if reset != _IN_A_VIEW
                else outcome_of(charge, counted.views[place], counted.now_us)
                for place, charge, reset in zip(
                    range(at, end), operation.charges, resets, strict=True
                )
            ]
        )


def _views(replied: list[Reply]) -> Mapping[int, View]:
    views: dict[int, View] = {}
    for item in replied:
        place, *state, fits, found = cast("list[int]", item)
        releases = releases_of(cast("list[int]", found))
        views[place - 1] = View(CounterState(*state), fits=bool(fits), releases=releases)
    return views
