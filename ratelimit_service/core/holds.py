"""A counter with its holds, and what one message does to them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from ratelimit_service.core.algorithms import (
    Algorithm,
    Cap,
    CounterState,
    add,
    correct,
    hold,
    roll,
    without_holds,
)
from ratelimit_service.core.messages import (
    GRACE_US,
    LATE_US,
    LOOKED_AT,
    OPEN_KINDS,
    SWEEP_BOUND,
    Hold,
    HoldKind,
)
from ratelimit_service.core.waiting import Release, forgettable_at_us

_LEAVES: Final = {HoldKind.KEEP: HoldKind.KEPT, HoldKind.RELEASE: HoldKind.RELEASED}
_GIVES_BACK: Final = frozenset({HoldKind.TENTATIVE, HoldKind.RELEASE, HoldKind.LEASE})

_Entry: TypeAlias = tuple[int, str, Hold]


class Holds:
    """The holds of one counter by expiry, and by their text where that is equal."""

    def __init__(self) -> None:
        self._expiries: dict[Hold, int] = {}
        self._entries: list[_Entry] = []

    def __contains__(self, held: Hold) -> bool:
        return held in self._expiries

    def __iter__(self) -> Iterator[Hold]:
        return iter(self._expiries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def last_us(self) -> int:
        """When the last of them expires; 0 for none."""
        return self._entries[-1][0] if self._entries else 0

    def put(self, held: Hold, expires_at_us: int) -> None:
        """Add a hold, or change its expiry."""
        self.take(held)
        self._expiries[held] = expires_at_us
        insort(self._entries, (expires_at_us, str(held), held), key=_place)

    def take(self, held: Hold) -> bool:
        """Remove a hold, and tell whether it was there."""
        expires_at_us = self._expiries.pop(held, None)
        if expires_at_us is None:
            return False
        del self._entries[bisect_left(self._entries, (expires_at_us, str(held)), key=_place)]
        return True

    def first(self, at_most: int) -> Sequence[_Entry]:
        """Return those that expire first, each with its expiry and text."""
        return self._entries[:at_most]

    def due(self, now_us: int, at_most: int) -> Sequence[_Entry]:
        """Return those that have expired, the longest expired first."""
        end = bisect_right(self._entries, now_us, key=lambda entry: entry[0])
        return self._entries[: min(end, at_most)]


def _place(entry: _Entry) -> tuple[int, str]:
    return entry[:2]


class Cell:
    """What is stored of one counter. ``state`` is None until something is charged or held."""

    __slots__ = ("holds", "state")

    def __init__(self) -> None:
        self.state: CounterState | None = None
        self.holds = Holds()


class Turn:
    """What one message sees of a cell, and does to it.

    ``state`` is rolled to the time, and due holds have ended in it. The cell itself stays
    as it is until sweep(), put() and take(), its state until sweep() and keep().
    """

    def __init__(self, cell: Cell, cap: Cap, now_us: int) -> None:
        self.cell = cell
        self.cap = cap
        self.touched = False
        self._now_us = now_us
        state = cell.state
        if state is not None and not cell.holds:
            state = without_holds(cap, state)
        self._rolled = self.state = roll(cap, state, now_us)
        self._due: Sequence[_Entry] = cell.holds.due(now_us, SWEEP_BOUND)
        if self._due:
            for _, _, held in self._due:
                self._end(held)
            self.state = roll(cap, self.state, now_us)

    def sweep(self) -> bool:
        """Remove the holds that were due, and tell whether they gave back what is counted."""
        due, self._due = self._due, ()
        for expires_at_us, _, held in due:
            self.cell.holds.take(held)
            left = _LEAVES.get(held.kind)
            if left is not None and expires_at_us + LATE_US > self._now_us:
                marker = Hold(held.id, left, held.amount, held.charged_at_us)
                self.cell.holds.put(marker, expires_at_us + LATE_US)
        return self.cell.state is not None and self.keep()

    def keep(self) -> bool:
        """Store the state if this turn has changed it by more than the passing of time.

        Time alone must leave no trace: else a look would begin the window of a first hit.
        """
        changed = self.state != self._rolled
        if changed:
            self.cell.state = self._rolled = self.state
        return changed

    def charge(self, amount: int) -> None:
        """Count an amount. Even one of 0 makes the window begin."""
        self.cell.state = self._rolled = self.state = add(
            self.cap, self.state, amount, self._now_us
        )
        self.touched = True

    def put(self, held: Hold, lasts_us: int) -> None:
        """Add a hold, or change its expiry. Its charge is made elsewhere."""
        self.cell.holds.put(held, self._now_us + lasts_us)
        self.touched = True

    def take(self, held: Hold) -> bool:
        """Remove a hold, and tell whether it was there. Its charge stays."""
        taken = self.cell.holds.take(held)
        self.touched |= taken
        return taken

    def correct(self, held: Hold, difference: int) -> None:
        """Change what was charged with a hold."""
        self.state = correct(self.cap, self.state, held.charged_at_us, difference)

    def hold(self, held: Hold, difference: int) -> None:
        """Change what is held by a hold."""
        self.state = hold(self.cap, self.state, held.charged_at_us, difference)

    def state_until_us(self) -> int:
        """Return until when the state must be remembered."""
        return forgettable_at_us(self.cap, self.state) + GRACE_US

    def needed_until_us(self) -> int:
        """Return until when the cell must be remembered, with its holds and what they leave."""
        if not self.cell.holds:
            return self.state_until_us()
        late_us = 0 if self.cap.algorithm is Algorithm.CONCURRENCY else LATE_US
        return max(self.state_until_us(), self.cell.holds.last_us + late_us + GRACE_US)

    def releases(self) -> tuple[Release, ...]:
        """Return holds that give back when they expire, the soonest first."""
        return tuple(
            Release(expires_at_us, held.charged_at_us, held.amount)
            for expires_at_us, _, held in self._open()
            if held.kind in _GIVES_BACK and held.amount
        )

    def without_tentative(self) -> CounterState:
        """Return the state as if no reservation were undecided."""
        state = self.state
        for _, _, held in self._open():
            if held.kind is HoldKind.TENTATIVE:
                state = correct(self.cap, state, held.charged_at_us, -held.amount)
        return state

    def _open(self) -> Sequence[_Entry]:
        return self.cell.holds.first(len(self._due) + LOOKED_AT)[len(self._due) :]

    def _end(self, held: Hold) -> None:
        if held.kind in _GIVES_BACK:
            self.correct(held, -held.amount)
        if held.kind in OPEN_KINDS:
            self.hold(held, -held.amount)
