"""Units of time that rules and callers name, and the bounds of counted amounts."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

SECOND_US: Final = 1_000_000

MAX_AMOUNT: Final = 2**53 - 1
"""The largest amount, limit or sum: what a Lua number holds exactly."""


def whole_seconds(duration_us: int) -> int:
    """Round a duration in microseconds up to seconds, so that who waits them waits enough."""
    return -(-duration_us // SECOND_US)


class Unit(IntEnum):
    """A unit of the rate-limit API; the values are those of its wire enum.

    Source: envoy.service.ratelimit.v3.RateLimitResponse.RateLimit.Unit.
    """

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    MONTH = 5
    YEAR = 6
    WEEK = 7

    @property
    def window_us(self) -> int:
        """Length of the unit's window in microseconds; months have 30 days, years 365."""
        return _WINDOW_US[self]


def format_duration(duration_us: int) -> str:
    """Write a duration as rule files do, in the largest unit that it is a multiple of."""
    for suffix, unit in (("d", Unit.DAY), ("h", Unit.HOUR), ("m", Unit.MINUTE), ("s", Unit.SECOND)):
        if duration_us % unit.window_us == 0:
            return f"{duration_us // unit.window_us}{suffix}"
    return f"{duration_us}us"


_DAY_US: Final = 86_400 * SECOND_US

_WINDOW_US: Final = {
    Unit.SECOND: SECOND_US,
    Unit.MINUTE: 60 * SECOND_US,
    Unit.HOUR: 3_600 * SECOND_US,
    Unit.DAY: _DAY_US,
    Unit.WEEK: 7 * _DAY_US,
    Unit.MONTH: 30 * _DAY_US,
    Unit.YEAR: 365 * _DAY_US,
}
