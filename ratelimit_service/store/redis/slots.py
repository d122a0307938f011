"""Where a script may touch the keys of one slot only: an operation in parts, one for each slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from redis.crc import key_slot

from ratelimit_service.core.counting import weigh
from ratelimit_service.core.messages import CountLine
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.store.redis.operation import Operation

PlacesBySlot: TypeAlias = Mapping[int, Sequence[int]]
"""Which charges of an operation lie in each slot, by their places in it."""


def places_by_slot(keys: Sequence[str]) -> PlacesBySlot:
    """Group the places of keys by their slots."""
    slots: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        slots.setdefault(key_slot(key.encode()), []).append(place)
    return slots


def split(operation: Operation, slots: PlacesBySlot) -> Sequence[Operation]:
    """Return the parts of an operation, in the order of ``slots``."""
    return [
        Operation(
            [operation.keys[place] for place in places],
            [operation.charges[place] for place in places],
            operation.counting,
            slot,
            operation.bare,
        )
        for slot, places in slots.items()
    ]


def join(slots: PlacesBySlot, answers: Sequence[Sequence[Outcome]]) -> Sequence[Outcome]:
    """Put the outcomes of the parts into the order of the whole."""
    outcomes: dict[int, Outcome] = {}
    for places, answer in zip(slots.values(), answers, strict=True):
        outcomes.update(zip(places, answer, strict=True))
    return [outcomes[place] for place in range(len(outcomes))]


def look_first(operation: Operation) -> Operation:
    """Return an operation that looks at all counters, to find out which go over."""
    looks = [_look(charge) for charge in operation.charges]
    return Operation(operation.keys, looks, Counting.EVERY, bare=operation.bare)


def count_over(operation: Operation, held: Sequence[Outcome]) -> Operation:
    """Return what is to be charged, now that it is known what the counters held just before."""
    used = {key: outcome.counted for key, outcome in zip(operation.keys, held, strict=True)}
    lines = [
        CountLine(key, charge.cap, charge.amount, charge.terms)
        for key, charge in zip(operation.keys, operation.charges, strict=True)
    ]
    weighed = weigh(lines, used, operation.counting)
    charges = [
        charge if counts else _look(charge)
        for charge, counts in zip(operation.charges, weighed.counts, strict=True)
    ]
    return Operation(operation.keys, charges, Counting.EVERY, bare=operation.bare)


def _look(charge: Charge) -> Charge:
    return replace(charge, amount=0)
