"""How counters count: pure steps from one state to the next.

The scripts in lua/ do the same arithmetic; a property test holds the two together.
Times are microseconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from ratelimit_service.core.units import MAX_AMOUNT


@dataclass(frozen=True, slots=True)
class WindowState:
    """A fixed window: when it began, and what has been counted in it."""

    started_at_us: int
    counted: int

    def reset_in_us(self, window_us: int, now_us: int) -> int:
        """Microseconds until the window ends, at least 1 and at most its length.

        A clock that went back behind the window's start is taken to stand at it.
        """
        return self.started_at_us + window_us - max(now_us, self.started_at_us)


def current_window(state: WindowState | None, window_us: int, now_us: int) -> WindowState:
    """Return the window that holds now: the stored one while it lasts, else an empty one.

    Windows are aligned to the epoch. A window never comes back once a later one was stored,
    whatever the clock says.
    """
    started_at_us = now_us - now_us % window_us
    if state is not None and state.started_at_us >= started_at_us:
        return state
    return WindowState(started_at_us, 0)


def add_hits(state: WindowState, amount: int) -> WindowState:
    """Count an amount, or give it back if negative; stops at 0 and at MAX_AMOUNT."""
    return WindowState(state.started_at_us, clamp_amount(state.counted + amount))


def clamp_amount(amount: int) -> int:
    """Keep a sum within what a counter holds: 0 to MAX_AMOUNT."""
    return max(0, min(amount, MAX_AMOUNT))
