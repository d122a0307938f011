"""What the core asks of a calendar, which knows time zones and lives outside of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from ratelimit_service.core.algorithms import Cap
from ratelimit_service.core.limits import CalendarWindow


@dataclass(frozen=True, slots=True)
class Bounds:
    """A window: from its first microsecond to the first after it, since the epoch."""

    start_us: int
    end_us: int


class Calendar(Protocol):
    """Knows when the periods of a calendar begin and end, wherever one lives."""

    def knows(self, time_zone: str) -> bool:
        """Tell whether there is a time zone of this name."""
        ...

    def bounds(self, window: CalendarWindow, at_us: int) -> Bounds:
        """Return the period that a time lies in."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is planned, in microseconds since the epoch, and the calendar then."""

    at_us: int
    calendar: Calendar


def dated(cap: Cap, window: CalendarWindow | None, moment: Moment) -> Cap:
    """Return a cap with the bounds of its calendar's window; without one, as it is."""
    if window is None:
        return cap
    bounds = moment.calendar.bounds(window, moment.at_us)
    return replace(cap, start_us=bounds.start_us, end_us=bounds.end_us)
