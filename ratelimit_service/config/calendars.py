"""When the days, weeks, months and years of a time zone begin and end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from ratelimit_service.core.calendars import Bounds
from ratelimit_service.core.limits import CalendarWindow, Period

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_JANUARY: Final = 1
_DECEMBER: Final = 12


class ZoneCalendar:
    """The calendar of the time zone database: the host's, else that of the tzdata package."""

    def __init__(self) -> None:
        self._latest: dict[CalendarWindow, Bounds] = {}

    def knows(self, time_zone: str) -> bool:
        """Tell whether there is a time zone of this name."""
        return _find_zone(time_zone) is not None

    def bounds(self, window: CalendarWindow, at_us: int) -> Bounds:
        """Return the period that a time lies in, from midnight to midnight there.

        Where clocks skip midnight a day begins when they go on, and where they show it twice
        it begins with the first. Raises KeyError for an unknown time zone.
        """
        latest = self._latest.get(window)
        if latest is not None and latest.start_us <= at_us < latest.end_us:
            return latest
        found = self._latest[window] = _bounds(window, at_us)
        return found


def _bounds(window: CalendarWindow, at_us: int) -> Bounds:
    zone = _find_zone(window.time_zone)
    if zone is None:
        raise KeyError(window.time_zone)
    day = (_EPOCH + at_us * _MICROSECOND).astimezone(zone).date()
    first = _FIRST[window.period](day)
    start_us, end_us = _midnight_us(first, zone), _midnight_us(_next(window.period, first), zone)
    while end_us <= at_us:
        # Clocks were put back over midnight: the date is that of the day before once more.
        first = _next(window.period, first)
        start_us, end_us = end_us, _midnight_us(_next(window.period, first), zone)
    return Bounds(start_us, end_us)


def _midnight_us(day: date, zone: ZoneInfo) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - _EPOCH) // _MICROSECOND


_FIRST: Final = {
    Period.DAY: lambda day: day,
    Period.WEEK: lambda day: day - timedelta(days=day.weekday()),
    Period.MONTH: lambda day: day.replace(day=1),
    Period.YEAR: lambda day: day.replace(month=_JANUARY, day=1),
}


def _next(period: Period, first: date) -> date:
    """Return the first day of the period after the one that begins on a day."""
    match period:
        case Period.DAY:
            return first + timedelta(days=1)
        case Period.WEEK:
            return first + timedelta(days=7)
        case Period.MONTH if first.month < _DECEMBER:
            return first.replace(month=first.month + 1)
    return first.replace(year=first.year + 1, month=_JANUARY)


@lru_cache(maxsize=1024)
def _find_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # Among them: a folder of the database, a path out of it, a name too long for a file.
        return None
