"""What answers say of a reservation's limits that its lines do not keep.

A reservation keeps its note with its frozen plan, so that it can be answered when the
rules have changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ratelimit_service.core.calendars import Moment, dated
from ratelimit_service.core.limits import CalendarWindow, Period
from ratelimit_service.core.protocols.tasks import FreshCap
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.units import MAX_AMOUNT


@dataclass(frozen=True, slots=True)
class LineNote:
    """What there is to know of a line's limit.

    ``most`` is the limit, which the cap of a limit on trial (``shadow``) does not have.
    """

    most: int
    shadow: bool = False
    calendar: CalendarWindow | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """How many descriptors were reserved for, and what there is to know of each line."""

    descriptors: int
    lines: tuple[LineNote, ...]

    def encode(self) -> str:
        """Write it as text: the lines' notes by their place, where there is something to say."""
        said = {
            str(at): _pack(line)
            for at, line in enumerate(self.lines)
            if line.shadow or line.calendar is not None
        }
        return json.dumps([self.descriptors, said], separators=(",", ":"))

    @classmethod
    def decode(cls, text: str, lines: Sequence[PlannedLine]) -> Note:
        """Read what encode() wrote of the lines of a reservation."""
        descriptors, said = json.loads(text)
        notes = (
            _unpack(said[str(at)], line) if str(at) in said else LineNote(line.cap.limit)
            for at, line in enumerate(lines)
        )
        return cls(descriptors, tuple(notes))

    def fresh_caps(self, lines: Sequence[PlannedLine], moment: Moment) -> tuple[FreshCap, ...]:
        """Return the caps of the calendars' limits as they are at a moment."""
        return tuple(
            FreshCap(line.key, dated(line.cap, note.calendar, moment))
            for line, note in zip(lines, self.lines, strict=True)
            if note.calendar is not None
        )


def _pack(note: LineNote) -> list[Any]:
    window = note.calendar
    calendar = [] if window is None else [window.period.value, window.time_zone]
    return [note.most if note.shadow else 0, *calendar]


def _unpack(packed: list[Any], line: PlannedLine) -> LineNote:
    most, *calendar = packed
    shadow = line.cap.limit > MAX_AMOUNT
    window = CalendarWindow(Period(calendar[0]), calendar[1]) if calendar else None
    return LineNote(most if shadow else line.cap.limit, shadow, window)
