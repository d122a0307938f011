"""What time alone does to a counter: it empties, an amount fits, it can be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ratelimit_service.core.algorithms import (
    Algorithm,
    Cap,
    CounterState,
    correct,
    fits,
    roll,
)


@dataclass(frozen=True, slots=True)
class Release:
    """A hold that gives its amount back when it expires."""

    expires_at_us: int
    charged_at_us: int
    amount: int


def empties_at_us(cap: Cap, state: CounterState) -> int | None:
    """Return when a rolled state counts nothing any more if nobody calls; None is never.

    That a lifetime ends when it is idle for long is for housekeeping; nobody is told to
    wait for it.
    """
    return _EMPTIES[cap.algorithm](cap, state)


def forgettable_at_us(cap: Cap, state: CounterState) -> int:
    """Return when a rolled state without holds is as good as none."""
    if cap.algorithm is Algorithm.LIFETIME:
        return state.at_us + cap.window_us + 1 if state.counted else state.at_us
    return empties_at_us(cap, state) or state.at_us + cap.window_us


def fits_at_us(
    cap: Cap, state: CounterState, releases: Sequence[Release], amount: int, now_us: int
) -> int | None:
    """Return the earliest time at which an amount fits if nobody else calls.

    ``releases`` are in the order of their expiry. None where waiting does not help:
    the amount is above the limit, or the counter never empties.
    """
    if max(amount, 1) > cap.limit:
        return None
    at_us = now_us
    state = roll(cap, state, at_us)
    for release in releases:
        found = _FITS_AT[cap.algorithm](cap, state, amount, at_us)
        if found is not None and found <= release.expires_at_us:
            return found
        at_us = max(at_us, release.expires_at_us)
        state = correct(cap, roll(cap, state, at_us), release.charged_at_us, -release.amount)
        state = roll(cap, state, at_us)
    return _FITS_AT[cap.algorithm](cap, state, amount, at_us)


def _window_end(cap: Cap, state: CounterState) -> int:
    return state.at_us + cap.window_us


def _calendar_end(cap: Cap, state: CounterState) -> int:
    """Believe the cap, whose calendar may have changed, unless its window is an earlier one."""
    return cap.end_us if state.at_us < cap.end_us else state.carry


def _sliding_end(cap: Cap, state: CounterState) -> int:
    return state.at_us + cap.window_us * (2 if state.counted else 1)


def _bucket_empty(cap: Cap, state: CounterState) -> int | None:
    if not state.counted:
        return state.at_us
    if not cap.refill:
        return None
    missing = state.counted * cap.window_us - state.carry
    return state.at_us + -(-missing // cap.refill)


def _never(cap: Cap, state: CounterState) -> None:
    del cap, state


_EMPTIES: Final[dict[Algorithm, Callable[[Cap, CounterState], int | None]]] = {
    Algorithm.FIXED_WINDOW: _window_end,
    Algorithm.FIRST_HIT: _window_end,
    Algorithm.CALENDAR: _calendar_end,
    Algorithm.LIFETIME: _never,
    Algorithm.SLIDING_WINDOW: _sliding_end,
    Algorithm.TOKEN_BUCKET: _bucket_empty,
    Algorithm.CONCURRENCY: _never,
}


def _fits_at_window(cap: Cap, state: CounterState, amount: int, now_us: int) -> int | None:
    if fits(cap, state.counted, amount):
        return now_us
    return empties_at_us(cap, state)


def _fits_at_sliding(cap: Cap, state: CounterState, amount: int, now_us: int) -> int:
    room = cap.limit - max(amount, 1) - state.counted
    if room >= 0:
        return max(now_us, state.at_us + _overlap_end(cap, state.carry, room))
    room += state.counted
    return state.at_us + cap.window_us + _overlap_end(cap, state.counted, room)


def _overlap_end(cap: Cap, carry: int, room: int) -> int:
    """Return how far into a window the part of the one before has shrunk to the room."""
    return cap.window_us - room * cap.window_us // carry if carry > room else 0


def _fits_at_bucket(cap: Cap, state: CounterState, amount: int, now_us: int) -> int | None:
    excess = state.counted + max(amount, 1) - cap.limit
    if excess <= 0:
        return now_us
    if not cap.refill:
        return None
    missing = excess * cap.window_us - state.carry
    return max(now_us, state.at_us + -(-missing // cap.refill))


_FITS_AT: Final[dict[Algorithm, Callable[[Cap, CounterState, int, int], int | None]]] = {
    Algorithm.FIXED_WINDOW: _fits_at_window,
    Algorithm.FIRST_HIT: _fits_at_window,
    Algorithm.CALENDAR: _fits_at_window,
    Algorithm.LIFETIME: _fits_at_window,
    Algorithm.SLIDING_WINDOW: _fits_at_sliding,
    Algorithm.TOKEN_BUCKET: _fits_at_bucket,
    Algorithm.CONCURRENCY: _fits_at_window,
}
