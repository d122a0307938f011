"""Why a reservation was refused, and when to come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ratelimit_service.core.algorithms import Algorithm, held_part, usage
from ratelimit_service.core.applied import Unmatched
from ratelimit_service.core.measures import format_amount
from ratelimit_service.core.notes import LineNote, Note
from ratelimit_service.core.protocols.answers import Refused, Seen
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.units import SECOND_US
from ratelimit_service.core.waiting import empties_at_us, fits_at_us

CONTENDED_US: Final = SECOND_US
"""When to come back after others were decided all the while."""


class Reason(StrEnum):
    """Why a call was refused; the values are those of the wire."""

    OVER_LIMIT = "OVER_LIMIT"
    """Waiting helps."""

    NEVER_FITS = "NEVER_FITS"
    """The amount is above the limit itself."""

    EXHAUSTED = "EXHAUSTED"
    """A limit that never resets by itself is spent."""

    UNMATCHED = "UNMATCHED"
    """No rule matches a descriptor, or an entry is missing that a rule requires."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that keeps a call waiting longest, or that it never comes under.

    ``detail`` says it to people. ``retry_after_us`` is None where waiting does not help,
    ``reset_at_us`` (since the epoch) where the limit never resets by itself.
    """

    reason: Reason
    detail: str
    descriptor_index: int = 0
    limit_name: str = ""
    measure: str = ""
    limit: int = 0
    used: int = 0
    held: int = 0
    requested: int = 0
    retry_after_us: int | None = None
    reset_at_us: int | None = None


def refuse_unmatched(unmatched: Unmatched) -> Refusal:
    """Refuse a call that the rules do not know (F50)."""
    if unmatched.missing is None:
        detail = "No rule matches what the call is counted by."
        return Refusal(Reason.UNMATCHED, detail, unmatched.descriptor)
    return Refusal(Reason.UNMATCHED, f"The call lacks its {unmatched.missing.key}.")


def refuse_too_large(
    lines: Sequence[PlannedLine], note: Note, seen: Sequence[Seen | None]
) -> Refusal | None:
    """Refuse what is above its limit itself, whatever is used; None where nothing is.

    ``seen`` is by line; where nobody looked, nothing is said of what is used and held.
    """
    for line, about, sight in zip(lines, note.lines, seen, strict=True):
        if not about.shadow and max(line.minimum, 1) > about.most:
            return _refuse(line, about, sight, Reason.NEVER_FITS)
    return None


def refuse(lines: Sequence[PlannedLine], note: Note, refused: Refused) -> Refusal:
    """Say why a call was refused, of the limit that keeps it waiting longest (F47).

    Others that were being decided keep it waiting for a moment only.
    """
    candidates = [
        _of_line(line, about, sight, contended=refused.contended)
        for line, about, sight in zip(lines, note.lines, refused.seen, strict=True)
        if sight is not None and not sight.view.fits and not about.shadow
    ]
    if not candidates:
        detail = "Other calls were being decided; come back in a moment."
        return Refusal(Reason.OVER_LIMIT, detail, retry_after_us=CONTENDED_US)
    return max(candidates, key=_gravity)


def _gravity(refusal: Refusal) -> tuple[int, int]:
    return _GRAVITY[refusal.reason], refusal.retry_after_us or 0


_GRAVITY: Final = {
    Reason.OVER_LIMIT: 0,
    Reason.EXHAUSTED: 1,
    Reason.NEVER_FITS: 2,
    Reason.UNMATCHED: 3,
}


def _of_line(line: PlannedLine, note: LineNote, seen: Seen, *, contended: bool) -> Refusal:
    if contended:
        return _refuse(line, note, seen, Reason.OVER_LIMIT, CONTENDED_US)
    if max(line.minimum, 1) > note.most:
        return _refuse(line, note, seen, Reason.NEVER_FITS)
    retry_after_us = _retry_after_us(line, seen)
    if retry_after_us is None:
        return _refuse(line, note, seen, Reason.EXHAUSTED)
    return _refuse(line, note, seen, Reason.OVER_LIMIT, retry_after_us)


def _retry_after_us(line: PlannedLine, seen: Seen) -> int | None:
    """Return how long until the least of use fits, at least a microsecond; None is never."""
    view = seen.view
    at_us = fits_at_us(line.cap, view.state, view.releases, line.minimum, seen.now_us)
    if at_us is None and line.cap.algorithm is Algorithm.CONCURRENCY:
        # Every lease ends; a slot only does not look at all of them.
        at_us = max((each.expires_at_us for each in view.releases), default=seen.now_us)
    return None if at_us is None else max(1, at_us - seen.now_us)


def _refuse(
    line: PlannedLine,
    note: LineNote,
    seen: Seen | None,
    reason: Reason,
    retry_after_us: int | None = None,
) -> Refusal:
    used = held = 0
    reset_at_us = None
    if seen is not None:
        held = held_part(seen.view.state)
        used = usage(line.cap, seen.view.state, seen.now_us) - held
        reset_at_us = empties_at_us(line.cap, seen.view.state)
    return Refusal(
        reason=reason,
        detail=_detail(line, note, reason),
        descriptor_index=line.shares[0].descriptor if line.shares else 0,
        limit_name=line.limit_name,
        measure=line.measure,
        limit=note.most,
        used=used,
        held=held,
        requested=line.amount,
        retry_after_us=retry_after_us,
        reset_at_us=reset_at_us,
    )


def _detail(line: PlannedLine, note: LineNote, reason: Reason) -> str:
    limit = f"the limit {line.limit_name}" if line.limit_name else "the limit"
    most = format_amount(line.measure, note.most)
    match reason:
        case Reason.NEVER_FITS:
            asked = format_amount(line.measure, line.amount)
            return f"The call asks for {asked}, which is above {limit} of {most} itself."
        case Reason.EXHAUSTED:
            return f"All of {limit} of {most} is spent."
        case _:
            return f"The call is over {limit} of {most}."
