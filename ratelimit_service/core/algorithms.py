"""How counters count: pure steps from one state to the next.

The scripts in lua/ do the same arithmetic; a property test holds the two together.
Times are microseconds since the Unix epoch. A clock that goes back behind a counter's
last time is taken to stand at it. All rounding goes against the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ratelimit_service.core.units import MAX_AMOUNT

LONGEST_WINDOW_US: Final = 2**51
"""Scripts divide exactly by windows of at most this length, about 71 years."""


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
    ``refill`` is what a token bucket drains in a window, at least 1 if anything can be
    charged to it; ``start_us`` and ``end_us`` bound a calendar's current window. Each is 0
    where it has no meaning.
    """

    algorithm: Algorithm
    limit: int
    window_us: int = 0
    refill: int = 0
    start_us: int = 0
    end_us: int = 0

    def knows(self, now_us: int) -> bool:
        """Tell whether a decision can be made at a time: a calendar's must lie in its window."""
        return self.algorithm is not Algorithm.CALENDAR or self.start_us <= now_us < self.end_us


@dataclass(frozen=True, slots=True)
class CounterState:
    """What a counter keeps.

    ``at_us``: when its window began; for a token bucket when it last drained, for a
    lifetime its last use. ``counted``: the window's sum, the level, or the leases.
    ``carry``: the sum of the window before (sliding), what is drained of the next
    unit, in units of 1 / window_us (token bucket), or when the window ends (calendar).
    ``held``: what open reservations were charged in it; a token bucket drains below that.
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


def held_part(state: CounterState) -> int:
    """Return the part of what is counted that open reservations still account for."""
    return min(state.held, state.counted)


def fits(cap: Cap, used: int, amount: int) -> bool:
    """Tell whether an amount fits on top of a usage; 0 fits where any is left."""
    return used + max(amount, 1) <= cap.limit


def add(cap: Cap, state: CounterState, amount: int, now_us: int) -> CounterState:
    """Count an amount in a rolled state. Sums stop at MAX_AMOUNT."""
    at_us = max(state.at_us, now_us) if cap.algorithm is Algorithm.LIFETIME else state.at_us
    return CounterState(at_us, _clamp(state.counted + amount), state.carry, state.held)


def correct(cap: Cap, state: CounterState, charged_at_us: int, difference: int) -> CounterState:
    """Change what was counted in the window that began at ``charged_at_us``.

    A window that is gone stays as it was. Nothing goes below 0 or above MAX_AMOUNT.
    """
    if _is_current(cap, state, charged_at_us):
        return replace(state, counted=_clamp(state.counted + difference))
    if _is_previous(cap, state, charged_at_us):
        return replace(state, carry=_clamp(state.carry + difference))
    return state


def shortfall(cap: Cap, state: CounterState, charged_at_us: int, difference: int) -> int:
    """Return how much of what correct() gives back was not counted any more (F23).

    Above 0 something has gone wrong before. A token bucket drains, so that it lacks nothing.
    """
    if cap.algorithm is Algorithm.TOKEN_BUCKET:
        return 0
    if _is_current(cap, state, charged_at_us):
        return max(0, -difference - state.counted)
    if _is_previous(cap, state, charged_at_us):
        return max(0, -difference - state.carry)
    return 0


def hold(cap: Cap, state: CounterState, charged_at_us: int, difference: int) -> CounterState:
    """Change what open reservations hold, unless they were charged to a window that is gone."""
    if _is_current(cap, state, charged_at_us):
        return replace(state, held=_clamp(state.held + difference))
    return state


def without_holds(cap: Cap, state: CounterState) -> CounterState:
    """Return what a counter has that no hold accounts for, should holds have been lost."""
    counted = 0 if cap.algorithm is Algorithm.CONCURRENCY else state.counted
    return replace(state, counted=counted, held=0)


def _clamp(amount: int) -> int:
    return max(0, min(amount, MAX_AMOUNT))


_WITHOUT_WINDOWS: Final = frozenset(
    {Algorithm.LIFETIME, Algorithm.TOKEN_BUCKET, Algorithm.CONCURRENCY}
)


def _is_current(cap: Cap, state: CounterState, charged_at_us: int) -> bool:
    return charged_at_us == state.at_us or cap.algorithm in _WITHOUT_WINDOWS


def _is_previous(cap: Cap, state: CounterState, charged_at_us: int) -> bool:
    sliding = cap.algorithm is Algorithm.SLIDING_WINDOW
    return sliding and charged_at_us == state.at_us - cap.window_us


def _roll_fixed(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    at_us = now_us - now_us % cap.window_us
    return state if state is not None and state.at_us >= at_us else CounterState(at_us)


def _roll_first_hit(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    if state is not None and now_us < state.at_us + cap.window_us:
        return state
    return CounterState(now_us)


def _roll_calendar(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    """Keep a window until a cap names a later one; its time is not asked for here."""
    del now_us
    if state is not None and state.at_us >= cap.start_us:
        return state
    return CounterState(cap.start_us, carry=cap.end_us)


def _roll_lifetime(cap: Cap, state: CounterState | None, now_us: int) -> CounterState:
    """Keep a lifetime going while something is held, however long nothing else is used."""
    if state is not None and state.held:
        return state
    if state is not None and state.counted and now_us <= state.at_us + cap.window_us:
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
    at_us = max(now_us, state.at_us)
    if drained >= state.counted:
        return CounterState(at_us, held=state.held)
    return CounterState(at_us, state.counted - drained, carry, state.held)


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
