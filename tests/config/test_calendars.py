"""F42: a period of the calendar ends at its instant, across daylight saving and month ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.config.calendars import ZoneCalendar
from ratelimit_service.core.limits import CalendarWindow, Period

DAY, WEEK, MONTH, YEAR = Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR
HOUR_US = 3_600_000_000


def us(text: str) -> int:
    """Read a time of UTC, as 2026-03-29T00:30."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("period", "zone", "at", "start", "end"),
    [
        pytest.param(
            DAY, "UTC", "2026-02-28T23:59", "2026-02-28T00:00", "2026-03-01T00:00", id="01"
        ),
        pytest.param(
            DAY,
            "Europe/Berlin",
            "2026-01-15T22:59",
            "2026-01-14T23:00",
            "2026-01-15T23:00",
            id="02 midnight is that of the time zone",
        ),
        pytest.param(
            DAY,
            "Europe/Berlin",
            "2026-01-15T23:00",
            "2026-01-15T23:00",
            "2026-01-16T23:00",
            id="03 it belongs to the new day",
        ),
        pytest.param(
            DAY,
            "Europe/Berlin",
            "2026-03-29T12:00",
            "2026-03-28T23:00",
            "2026-03-29T22:00",
            id="04 a day of 23 hours",
        ),
        pytest.param(
            DAY,
            "Europe/Berlin",
            "2026-10-25T12:00",
            "2026-10-24T22:00",
            "2026-10-25T23:00",
            id="05 a day of 25 hours",
        ),
        pytest.param(
            DAY,
            "Australia/Lord_Howe",
            "2026-04-05T00:00",
            "2026-04-04T13:00",
            "2026-04-05T13:30",
            id="06 half an hour of daylight saving",
        ),
        pytest.param(
            DAY,
            "Africa/Cairo",
            "2026-04-23T23:00",
            "2026-04-23T22:00",
            "2026-04-24T21:00",
            id="07 a day that begins at one, since midnight is skipped",
        ),
        pytest.param(
            DAY,
            "America/Havana",
            "2026-11-01T04:30",
            "2026-11-01T04:00",
            "2026-11-02T05:00",
            id="08 midnight comes twice, the first begins the day",
        ),
        pytest.param(
            DAY,
            "America/Havana",
            "2026-11-01T05:30",
            "2026-11-01T04:00",
            "2026-11-02T05:00",
            id="09 the second is within it",
        ),
        pytest.param(
            DAY,
            "America/St_Johns",
            "2010-11-07T02:45",
            "2010-11-07T02:30",
            "2010-11-08T03:30",
            id="10 clocks go back from one past midnight: the new day goes on",
        ),
        pytest.param(
            DAY,
            "Pacific/Apia",
            "2011-12-30T11:00",
            "2011-12-30T10:00",
            "2011-12-31T10:00",
            id="11 a date that never was",
        ),
        pytest.param(
            WEEK,
            "UTC",
            "2026-11-22T23:59",
            "2026-11-16T00:00",
            "2026-11-23T00:00",
            id="12 weeks begin on Monday",
        ),
        pytest.param(
            WEEK,
            "Europe/Berlin",
            "2026-10-25T12:00",
            "2026-10-18T22:00",
            "2026-10-25T23:00",
            id="13 a week with an hour more",
        ),
        pytest.param(
            WEEK,
            "UTC",
            "2026-01-01T00:00",
            "2025-12-29T00:00",
            "2026-01-05T00:00",
            id="14 a week over the year's end",
        ),
        pytest.param(
            MONTH,
            "UTC",
            "2028-02-29T23:59",
            "2028-02-01T00:00",
            "2028-03-01T00:00",
            id="15 a leap year",
        ),
        pytest.param(
            MONTH,
            "America/New_York",
            "2026-03-31T12:00",
            "2026-03-01T05:00",
            "2026-04-01T04:00",
            id="16 a month that loses an hour",
        ),
        pytest.param(
            MONTH,
            "UTC",
            "2026-12-31T23:59",
            "2026-12-01T00:00",
            "2027-01-01T00:00",
            id="17 December",
        ),
        pytest.param(
            YEAR,
            "Asia/Tokyo",
            "2025-12-31T15:00",
            "2025-12-31T15:00",
            "2026-12-31T15:00",
            id="18 a year begins in Tokyo",
        ),
        pytest.param(
            YEAR, "UTC", "2028-06-01T00:00", "2028-01-01T00:00", "2029-01-01T00:00", id="19"
        ),
        pytest.param(
            DAY,
            "UTC",
            "1970-01-01T00:00",
            "1970-01-01T00:00",
            "1970-01-02T00:00",
            id="20 the epoch",
        ),
    ],
)
def test_a_period(period: Period, zone: str, at: str, start: str, end: str) -> None:
    bounds = ZoneCalendar().bounds(CalendarWindow(period, zone), us(at))

    assert (bounds.start_us, bounds.end_us) == (us(start), us(end))


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/St_Johns",
        "America/Havana",
        "Africa/Cairo",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/Sao_Paulo",
    ]
)


@given(
    period=st.sampled_from(Period),
    zone=ZONES,
    at_us=st.integers(us("1985-01-01T00:00"), us("2036-01-01T00:00")),
)
def test_periods_hold_their_time_and_follow_each_other(
    period: Period, zone: str, at_us: int
) -> None:
    calendar, window = ZoneCalendar(), CalendarWindow(period, zone)

    bounds = calendar.bounds(window, at_us)

    assert bounds.start_us <= at_us < bounds.end_us
    assert calendar.bounds(window, bounds.end_us).start_us == bounds.end_us
    assert calendar.bounds(window, bounds.end_us - 1) == bounds
    assert ZoneCalendar().bounds(window, bounds.start_us) == bounds


@pytest.mark.parametrize(
    "name",
    ["", "Nowhere", "Europe", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5_000, "\ud800"],
)
def test_what_is_no_time_zone(name: str) -> None:
    assert not ZoneCalendar().knows(name)
    with pytest.raises(KeyError):
        ZoneCalendar().bounds(CalendarWindow(DAY, name), 0)


def test_known_time_zones() -> None:
    assert all(ZoneCalendar().knows(name) for name in ("UTC", "Europe/Berlin", "Etc/GMT+12"))
