"""Limits: how much of a measure may be counted, over which window, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.measures import REQUESTS, format_amount
from ratelimit_service.core.messages import HoldKind
from ratelimit_service.core.units import Unit, format_duration


class Period(Enum):
    """The windows of a calendar, as rule files write them. Weeks begin on Monday."""

    DAY = "calendar_day"
    WEEK = "calendar_week"
    MONTH = "calendar_month"
    YEAR = "calendar_year"


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """A period of the calendar in a time zone, by its name in the time zone database."""

    period: Period
    time_zone: str


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of a measure fits, and what becomes of reservations that nobody settles.

    ``cap`` is what its counter sees; that of a calendar's window still lacks the window's
    bounds. ``kind`` is what a hold is once it is firm. ``lease_us`` bounds a lease; 0 is as
    long as the reservation. The count goes on under the name ``was``, where that is given.
    """

    cap: Cap
    name: str = ""
    measure: str = REQUESTS
    calendar: CalendarWindow | None = None
    kind: HoldKind = HoldKind.KEEP
    lease_us: int = 0
    shadow_mode: bool = False
    was: str = ""

    @classmethod
    def per(cls, amount: int, unit: Unit, name: str = "") -> Limit:
        """Return a limit of requests in fixed windows of a unit's length."""
        return cls(Cap(Algorithm.FIXED_WINDOW, amount, unit.window_us), name)

    @property
    def amount(self) -> int:
        """How much fits into a window; of a token bucket, what drains in one."""
        cap = self.cap
        return cap.refill if cap.algorithm is Algorithm.TOKEN_BUCKET else cap.limit

    @property
    def most(self) -> int:
        """The most that may be counted at once: the amount, or the burst of a token bucket."""
        return self.cap.limit

    @property
    def unit(self) -> Unit | None:
        """The unit of its window, where the wire has one."""
        if self.calendar is not None:
            return _UNIT_OF_PERIOD[self.calendar.period]
        if self.cap.algorithm is Algorithm.LIFETIME:
            return None
        return _UNIT_OF_LENGTH.get(self.cap.window_us)

    @property
    def algorithm(self) -> str:
        """The algorithm, in the words of rule files; for concurrency that word."""
        return ALGORITHM_NAMES[self.cap.algorithm]

    @property
    def window(self) -> str:
        """The window for people: its unit, its length, or what rule files call it."""
        if self.calendar is not None:
            return f"{self.calendar.period.value} in {self.calendar.time_zone}"
        if self.cap.algorithm is Algorithm.LIFETIME:
            return "lifetime"
        if self.unit is not None:
            return self.unit.name.lower()
        return format_duration(self.cap.window_us)

    def __str__(self) -> str:
        amount = str(self.amount) if self.measure == REQUESTS else self._amount()
        window = "" if self.cap.algorithm is Algorithm.CONCURRENCY else f" per {self.window}"
        burst = f", at most {self._amount(self.most)} at once" if self.most != self.amount else ""
        name = f", named {self.name}" if self.name else ""
        return f"{amount}{window}{burst}{name}"

    def _amount(self, amount: int | None = None) -> str:
        return format_amount(self.measure, self.amount if amount is None else amount)

    @property
    def counted_as(self) -> str:
        """The name in its counters' identity."""
        return self.was or self.name


_UNIT_OF_LENGTH: Final = {unit.window_us: unit for unit in Unit}

_UNIT_OF_PERIOD: Final = {
    Period.DAY: Unit.DAY,
    Period.WEEK: Unit.WEEK,
    Period.MONTH: Unit.MONTH,
    Period.YEAR: Unit.YEAR,
}

FIXED_WINDOW: Final = Algorithm.FIXED_WINDOW.value
SLIDING_WINDOW: Final = Algorithm.SLIDING_WINDOW.value
TOKEN_BUCKET: Final = Algorithm.TOKEN_BUCKET.value

ALGORITHM_NAMES: Final = {
    Algorithm.FIXED_WINDOW: FIXED_WINDOW,
    Algorithm.FIRST_HIT: FIXED_WINDOW,
    Algorithm.CALENDAR: FIXED_WINDOW,
    Algorithm.LIFETIME: FIXED_WINDOW,
    Algorithm.SLIDING_WINDOW: SLIDING_WINDOW,
    Algorithm.TOKEN_BUCKET: TOKEN_BUCKET,
    Algorithm.CONCURRENCY: Algorithm.CONCURRENCY.value,
}
"""Algorithms in the words of rule files; those that differ in their window alone share one."""
