"""A conversation with one slot, as tests of it have them."""

from __future__ import annotations

from typing import Final

from ratelimit_service.core.algorithms import Algorithm, Cap, held_part
from ratelimit_service.core.holds import Holds
from ratelimit_service.core.messages import (
    Admit,
    Exchange,
    Hold,
    HoldKind,
    Line,
    Look,
    Message,
    Payment,
    Settle,
    SlotReply,
    Swap,
    Verdict,
    View,
)
from ratelimit_service.core.slot import Slot

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
T: Final = 28_333_333 * MINUTE
FIXED: Final = Cap(Algorithm.FIXED_WINDOW, 10, 24 * HOUR)
MINUTELY: Final = Cap(Algorithm.FIXED_WINDOW, 10, MINUTE)
LIFETIME: Final = Cap(Algorithm.LIFETIME, 10, 30 * 24 * HOUR)
LEASES: Final = Cap(Algorithm.CONCURRENCY, 2)
CALENDAR: Final = Cap(Algorithm.CALENDAR, 10, start_us=T, end_us=T + HOUR)


class Talk:
    """A slot, and a clock that moves when a test says so."""

    def __init__(self) -> None:
        self.slot = Slot()
        self.now_us = T
        self._holds = 0

    def say(self, message: Message) -> SlotReply:
        return self.slot.handle(message, self.now_us)

    def admit(self, *lines: Line, hold_id: str = "", swap: Swap | None = None) -> SlotReply:
        self._holds += 1
        return self.say(Admit(hold_id or f"h{self._holds}.", lines, swap))

    def reserve(self, line: Line, hold_id: str = "") -> Hold:
        """Admit a line that must fit, and return its hold."""
        reply = self.admit(line, hold_id=hold_id)
        assert reply.verdict is Verdict.DONE
        (view,) = reply.views
        assert line.kind is not None
        return Hold(hold_id or f"h{self._holds}.", line.kind, view.granted, view.state.at_us)

    def settle(self, line: Line, held: Hold, actual: int) -> View:
        (view,) = self.say(Settle((Payment(line.key, line.cap, held, actual),))).views
        return view

    def has(self, held: Hold, key: str) -> bool:
        """Tell whether a hold is there, due or not."""
        return held in self.slot._cells[key].holds

    def lose_counter(self, key: str) -> None:
        """Forget what a counter holds, as a store does that must make room."""
        self.slot._cells[key].state = None

    def lose_holds(self, key: str) -> None:
        """Forget its holds alone."""
        self.slot._cells[key].holds = Holds()

    def used_and_held(self, line: Line) -> tuple[int, int]:
        """Return what is counted, holds included, and what is held."""
        (view,) = self.say(Look((line,))).views
        return view.state.counted, held_part(view.state)


def line(
    amount: int = 1, kind: HoldKind | None = HoldKind.KEEP, cap: Cap = FIXED, key: str = "key"
) -> Line:
    return Line(key, cap, amount, amount, kind, MINUTE)


def lease(amount: int = 1) -> Line:
    return line(amount, HoldKind.LEASE, LEASES)


def exchanged(item: Line, old: Hold, kind: HoldKind = HoldKind.KEEP, amount: int = -1) -> Exchange:
    return Exchange(item.key, item.cap, old, kind, old.amount if amount < 0 else amount, 5 * MINUTE)
