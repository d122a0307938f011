"""What the limits of a reservation hold, as its callers are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratelimit_service.core.algorithms import held_part, usage
from ratelimit_service.core.judge import Code
from ratelimit_service.core.limits import ALGORITHM_NAMES
from ratelimit_service.core.notes import LineNote, Note
from ratelimit_service.core.protocols.answers import Seen
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.waiting import empties_at_us


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """What one limit holds. ``used`` is what is counted but for what is ``held`` (F48).

    Where more is counted than the limit allows nothing is ``remaining``. ``until_reset_us`` is
    None where the limit never resets by itself.
    """

    name: str
    measure: str
    algorithm: str
    code: Code
    limit: int
    used: int
    held: int
    remaining: int
    until_reset_us: int | None


@dataclass(frozen=True, slots=True)
class DescriptorStatus:
    """What the limits of one descriptor hold, but for those that nobody has seen."""

    code: Code
    limits: tuple[LimitStatus, ...]


def statuses_of(
    lines: Sequence[PlannedLine], note: Note, seen: Sequence[Seen | None]
) -> tuple[DescriptorStatus, ...]:
    """Return the status of each descriptor, in order; ``seen`` is by line."""
    limits: list[list[LimitStatus]] = [[] for _ in range(note.descriptors)]
    for line, about, sight in zip(lines, note.lines, seen, strict=True):
        if sight is None:
            continue
        status = _status(line, about, sight)
        for share in line.shares:
            limits[share.descriptor].append(status)
    return tuple(DescriptorStatus(_worst(own), tuple(own)) for own in limits)


def _status(line: PlannedLine, note: LineNote, seen: Seen) -> LimitStatus:
    cap, state = line.cap, seen.view.state
    counted = usage(cap, state, seen.now_us)
    held = held_part(state)
    over = not note.shadow and (not seen.view.fits or counted > note.most)
    empties_us = empties_at_us(cap, state)
    return LimitStatus(
        name=line.limit_name,
        measure=line.measure,
        algorithm=ALGORITHM_NAMES[cap.algorithm],
        code=Code.OVER_LIMIT if over else Code.OK,
        limit=note.most,
        used=counted - held,
        held=held,
        remaining=max(0, note.most - counted),
        until_reset_us=None if empties_us is None else max(0, empties_us - seen.now_us),
    )


def _worst(limits: Sequence[LimitStatus]) -> Code:
    over = any(status.code is Code.OVER_LIMIT for status in limits)
    return Code.OVER_LIMIT if over else Code.OK
