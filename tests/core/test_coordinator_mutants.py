"""Protocols that are broken on purpose: the scheduler must find each of them out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.messages import (
    Cancel,
    Confirm,
    ListDue,
    Message,
    Record,
    Settle,
    SlotReply,
    State,
    Verdict,
    View,
    Write,
)
from ratelimit_service.core.protocols import reserve, reserve_at_once, sweep, undo
from ratelimit_service.core.protocols.lines import cancel
from ratelimit_service.core.protocols.steps import Part
from ratelimit_service.core.protocols.undo import abort
from ratelimit_service.core.reservation import Home, PlannedLine, Reservation
from ratelimit_service.core.slot import Slot
from tests.core.exploring import Explorer
from tests.core.scheduler import BrokenPromiseError, Handle, Kind
from tests.core.settings import Script, line, play


def explorer(
    *kinds: Kind, faults: int = 1, pauses: int = 0, handle: Handle = Slot.handle
) -> Explorer:
    script = Script((line("a", 1), line("b", 1)))
    return play(script, 1, 1, kinds=frozenset(kinds), faults=faults, pauses=pauses, handle=handle)


def commits(message: Message) -> bool:
    return isinstance(message, Write) and message.swap.state is State.COMMITTED


def commit_without_compare(slot: Slot, message: Message, now_us: int) -> SlotReply:
    reply = slot.handle(message, now_us)
    if isinstance(message, Write) and commits(message) and reply.verdict is Verdict.CONFLICT:
        expected = reply.record.revision if reply.record is not None else 0
        return slot.handle(Write(replace(message.swap, expected=expected)), now_us)
    return reply


def tell_in_spite_of_a_sweeper(slot: Slot, message: Message, now_us: int) -> SlotReply:
    reply = slot.handle(message, now_us)
    forced = commits(message) and reply.verdict is Verdict.CONFLICT
    return replace(reply, verdict=Verdict.DONE) if forced else reply


def confirm_what_is_gone(slot: Slot, message: Message, now_us: int) -> SlotReply:
    reply = slot.handle(message, now_us)
    if not isinstance(message, Confirm) or reply.verdict is not Verdict.GONE:
        return reply
    views = tuple(View(CounterState(), exchange.amount) for exchange in message.exchanges)
    return replace(reply, verdict=Verdict.DONE, views=views)


def cancel_the_whole_reservation(slot: Slot, message: Message, now_us: int) -> SlotReply:
    if isinstance(message, Cancel):
        message = replace(message, ids_from=message.ids_from.split(".")[0] + ".")
    return slot.handle(message, now_us)


def settle_every_time(slot: Slot, message: Message, now_us: int) -> SlotReply:
    for payment in message.payments if isinstance(message, Settle) else ():
        cell = slot._cells[payment.key]
        if payment.hold not in cell.holds and cell.state is not None:
            counted = cell.state.counted + payment.actual - payment.hold.amount
            cell.state = replace(cell.state, counted=counted)
    return slot.handle(message, now_us)


def claim_without_a_sweeper(slot: Slot, message: Message, now_us: int) -> SlotReply:
    if isinstance(message, Write) and message.swap.state is State.PENDING:
        message = Write(replace(message.swap, due_us=0))
    return slot.handle(message, now_us)


def test_a_commit_without_compare_and_set_is_found() -> None:
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.JUMP, handle=commit_without_compare).explore()


def test_an_answer_forced_after_a_sweep_is_found() -> None:
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.JUMP, handle=tell_in_spite_of_a_sweeper).explore()


def test_a_confirmation_of_what_is_gone_is_found() -> None:
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.JUMP, handle=confirm_what_is_gone).explore()


def test_a_cancel_of_the_whole_reservation_is_found() -> None:
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.REPEAT, handle=cancel_the_whole_reservation).explore()


def test_a_settlement_that_counts_twice_is_found() -> None:
    script = Script((line("a", 9), line("b", 9)), ("reserve", "reconcile", "reconcile"), used=(3,))
    with pytest.raises(BrokenPromiseError):
        play(
            script, 1, 1, handle=settle_every_time, faults=1, kinds=frozenset({Kind.REPEAT})
        ).explore()


def test_a_claim_that_no_sweeper_knows_of_is_found() -> None:
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.CRASH, handle=claim_without_a_sweeper).explore()


def test_a_sweeper_that_cancels_before_it_aborts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel_then_abort(home: Home, record: Record) -> Part[Record | None]:
        reservation = Reservation.of(record)
        yield from cancel(reservation.lines, reservation.ids)
        return (yield from abort(home, record))

    monkeypatch.setattr(sweep, "abort", cancel_then_abort)
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.JUMP).explore()


def test_an_abort_that_ends_although_a_cancel_was_lost_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cancel_and_hope(lines: tuple[PlannedLine, ...], ids: str) -> Part[bool]:
        yield from cancel(lines, ids)
        return True

    monkeypatch.setattr(undo, "cancel", cancel_and_hope)
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.LOSE, faults=2).explore()


def test_a_second_claim_under_the_ids_of_the_first_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def same_ids(name: str, call: str, claim: int) -> str:
        del claim
        return f"{name}.{call}-0."

    monkeypatch.setattr(reserve, "claim_ids", same_ids)
    monkeypatch.setattr(reserve_at_once, "claim_ids", same_ids)
    with pytest.raises(BrokenPromiseError):
        explorer(Kind.LOSE, Kind.DELAY, faults=2, pauses=1).explore()


def sweep_what_is_not_due(slot: Slot, message: Message, now_us: int) -> SlotReply:
    reply = slot.handle(message, now_us)
    if not isinstance(message, ListDue):
        return reply
    return replace(reply, names=tuple(slot._records._due.get(message.due_list, ())))


@pytest.mark.slow
def test_a_sweeper_that_does_not_wait_until_a_record_is_due_is_found() -> None:
    """It cancels, a hold is made after that and becomes firm, and its coordinator dies."""
    script = Script((line("a", 1), line("b", 1)))
    kinds = frozenset({Kind.JUMP, Kind.CRASH})
    with pytest.raises(BrokenPromiseError):
        play(
            script,
            1,
            1,
            faults=2,
            pauses=0,
            kinds=kinds,
            jumps_us=(1,),
            handle=sweep_what_is_not_due,
        ).explore()


def test_what_is_not_broken_is_not_found() -> None:
    explorer(Kind.JUMP).explore()
    explorer(Kind.REPEAT).explore()
    explorer(Kind.CRASH).explore()
    explorer(Kind.LOSE, faults=2).explore()
    explorer(Kind.LOSE, Kind.DELAY, faults=2, pauses=1).explore()
