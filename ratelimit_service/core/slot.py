"""One slot of a store as a state machine without I/O: counters, holds and records.

The memory store is made of it, and the scripts in lua/ do the same. Every message is
given the time, in microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from ratelimit_service.core.algorithms import (
    Cap,
    CounterState,
    Release,
    add,
    correct,
    fits,
    hold,
    roll,
    usage,
)
from ratelimit_service.core.messages import (
    LATE_US,
    OPEN_KINDS,
    Admit,
    Cancel,
    Confirm,
    Exchange,
    Hold,
    HoldKind,
    Line,
    ListDue,
    Look,
    Message,
    Payment,
    Read,
    Record,
    Renew,
    Settle,
    SlotReply,
    Swap,
    Verdict,
    View,
    Write,
)

SWEEP_BOUND: Final = 200
"""The most holds of one counter that one message ends because they are due."""

RELEASES_BOUND: Final = 100
"""The most holds that a refusal looks at to say when to come back."""

_LEAVES: Final = {HoldKind.KEEP: HoldKind.KEPT, HoldKind.RELEASE: HoldKind.RELEASED}
_GIVES_BACK: Final = frozenset({HoldKind.TENTATIVE, HoldKind.RELEASE, HoldKind.LEASE})


@dataclass(slots=True)
class Cell:
    """A counter and its holds, each with the time at which it expires."""

    state: CounterState | None = None
    holds: dict[Hold, int] = field(default_factory=dict)
    soonest_us: int = 0
    """No hold expires before this."""

    def put(self, held: Hold, expires_at_us: int) -> None:
        """Add a hold, or change its expiry."""
        self.holds[held] = expires_at_us
        self.soonest_us = (
            min(self.soonest_us, expires_at_us) if len(self.holds) > 1 else expires_at_us
        )

    def in_order(self) -> list[tuple[int, Hold]]:
        """Return the holds by expiry, and by text where that is equal."""
        items = [(expires_at_us, held) for held, expires_at_us in self.holds.items()]
        return sorted(items, key=lambda item: (item[0], str(item[1])))

    def settle_to(self, cap: Cap, now_us: int) -> CounterState:
        """Roll the counter to a time and end the holds that are due by then."""
        state = roll(cap, self.state, now_us)
        if self.holds and self.soonest_us <= now_us:
            ordered = self.in_order()
            for expires_at_us, held in ordered[:SWEEP_BOUND]:
                if expires_at_us > now_us:
                    break
                state = self._end(cap, state, held, expires_at_us)
            self.soonest_us = min(self.holds.values(), default=0)
            state = roll(cap, state, now_us)
        if self.state is not None:
            self.state = state
        return state

    def _end(self, cap: Cap, state: CounterState, held: Hold, expires_at_us: int) -> CounterState:
        del self.holds[held]
        left = _LEAVES.get(held.kind)
        if left is not None:
            self.holds[Hold(held.id, left, held.amount, held.charged_at_us)] = (
                expires_at_us + LATE_US
            )
        if held.kind in _GIVES_BACK:
            state = correct(cap, state, held.charged_at_us, -held.amount)
        if held.kind in OPEN_KINDS:
            state = hold(cap, state, held.charged_at_us, -held.amount)
        return state

    def releases(self) -> tuple[Release, ...]:
        """Return the first holds that give back when they expire, in that order."""
        giving = [
            Release(expires_at_us, held.charged_at_us, held.amount)
            for expires_at_us, held in self.in_order()
            if held.kind in _GIVES_BACK
        ]
        return tuple(giving[:RELEASES_BOUND])

    def without_tentative(self, cap: Cap, state: CounterState) -> CounterState:
        """Return the state as if no reservation were undecided."""
        for held in self.holds:
            if held.kind is HoldKind.TENTATIVE:
                state = correct(cap, state, held.charged_at_us, -held.amount)
        return state


class Slot:
    """Counters, holds and records that change together."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._records: dict[str, Record] = {}
        self._due: dict[str, dict[str, int]] = {}

    def handle(self, message: Message, now_us: int) -> SlotReply:
        """Do one message, whole or not at all, and answer it."""
        return _HANDLERS[type(message)](self, message, now_us)

    def admit(self, message: Admit, now_us: int) -> SlotReply:
        """Charge every line or none."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        views = tuple(self._offer(line, now_us) for line in message.lines)
        if not all(view.fits for view in views):
            return SlotReply(self._refusal(message.lines, views, now_us), now_us, views)
        charged = tuple(
            self._charge(message.hold_id, line, view, now_us)
            for line, view in zip(message.lines, views, strict=True)
        )
        states = tuple(view.state for view in charged)
        record = self._swap(message.swap, now_us, states)
        return SlotReply(Verdict.DONE, now_us, charged, record)

    def _offer(self, line: Line, now_us: int) -> View:
        """Say what of a line fits; its cell is rolled, and nothing is charged."""
        cell = self._cells.get(line.key) or Cell()
        state = cell.settle_to(line.cap, now_us)
        used = usage(line.cap, state, now_us)
        if fits(line.cap, used, line.amount):
            return View(state, line.amount)
        if fits(line.cap, used, line.minimum):
            return View(state, line.cap.limit - used)
        return View(state, fits=False, releases=cell.releases())

    def _refusal(self, lines: Iterable[Line], views: Iterable[View], now_us: int) -> Verdict:
        for line, view in zip(lines, views, strict=True):
            if view.fits:
                continue
            cell = self._cells.get(line.key) or Cell()
            state = cell.without_tentative(line.cap, view.state)
            if not fits(line.cap, usage(line.cap, state, now_us), line.minimum):
                return Verdict.OVER
        return Verdict.CONTENDED

    def _charge(self, hold_id: str, line: Line, view: View, now_us: int) -> View:
        if line.kind is None and not view.granted:
            return view
        state = add(line.cap, view.state, view.granted, now_us)
        cell = self._cells.setdefault(line.key, Cell())
        if line.kind is not None:
            state = hold(line.cap, state, state.at_us, view.granted)
            held = Hold(hold_id, line.kind, view.granted, state.at_us)
            cell.put(held, now_us + line.lasts_us)
        cell.state = state
        return View(state, view.granted)

    def confirm(self, message: Confirm, now_us: int) -> SlotReply:
        """Exchange every hold or none."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        if not all(self._is_open(exchange, now_us) for exchange in message.exchanges):
            return SlotReply(Verdict.GONE, now_us)
        views = tuple(self._exchange(exchange, now_us) for exchange in message.exchanges)
        record = self._swap(message.swap, now_us, ())
        return SlotReply(Verdict.DONE, now_us, views, record)

    def renew(self, message: Renew, now_us: int) -> SlotReply:
        """Exchange the holds that are still open."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        for exchange in message.exchanges:
            if self._is_open(exchange, now_us):
                self._exchange(exchange, now_us)
        return SlotReply(Verdict.DONE, now_us, record=self._swap(message.swap, now_us, ()))

    def _is_open(self, exchange: Exchange, now_us: int) -> bool:
        cell = self._cells.get(exchange.key)
        if cell is None:
            return False
        cell.settle_to(exchange.cap, now_us)
        return exchange.old in cell.holds

    def _exchange(self, exchange: Exchange, now_us: int) -> View:
        cell, old = self._cells[exchange.key], exchange.old
        state = cell.settle_to(exchange.cap, now_us)
        difference = exchange.amount - old.amount
        state = correct(exchange.cap, state, old.charged_at_us, difference)
        state = hold(exchange.cap, state, old.charged_at_us, difference)
        del cell.holds[old]
        new = Hold(old.id, exchange.kind, exchange.amount, old.charged_at_us)
        cell.put(new, now_us + exchange.lasts_us)
        cell.state = state
        return View(state, exchange.amount)

    def settle(self, message: Settle, now_us: int) -> SlotReply:
        """End holds and correct what they charged."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        views = tuple(self._pay(payment, now_us) for payment in message.payments)
        record = self._swap(message.swap, now_us, ())
        return SlotReply(Verdict.DONE, now_us, views, record)

    def _pay(self, payment: Payment, now_us: int) -> View:
        cap, held = payment.cap, payment.hold
        cell = self._cells.get(payment.key) or Cell()
        state = cell.settle_to(cap, now_us)
        kept = Hold(held.id, HoldKind.KEPT, held.amount, held.charged_at_us)
        released = Hold(held.id, HoldKind.RELEASED, held.amount, held.charged_at_us)
        if cell.holds.pop(held, None) is not None:
            actual = 0 if held.kind is HoldKind.LEASE else payment.actual
            state = correct(cap, state, held.charged_at_us, actual - held.amount)
            state = hold(cap, state, held.charged_at_us, -held.amount)
        elif cell.holds.pop(kept, None) is not None:
            state = correct(cap, state, held.charged_at_us, payment.actual - held.amount)
        elif cell.holds.pop(released, None) is not None:
            state = correct(cap, state, held.charged_at_us, payment.actual)
        else:
            return View(state)
        cell.state = state
        return View(state, payment.actual)

    def cancel(self, message: Cancel, now_us: int) -> SlotReply:
        """Give back what is held under some ids."""
        for line in message.lines:
            cell = self._cells.get(line.key)
            if cell is None:
                continue
            state = cell.settle_to(line.cap, now_us)
            for held in [held for held in cell.holds if held.id.startswith(message.ids_from)]:
                del cell.holds[held]
                if held.kind is not HoldKind.RELEASED:
                    state = correct(line.cap, state, held.charged_at_us, -held.amount)
                if held.kind in OPEN_KINDS:
                    state = hold(line.cap, state, held.charged_at_us, -held.amount)
            cell.state = state
        return SlotReply(Verdict.DONE, now_us)

    def look(self, message: Look, now_us: int) -> SlotReply:
        """Tell what counters hold."""
        views = tuple(
            View((self._cells.get(line.key) or Cell()).settle_to(line.cap, now_us))
            for line in message.lines
        )
        return SlotReply(Verdict.DONE, now_us, views)

    def write(self, message: Write, now_us: int) -> SlotReply:
        """Write a record."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        return SlotReply(Verdict.DONE, now_us, record=self._swap(message.swap, now_us, ()))

    def read(self, message: Read, now_us: int) -> SlotReply:
        """Tell what is remembered of a reservation."""
        return SlotReply(Verdict.DONE, now_us, record=self._record(message.name, now_us))

    def list_due(self, message: ListDue, now_us: int) -> SlotReply:
        """Name the records that are due."""
        due = sorted(
            (due_us, name)
            for name, due_us in self._due.get(message.due_list, {}).items()
            if due_us <= now_us
        )
        names = tuple(name for _, name in due[: message.most])
        return SlotReply(Verdict.DONE, now_us, names=names)

    def _record(self, name: str, now_us: int) -> Record | None:
        record = self._records.get(name)
        if record is not None and record.expires_at_us + LATE_US <= now_us:
            del self._records[name]
            return None
        return record

    def _conflict(self, swap: Swap | None, now_us: int) -> SlotReply | None:
        if swap is None:
            return None
        record = self._record(swap.name, now_us)
        if swap.expected == (record.revision if record is not None else 0):
            return None
        return SlotReply(Verdict.CONFLICT, now_us, record=record)

    def _swap(
        self, swap: Swap | None, now_us: int, states: tuple[CounterState, ...]
    ) -> Record | None:
        if swap is None:
            return None
        before = self._records.get(swap.name)
        if swap.lasts_us or before is None:
            expires_at_us = now_us + swap.lasts_us
        else:
            expires_at_us = before.expires_at_us
        states = states or swap.states
        admitted_at_us = now_us if states else (before.admitted_at_us if before else 0)
        record = Record(
            revision=swap.expected + 1,
            state=swap.state,
            payload=swap.payload,
            secret=swap.secret,
            expires_at_us=expires_at_us,
            body=swap.body,
            admitted_at_us=admitted_at_us,
            states=states or (before.states if before else ()),
        )
        self._records[swap.name] = record
        self._list(swap, now_us)
        return record

    def _list(self, swap: Swap, now_us: int) -> None:
        if not swap.due_list:
            return
        names = self._due.setdefault(swap.due_list, {})
        if swap.due_us:
            names[swap.name] = now_us + swap.due_us
        else:
            names.pop(swap.name, None)


_HANDLERS: Final[dict[type[Message], Callable[..., SlotReply]]] = {
    Admit: Slot.admit,
    Confirm: Slot.confirm,
    Renew: Slot.renew,
    Settle: Slot.settle,
    Cancel: Slot.cancel,
    Look: Slot.look,
    Write: Slot.write,
    Read: Slot.read,
    ListDue: Slot.list_due,
}
