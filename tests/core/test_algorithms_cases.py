"""What each algorithm counts, step by step, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pytest

from ratelimit_service.core.algorithms import (
    Algorithm,
    Cap,
    CounterState,
    add,
    correct,
    fits,
    held_part,
    hold,
    roll,
    shortfall,
    usage,
)
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.core.waiting import empties_at_us, fits_at_us, forgettable_at_us

W: Final = 60_000_000
T: Final = 28_333_333 * W  # the beginning of a minute
FIXED: Final = Cap(Algorithm.FIXED_WINDOW, 10, W)
FIRST: Final = Cap(Algorithm.FIRST_HIT, 10, W)
CALENDAR: Final = Cap(Algorithm.CALENDAR, 10, start_us=T, end_us=T + W)
NEXT_DAY: Final = Cap(Algorithm.CALENDAR, 10, start_us=T + W, end_us=T + 3 * W)
LIFETIME: Final = Cap(Algorithm.LIFETIME, 10, W)
SLIDING: Final = Cap(Algorithm.SLIDING_WINDOW, 10, W)
BUCKET: Final = Cap(Algorithm.TOKEN_BUCKET, 10, W, refill=6)  # one in ten seconds
LEASES: Final = Cap(Algorithm.CONCURRENCY, 10)
ALL: Final = [FIXED, FIRST, CALENDAR, LIFETIME, SLIDING, BUCKET, LEASES]


def named(cap: Cap) -> str:
    return cap.algorithm.value


@dataclass(frozen=True, slots=True)
class Case:
    """Charges at times after T, and what is used after each."""

    title: str
    cap: Cap
    charges: Sequence[tuple[int, int]]
    used: Sequence[int]


CASES: Final = [
    Case("01 fixed: N asked, N counted (F9)", FIXED, [(0, 3), (1, 4)], [3, 7]),
    Case("02 fixed: a window lasts to its last us", FIXED, [(5, 3), (W - 1, 0)], [3, 3]),
    Case("03 fixed: the next begins at its first us", FIXED, [(5, 3), (W, 1)], [3, 1]),
    Case("04 fixed: windows without charges are skipped", FIXED, [(5, 3), (9 * W, 1)], [3, 1]),
    Case("05 fixed: clock back in the window", FIXED, [(5, 3), (1, 1)], [3, 4]),
    Case("06 fixed: clock back over a boundary", FIXED, [(W, 3), (W - 1, 1)], [3, 4]),
    Case(
        "07 fixed: sums stop at the largest (F24)",
        FIXED,
        [(0, MAX_AMOUNT), (1, 1)],
        [MAX_AMOUNT] * 2,
    ),
    Case("08 first hit: begins with the hit", FIRST, [(7, 3), (W + 6, 1), (W + 7, 1)], [3, 4, 1]),
    Case("09 first hit: clock back before the hit", FIRST, [(7, 3), (0, 1), (W + 6, 0)], [3, 4, 4]),
    Case("10 calendar: to the last us", CALENDAR, [(0, 3), (W - 1, 1)], [3, 4]),
    Case("11 lifetime: no window ends it", LIFETIME, [(0, 3), (W, 1), (2 * W, 1)], [3, 4, 5]),
    Case("12 lifetime: ends when idle for longer", LIFETIME, [(0, 3), (W + 1, 1)], [3, 1]),
    Case(
        "13 lifetime: clock back does not age it", LIFETIME, [(9, 3), (0, 1), (W + 9, 1)], [3, 4, 5]
    ),
    Case("14 sliding: all of the window before at its end", SLIDING, [(0, 8), (W, 0)], [8, 8]),
    Case("15 sliding: half of it half a window on", SLIDING, [(0, 8), (W * 3 // 2, 0)], [8, 4]),
    Case("16 sliding: parts are rounded up", SLIDING, [(0, 8), (2 * W - 1, 0)], [8, 1]),
    Case("17 sliding: nothing of it two windows on", SLIDING, [(0, 8), (2 * W, 0)], [8, 0]),
    Case("18 sliding: both parts", SLIDING, [(0, 8), (W * 3 // 2, 3)], [8, 7]),
    Case(
        "19 sliding: clock back over a boundary", SLIDING, [(0, 4), (W, 3), (W - 1, 1)], [4, 7, 8]
    ),
    Case("20 bucket: drains one in ten seconds", BUCKET, [(0, 8), (W // 6, 0)], [8, 7]),
    Case("21 bucket: not a us before", BUCKET, [(0, 8), (W // 6 - 1, 0)], [8, 8]),
    Case(
        "22 bucket: parts of a unit add up", BUCKET, [(0, 8), (W // 12, 1), (W // 6, 0)], [8, 9, 8]
    ),
    Case("23 bucket: is never below empty", BUCKET, [(0, 2), (W, 0), (W + 1, 5)], [2, 0, 5]),
    Case(
        "24 bucket: clock back drains nothing", BUCKET, [(9, 8), (0, 1), (W // 6 + 8, 0)], [8, 9, 9]
    ),
    Case("25 concurrency: time changes nothing", LEASES, [(0, 3), (99 * W, 1)], [3, 4]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_counting(case: Case) -> None:
    state = None
    used = []
    for after_us, amount in case.charges:
        state = roll(case.cap, state, T + after_us)
        state = add(case.cap, state, amount, T + after_us) if amount else state
        used.append(usage(case.cap, state, T + after_us))
    assert used == case.used


def test_a_calendar_goes_on_with_the_next_window() -> None:
    state = add(CALENDAR, roll(CALENDAR, None, T), 4, T)
    assert roll(NEXT_DAY, state, T + W) == CounterState(T + W, carry=T + 3 * W)


def test_a_calendar_window_that_has_begun_outlives_a_clock_that_goes_back() -> None:
    state = add(NEXT_DAY, roll(NEXT_DAY, None, T + W), 10, T + W)
    assert roll(CALENDAR, state, T + W - 1) == state
    assert empties_at_us(CALENDAR, state) == T + 3 * W
    assert fits_at_us(CALENDAR, state, (), 1, T + W - 1) == T + 3 * W


def test_a_calendar_is_known_from_its_start_to_before_its_end() -> None:
    known = [CALENDAR.knows(T + after_us) for after_us in (-1, 0, W - 1, W)]
    assert known == [False, True, True, False]
    assert all(cap.knows(0) for cap in ALL if cap.algorithm is not Algorithm.CALENDAR)


@pytest.mark.parametrize(
    ("limit", "used", "amount", "expected"),
    [
        pytest.param(10, 7, 3, True, id="01 exactly the limit (F7)"),
        pytest.param(10, 7, 4, False, id="02 one more than the limit (F7)"),
        pytest.param(0, 0, 1, False, id="03 a limit of 0 refuses (F8)"),
        pytest.param(0, 0, 0, False, id="04 a limit of 0 refuses even nothing (F8)"),
        pytest.param(10, 9, 0, True, id="05 nothing fits where one is left (F22)"),
        pytest.param(10, 10, 0, False, id="06 nothing does not fit where none is left (F22)"),
        pytest.param(10, 12, 0, False, id="07 over the limit nothing fits (F16)"),
        pytest.param(MAX_AMOUNT, MAX_AMOUNT, MAX_AMOUNT, False, id="08 huge sums compare (F24)"),
        pytest.param(MAX_AMOUNT, 0, MAX_AMOUNT, True, id="09 the largest fits (F24)"),
    ],
)
def test_fitting(limit: int, used: int, amount: int, *, expected: bool) -> None:
    assert fits(Cap(Algorithm.FIXED_WINDOW, limit, W), used, amount) is expected


SETTLEMENTS: Final = [
    ("01 fixed: in its window", FIXED, 5, -3, 2),
    ("02 fixed: the window is over (F25)", FIXED, W, -3, 0),
    ("03 first hit: in its window", FIRST, W - 1, -3, 2),
    ("04 first hit: the window is over (F25)", FIRST, W, 3, 0),
    ("05 calendar: in its window", CALENDAR, W - 1, 4, 9),
    ("06 sliding: in its window", SLIDING, 5, -3, 2),
    ("07 sliding: the window before is corrected (F25)", SLIDING, W, -3, 2),
    ("08 sliding: the window before, and more was used", SLIDING, W, 3, 8),
    ("09 sliding: two windows on (F25)", SLIDING, 2 * W, 3, 0),
    ("10 bucket: the level changes", BUCKET, W // 6, -3, 1),
    ("11 bucket: to 0 at the least", BUCKET, W // 2, -5, 0),
    ("12 lifetime: always", LIFETIME, W, -3, 2),
    ("13 concurrency: always", LEASES, 9 * W, -5, 0),
    ("14 above the limit, in full (F16)", FIXED, 5, 20, 25),
    ("15 to the largest amount at most (F24)", FIXED, 5, MAX_AMOUNT, MAX_AMOUNT),
    ("16 back more than was charged stops at 0 (F23)", FIXED, 5, -6, 0),
]


@pytest.mark.parametrize(
    ("cap", "after_us", "difference", "used"),
    [pytest.param(*case[1:], id=case[0]) for case in SETTLEMENTS],
)
def test_settlement_by_algorithm(cap: Cap, after_us: int, difference: int, used: int) -> None:
    charged = add(cap, roll(cap, None, T), 5, T)
    later = roll(cap, charged, T + after_us)
    settled = correct(cap, later, charged.at_us, difference)
    assert usage(cap, settled, T + after_us) == used


def test_a_calendar_that_went_on_is_not_corrected() -> None:
    """F25."""
    charged = add(CALENDAR, roll(CALENDAR, None, T), 5, T)
    later = roll(NEXT_DAY, charged, T + W)
    assert correct(NEXT_DAY, later, charged.at_us, -3) == later


@pytest.mark.parametrize(
    ("cap", "after_us", "missing"),
    [
        pytest.param(FIXED, 0, 2, id="01 fixed"),
        pytest.param(FIXED, W, 0, id="02 fixed, the window is over"),
        pytest.param(SLIDING, W, 2, id="03 sliding, in the window before"),
        pytest.param(LIFETIME, W, 2, id="04 lifetime"),
        pytest.param(BUCKET, 0, 0, id="05 bucket, which drains"),
    ],
)
def test_what_was_missing_is_told(cap: Cap, after_us: int, missing: int) -> None:
    """F23."""
    charged = add(cap, roll(cap, None, T), 5, T)
    later = roll(cap, charged, T + after_us)
    assert shortfall(cap, later, charged.at_us, -7) == missing
    assert shortfall(cap, later, charged.at_us, -5) == 0


@pytest.mark.parametrize("cap", ALL, ids=named)
def test_what_is_held_is_part_of_what_is_counted(cap: Cap) -> None:
    """F48."""
    state = add(cap, roll(cap, None, T), 5, T)
    state = hold(cap, state, state.at_us, 3)
    assert (usage(cap, state, T), held_part(state)) == (5, 3)
    assert held_part(hold(cap, state, state.at_us, -9)) == 0


def test_a_bucket_drains_below_what_is_held() -> None:
    state = add(BUCKET, roll(BUCKET, None, T), 5, T)
    state = hold(BUCKET, state, state.at_us, 5)
    assert held_part(roll(BUCKET, state, T + W // 2)) == 2
    assert held_part(roll(BUCKET, state, T + W)) == 0


def test_a_lifetime_goes_on_while_something_is_held() -> None:
    """F41."""
    state = add(LIFETIME, roll(LIFETIME, None, T), 5, T)
    state = hold(LIFETIME, state, state.at_us, 3)
    assert roll(LIFETIME, state, T + 9 * W) == state
    assert roll(LIFETIME, hold(LIFETIME, state, 0, -3), T + 9 * W) == CounterState(T + 9 * W)


@pytest.mark.parametrize("cap", ALL, ids=named)
def test_rolling_twice_is_rolling_once(cap: Cap) -> None:
    state = add(cap, roll(cap, None, T), 9, T)
    for first, second in pairwise([T, T + 1, T + W // 2, T + W - 1]):
        assert roll(cap, roll(cap, state, first), second) == roll(cap, state, second)


@pytest.mark.parametrize(
    ("cap", "amount", "after_us"),
    [
        pytest.param(FIXED, 4, W, id="01 fixed: at the end of the window"),
        pytest.param(FIRST, 4, W, id="02 first hit: a window after the hit"),
        pytest.param(CALENDAR, 4, W, id="03 calendar: at the end of the window (F42)"),
        pytest.param(LIFETIME, 4, None, id="04 lifetime: never"),
        pytest.param(SLIDING, 4, W + W * 3 // 9, id="05 sliding: when 6 of the 9 are left"),
        pytest.param(SLIDING, 10, 2 * W, id="06 sliding: when nothing is left"),
        pytest.param(BUCKET, 4, 3 * W // 6, id="07 bucket: when 3 have drained"),
        pytest.param(BUCKET, 10, 9 * W // 6, id="08 bucket: when all have drained"),
        pytest.param(LEASES, 4, None, id="09 concurrency: when others end"),
        pytest.param(FIXED, 1, 0, id="10 what fits now fits now"),
        pytest.param(FIXED, 0, 0, id="11 nothing fits now"),
        pytest.param(FIXED, 11, None, id="12 above the limit: never"),
    ],
)
def test_when_an_amount_fits(cap: Cap, amount: int, after_us: int | None) -> None:
    """F47. Nine of ten are used."""
    state = add(cap, roll(cap, None, T), 9, T)
    expected = None if after_us is None else T + after_us
    assert fits_at_us(cap, state, (), amount, T) == expected


@pytest.mark.parametrize("cap", ALL, ids=named)
def test_a_limit_of_0_never_fits(cap: Cap) -> None:
    """F8."""
    none = Cap(cap.algorithm, 0, cap.window_us, 0, cap.start_us, cap.end_us)
    assert fits_at_us(none, roll(none, None, T), (), 0, T) is None


@pytest.mark.parametrize(
    ("cap", "after_us"),
    [(FIXED, W), (FIRST, W), (CALENDAR, W), (LIFETIME, W + 1), (SLIDING, 2 * W), (BUCKET, W)],
    ids=lambda value: named(value) if isinstance(value, Cap) else "",
)
def test_what_can_be_forgotten_counts_nothing(cap: Cap, after_us: int) -> None:
    """F40: not a microsecond sooner."""
    state = add(cap, roll(cap, None, T), 6, T)
    assert forgettable_at_us(cap, state) == T + after_us
    if cap is not CALENDAR:
        assert usage(cap, roll(cap, state, T + after_us), T + after_us) == 0
    assert usage(cap, roll(cap, state, T + after_us - 1), T + after_us - 1) > 0
