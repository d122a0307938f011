"""One slot of a store as a state machine without I/O: counters, holds and records.

The memory store is made of it, and the scripts in lua/ do the same. Every message is
given the time, in microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ratelimit_service.core.algorithms import CounterState, correct, fits, shortfall, usage
from ratelimit_service.core.counting import weigh
from ratelimit_service.core.forgetting import Forgetting
from ratelimit_service.core.holds import Cell, Turn
from ratelimit_service.core.messages import (
    GRACE_US,
    OPEN_KINDS,
    Admit,
    Cancel,
    Confirm,
    Count,
    CountLine,
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
from ratelimit_service.core.records import Records, needed_until_us


class Slot:
    """Counters, holds and records that change together.

    What has had its time is forgotten when later messages come.
    """

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._records = Records()
        self._kept_cells = Forgetting()
        self._kept_records = Forgetting()

    def __len__(self) -> int:
        """Return how many counters and records are kept."""
        return len(self._cells) + len(self._records)

    def handle(self, message: Message, now_us: int) -> SlotReply:
        """Do one message, whole or not at all, and answer it."""
        return _HANDLERS[type(message)](self, message, now_us)

    def admit(self, message: Admit, now_us: int) -> SlotReply:
        """Charge every line or none."""
        conflict = self._conflict(message.swap, now_us) or _unknown(message.lines, now_us)
        if conflict is not None:
            return conflict
        turns = self._turns(message.lines, now_us)
        views = tuple(_offer(line, turns[line.key], now_us) for line in message.lines)
        if not all(view.fits for view in views):
            return _refuse(message.lines, turns, views, now_us)
        charged = tuple(
            _charge(message.hold_id, line, turns[line.key], view)
            for line, view in zip(message.lines, views, strict=True)
        )
        self._keep(turns, now_us)
        states = tuple(view.state for view in charged)
        return SlotReply(Verdict.DONE, now_us, charged, self._swap(message.swap, now_us, states))

    def confirm(self, message: Confirm, now_us: int) -> SlotReply:
        """Exchange every hold or none."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        turns = self._turns(message.exchanges, now_us)
        if not all(_is_open(exchange, turns[exchange.key]) for exchange in message.exchanges):
            return SlotReply(Verdict.GONE, now_us)
        views = tuple(_exchange(exchange, turns[exchange.key]) for exchange in message.exchanges)
        self._keep(turns, now_us)
        return SlotReply(Verdict.DONE, now_us, views, self._swap(message.swap, now_us))

    def renew(self, message: Renew, now_us: int) -> SlotReply:
        """Exchange the holds that are still open."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        turns = self._turns(message.exchanges, now_us)
        for exchange in message.exchanges:
            if _is_open(exchange, turns[exchange.key]):
                _exchange(exchange, turns[exchange.key])
        self._keep(turns, now_us)
        return SlotReply(Verdict.DONE, now_us, record=self._swap(message.swap, now_us))

    def settle(self, message: Settle, now_us: int) -> SlotReply:
        """End holds and correct what they charged."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        turns = self._turns(message.payments, now_us)
        views = tuple(_pay(payment, turns[payment.key]) for payment in message.payments)
        self._keep(turns, now_us)
        return SlotReply(Verdict.DONE, now_us, views, self._swap(message.swap, now_us))

    def cancel(self, message: Cancel, now_us: int) -> SlotReply:
        """Give back what is held under some ids."""
        turns = self._turns(message.lines, now_us)
        for turn in turns.values():
            for held in [held for held in turn.cell.holds if held.id.startswith(message.ids_from)]:
                _give_back(held, turn)
        self._keep(turns, now_us)
        return SlotReply(Verdict.DONE, now_us)

    def count(self, message: Count, now_us: int) -> SlotReply:
        """Count what a call of ShouldRateLimit charges."""
        unknown = _unknown(message.lines, now_us)
        if unknown is not None:
            return unknown
        turns = self._turns(message.lines, now_us)
        used = {key: usage(turn.cap, turn.state, now_us) for key, turn in turns.items()}
        weighed = weigh(message.lines, used, message.counting)
        views = tuple(
            _count(line, turns[line.key], fits=fit, counts=counted)
            for line, fit, counted in zip(message.lines, weighed.fits, weighed.counts, strict=True)
        )
        self._keep(turns, now_us)
        return SlotReply(Verdict.DONE, now_us, views)

    def look(self, message: Look, now_us: int) -> SlotReply:
        """Tell what counters hold."""
        unknown = _unknown(message.lines, now_us)
        if unknown is not None:
            return unknown
        views = tuple(
            _offer(line, Turn(self._cell(line.key), line.cap, now_us), now_us)
            for line in message.lines
        )
        return SlotReply(Verdict.DONE, now_us, views)

    def write(self, message: Write, now_us: int) -> SlotReply:
        """Write a record."""
        conflict = self._conflict(message.swap, now_us)
        if conflict is not None:
            return conflict
        return SlotReply(Verdict.DONE, now_us, record=self._swap(message.swap, now_us))

    def read(self, message: Read, now_us: int) -> SlotReply:
        """Tell what is remembered of a reservation."""
        return SlotReply(Verdict.DONE, now_us, record=self._records.read(message, now_us))

    def list_due(self, message: ListDue, now_us: int) -> SlotReply:
        """Name the records that are due."""
        names = self._records.due(message.due_list, now_us, message.most)
        return SlotReply(Verdict.DONE, now_us, names=names)

    def _cell(self, key: str) -> Cell:
        return self._cells.get(key) or Cell()

    def _turns(
        self, items: Iterable[Line | CountLine | Exchange | Payment], now_us: int
    ) -> Mapping[str, Turn]:
        """Begin a turn for each counter, and end its due holds for good."""
        turns: dict[str, Turn] = {}
        for item in items:
            if item.key not in turns:
                turn = turns[item.key] = Turn(self._cell(item.key), item.cap, now_us)
                if turn.sweep():
                    self._kept_cells.keep_longer(item.key, turn.state_until_us())
        return turns

    def _keep(self, turns: Mapping[str, Turn], now_us: int) -> None:
        for key, turn in turns.items():
            if turn.touched:
                turn.keep()
                self._cells[key] = turn.cell
                self._kept_cells.keep(key, turn.needed_until_us())
        for key in self._kept_cells.forgotten(now_us, len(turns)):
            del self._cells[key]

    def _conflict(self, swap: Swap | None, now_us: int) -> SlotReply | None:
        if swap is None or self._records.agrees(swap, now_us):
            return None
        record = self._records.find(swap.name, now_us)
        return SlotReply(Verdict.CONFLICT, now_us, record=record)

    def _swap(
        self, swap: Swap | None, now_us: int, states: tuple[CounterState, ...] = ()
    ) -> Record | None:
        if swap is None:
            return None
        record = self._records.write(swap, now_us, states)
        self._kept_records.keep(swap.name, needed_until_us(record) + GRACE_US)
        for name in self._kept_records.forgotten(now_us, 1):
            self._records.forget(name)
        return record


def _unknown(lines: Sequence[Line | CountLine], now_us: int) -> SlotReply | None:
    if all(line.cap.knows(now_us) for line in lines):
        return None
    return SlotReply(Verdict.NEED_BOUNDARIES, now_us)


def _offer(line: Line, turn: Turn, now_us: int) -> View:
    """Say what of a line fits."""
    used = usage(line.cap, turn.state, now_us)
    if fits(line.cap, used, line.amount):
        return View(turn.state, line.amount)
    if fits(line.cap, used, line.minimum):
        return View(turn.state, line.cap.limit - used)
    return View(turn.state, fits=False, releases=turn.releases())


def _refuse(
    lines: Iterable[Line], turns: Mapping[str, Turn], views: Sequence[View], now_us: int
) -> SlotReply:
    """Refuse, and say when to come back unless that is as soon as others are decided."""
    for line in lines:
        used = usage(line.cap, turns[line.key].without_tentative(), now_us)
        if not fits(line.cap, used, line.minimum):
            return SlotReply(Verdict.OVER, now_us, tuple(views))
    bare = tuple(replace(view, releases=()) for view in views)
    return SlotReply(Verdict.CONTENDED, now_us, bare)


def _charge(hold_id: str, line: Line, turn: Turn, view: View) -> View:
    if line.kind is None:
        if view.granted:
            turn.charge(view.granted)
        return View(turn.state, view.granted)
    turn.charge(view.granted)
    held = Hold(hold_id, line.kind, view.granted, turn.state.at_us)
    turn.hold(held, held.amount)
    turn.put(held, line.lasts_us)
    return View(turn.state, view.granted)


def _count(line: CountLine, turn: Turn, *, fits: bool, counts: bool) -> View:
    """Count a line, or give back in the present window what it is below 0."""
    amount = line.amount if counts else 0
    if amount > 0:
        turn.charge(amount)
    elif amount < 0:
        turn.state = correct(turn.cap, turn.state, turn.state.at_us, amount)
        turn.touched = True
    return View(turn.state, amount, fits, () if fits else turn.releases())


def _is_open(exchange: Exchange, turn: Turn) -> bool:
    return exchange.old in turn.cell.holds


def _exchange(exchange: Exchange, turn: Turn) -> View:
    old = exchange.old
    new = Hold(old.id, exchange.kind, exchange.amount, old.charged_at_us)
    turn.correct(old, new.amount - old.amount)
    turn.hold(old, new.amount - old.amount)
    turn.take(old)
    turn.put(new, exchange.lasts_us)
    return View(turn.state, new.amount)


def _pay(payment: Payment, turn: Turn) -> View:
    """Charge the actual amount in place of the hold, or of what it left when it expired."""
    held, actual = payment.hold, payment.actual
    kept = Hold(held.id, HoldKind.KEPT, held.amount, held.charged_at_us)
    released = Hold(held.id, HoldKind.RELEASED, held.amount, held.charged_at_us)
    if turn.take(held):
        actual = 0 if held.kind is HoldKind.LEASE else actual
        difference = actual - held.amount
        turn.hold(held, -held.amount)
    elif turn.take(kept):
        difference = actual - held.amount
    elif turn.take(released):
        difference = actual
    else:
        return View(turn.state)
    missing = shortfall(turn.cap, turn.state, held.charged_at_us, difference)
    turn.correct(held, difference)
    return View(turn.state, actual, shortfall=missing)


def _give_back(held: Hold, turn: Turn) -> None:
    turn.take(held)
    if held.kind is not HoldKind.RELEASED:
        turn.correct(held, -held.amount)
    if held.kind in OPEN_KINDS:
        turn.hold(held, -held.amount)


_HANDLERS: Final[dict[type[Message], Callable[..., SlotReply]]] = {
    Admit: Slot.admit,
    Confirm: Slot.confirm,
    Renew: Slot.renew,
    Settle: Slot.settle,
    Cancel: Slot.cancel,
    Count: Slot.count,
    Look: Slot.look,
    Write: Slot.write,
    Read: Slot.read,
    ListDue: Slot.list_due,
}
