"""Fixed windows, step by step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.units import MAX_AMOUNT, Unit
from ratelimit_service.core.windows import WindowState, add_hits, clamp_amount, current_window

TIMES_US = st.integers(0, 2**52)
AMOUNTS = st.integers(-MAX_AMOUNT, MAX_AMOUNT)
UNITS = st.sampled_from(Unit)


@given(now_us=TIMES_US, unit=UNITS)
def test_a_new_window_holds_now_and_is_aligned_to_the_epoch(now_us: int, unit: Unit) -> None:
    state = current_window(None, unit.window_us, now_us)

    assert state.started_at_us % unit.window_us == 0
    assert state.started_at_us <= now_us < state.started_at_us + unit.window_us
    assert state.counted == 0


@given(started=st.integers(0, 1_000), now_us=TIMES_US, unit=UNITS)
def test_a_window_is_kept_until_it_ends_and_never_comes_back(
    started: int, now_us: int, unit: Unit
) -> None:
    stored = WindowState(started * unit.window_us, 7)

    state = current_window(stored, unit.window_us, now_us)

    over = now_us >= stored.started_at_us + unit.window_us
    assert (state == stored) is not over
    assert state.started_at_us >= stored.started_at_us


@given(now_us=TIMES_US, unit=UNITS, started=st.integers(0, 1_000))
def test_a_reset_lies_ahead_by_no_more_than_a_window(now_us: int, unit: Unit, started: int) -> None:
    state = current_window(WindowState(started * unit.window_us, 1), unit.window_us, now_us)

    assert 1 <= state.reset_in_us(unit.window_us, now_us) <= unit.window_us


@given(counted=st.integers(0, MAX_AMOUNT), amount=AMOUNTS)
def test_sums_stay_between_0_and_the_largest_amount(counted: int, amount: int) -> None:
    """F23, F24."""
    state = add_hits(WindowState(60, counted), amount)

    assert state.started_at_us == 60
    assert state.counted == min(max(counted + amount, 0), MAX_AMOUNT)


@pytest.mark.parametrize(
    ("amount", "kept"),
    [(-1, 0), (0, 0), (MAX_AMOUNT, MAX_AMOUNT), (MAX_AMOUNT + 1, MAX_AMOUNT)],
)
def test_clamping_at_the_bounds(amount: int, kept: int) -> None:
    assert clamp_amount(amount) == kept


def test_weeks_begin_on_thursday() -> None:
    thursday_us = 1_700_092_800 * 1_000_000  # 2023-11-16T00:00:00Z

    assert current_window(None, Unit.WEEK.window_us, thursday_us).started_at_us == thursday_us
