"""How counters count: pure steps from one state to the next.

The scripts in lua/ do the same arithmetic; a property test holds the two together.
Times are microseconds since the Unix epoch. A clock that goes back behind a counter's
last time is taken to stand at it. All rounding goes against the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ratelimit_service.core.units import MAX_AMOUNT


class Algorithm(Enum):
    """The ways of counting; the value is part of a counter's identity."""

    FIXED_WINDOW = "fixed_window"
    """Windows aligned to the epoch."""

    FIRST_HIT = "first_hit"
    """A window begins with the first charge after the last window."""

    CALENDAR = "calendar"
    """Windows between two instants that a calendar gives."""

    LIFETIME = "lifetime"
    """One window, that ends when the counter has been idle for long."""

    SLIDING_WINDOW = "sliding_window"
    """The current window, and the part of the one before that still overlaps."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - the name of an algorithm, no secret
    """A level that charges raise and that drains evenly (GCRA)."""

    CONCURRENCY = "concurrency"
    """What is in flight: open leases, and nothing else."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit as its counter sees it.

    ``limit`` is the most that may be counted at once: for a token bucket its burst.
    ``window_us`` is the length of the window, for a lifetime the idle time that ends it.
    ``refill`` is what a token bucket drains in a window; ``start_us`` and ``end_us``
    bound a calendar's current window. Each is 0 where it has no meaning.
    """

    algorithm: Algorithm
    limit: int
    window_us: int = 0
    refill: int = 0
    start_us: int = 0
    end_us: int = 0


@dataclass(frozen=True, slots=True)
class CounterState:
    """What a counter keeps.

    ``at_us``: when its window began; for a token bucket when it last drained, for a
    lifetime its last use. ``counted``: the window's sum, the level, or the leases.
    ``carry``: the sum of the window before (sliding), or what is drained of the next
    unit, in units of 1 / window_us (token bucket). ``held``: the part of ``counted``
    that open reservations account for.
    """

    at_us: int = 0
    counted: int = 0
    carry: int = 0
    held: int = 0


def roll(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    """Return the state as it is now: windows that ended are gone, levels have drained."""
    return _ROLL[cap.algorithm](cap, state, now_us)


def usage(cap: Cap, state: CounterState, now_us: int) -> int:
    """Return how much of the limit a rolled state takes, holds included."""
    if cap.algorithm is not Algorithm.SLIDING_WINDOW or not state.carry:
        return state.counted
    left_us = max(0, state.at_us + cap.window_us - max(now_us, state.at_us))
    return state.counted + -(-state.carry * left_us // cap.window_us)


def fits(cap: Cap, used: int, amount: int) -> bool:
    """Tell whether an amount fits on top of a usage; 0 fits where any is left."""
    return used + max(amount, 1) <= cap.limit


def add(cap: Cap, state: CounterState, amount: int, now_us: int) -> CounterState:
    """Count an amount in a rolled state. Sums stop at MAX_AMOUNT."""
    at_us = max(state.at_us, now_us) if cap.algorithm is Algorithm.LIFETIME else state.at_us
    return replace(state, at_us=at_us, counted=min(state.counted + amount, MAX_AMOUNT))


def correct(cap: Cap, state: CounterState, charged_at_us: int, difference: int) -> CounterState:
    """Change what was counted in the window that began at ``charged_at_us``.

    A window that is gone stays as it was. Nothing goes below 0 or above MAX_AMOUNT.
    """
    if charged_at_us == state.at_us or cap.algorithm in _WITHOUT_WINDOWS:
        return replace(state, counted=_clamp(state.counted + difference))
    if cap.algorithm is Algorithm.SLIDING_WINDOW and charged_at_us == state.at_us - cap.window_us:
        return replace(state, carry=_clamp(state.carry + difference))
    return state


def hold(cap: Cap, state: CounterState, charged_at_us: int, difference: int) -> CounterState:
    """Change what open reservations hold, unless they were charged to a window that is gone."""
    if charged_at_us == state.at_us or cap.algorithm in _WITHOUT_WINDOWS:
        return replace(state, held=_clamp(state.held + difference))
    return state


def empties_at_us(cap: Cap, state: CounterState) -> int | None:
    """Return when a rolled state counts nothing any more if nobody calls; None is never."""
    return _EMPTIES[cap.algorithm](cap, state)


@dataclass(frozen=True, slots=True)
class Release:
    """A hold that gives its amount back when it expires."""

    expires_at_us: int
    charged_at_us: int
    amount: int


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
    for release in [*releases, None]:
        state = roll(cap, state, at_us)
        found = _FITS_AT[cap.algorithm](cap, state, amount, at_us)
        if release is None or (found is not None and found <= release.expires_at_us):
            return found
        at_us = max(at_us, release.expires_at_us)
        state = correct(cap, roll(cap, state, at_us), release.charged_at_us, -release.amount)
    return None


def _clamp(amount: int) -> int:
    return max(0, min(amount, MAX_AMOUNT))


_WITHOUT_WINDOWS: Final = frozenset(
    {Algorithm.LIFETIME, Algorithm.TOKEN_BUCKET, Algorithm.CONCURRENCY}
)


def _roll_fixed(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    at_us = now_us - now_us % cap.window_us
    return state if state is not None and state.at_us >= at_us else CounterState(at_us)


def _roll_first_hit(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    if state is not None and now_us < state.at_us + cap.window_us:
        return state
    return CounterState(now_us)


def _roll_calendar(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    del now_us
    return (
        state if state is not None and state.at_us >= cap.start_us else CounterState(cap.start_us)
    )


def _roll_lifetime(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    """Keep a lifetime going while something is held, however long nothing else is used."""
    if state is not None and (now_us <= state.at_us + cap.window_us or state.held):
        return state
    return CounterState(now_us)


def _roll_sliding(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    at_us = now_us - now_us % cap.window_us
    if state is not None and state.at_us >= at_us:
        return state
    carry = state.counted if state is not None and state.at_us == at_us - cap.window_us else 0
    return CounterState(at_us, carry=carry)


def _roll_bucket(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    if state is None:
        return CounterState(now_us)
    elapsed_us = max(0, now_us - state.at_us)
    drained, carry = divmod(elapsed_us * cap.refill + state.carry, cap.window_us)
    if drained >= state.counted:
        return CounterState(max(now_us, state.at_us), held=state.held)
    return CounterState(
        max(now_us, state.at_us), state.counted - drained, carry=carry, held=state.held
    )


def _roll_concurrency(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    del cap, now_us
    return state if state is not None else CounterState()


_ROLL: Final[dict[Algorithm, Callable[[Cap, CounterState | None, int], CounterState]]] = {
    Algorithm.FIXED_WINDOW: _roll_fixed,
    Algorithm.FIRST_HIT: _roll_first_hit,
    Algorithm.CALENDAR: _roll_calendar,
    Algorithm.LIFETIME: _roll_lifetime,
    Algorithm.SLIDING_WINDOW: _roll_sliding,
    Algorithm.TOKEN_BUCKET: _roll_bucket,
    Algorithm.CONCURRENCY: _roll_concurrency,
}


def _window_end(cap: Cap, state: CounterState) -> int:
    return state.at_us + cap.window_us


def _calendar_end(cap: Cap, state: CounterState) -> int:
    del state
    return cap.end_us


def _sliding_end(cap: Cap, state: CounterState) -> int:
    return state.at_us + cap.window_us * (2 if state.counted else 1)


def _bucket_empty(cap: Cap, state: CounterState) -> int:
    missing = state.counted * cap.window_us - state.carry
    return state.at_us + max(0, -(-missing // cap.refill))


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


def _fits_at_bucket(cap: Cap, state: CounterState, amount: int, now_us: int) -> int:
    excess = state.counted + max(amount, 1) - cap.limit
    if excess <= 0:
        return now_us
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
