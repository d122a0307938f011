"""What callers of reserve, reconcile and extend hear, without faults but for those named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ratelimit_service.core.algorithms import Algorithm, Cap, CounterState
from ratelimit_service.core.messages import (
    TENTATIVE_US,
    Cancel,
    HoldKind,
    Line,
    Look,
    Message,
    Read,
    State,
    Write,
)
from ratelimit_service.core.protocols.answers import (
    Closed,
    Extended,
    Mismatch,
    NotFound,
    Outdated,
    Refused,
    Replayed,
    Reserved,
    Result,
    Settled,
    Swept,
    Unavailable,
)
from ratelimit_service.core.protocols.steps import (
    DUE_US,
    Answer,
    Given,
    Lost,
    Pause,
    Protocol,
    Replies,
    Reply,
    Resumed,
    Sent,
)
from ratelimit_service.core.protocols.tasks import (
    ExtendTask,
    ReconcileTask,
    ReserveTask,
)
from ratelimit_service.core.reservation import Claimant, Home, PlannedLine, Share
from ratelimit_service.core.settlement import Amount, Report, Usage
from ratelimit_service.core.slot import Slot
from tests.core.scheduler import START_US, Task, start
from tests.core.settings import DUE, HOME, TTL_US, Script, line

ONE_SLOT = (line(HOME, 10, 3),)
TWO_SLOTS = (line("a", 10, 3), line("b", 10, 3))
BOTH = pytest.mark.parametrize(
    "lines", [pytest.param(ONE_SLOT, id="one slot"), pytest.param(TWO_SLOTS, id="two slots")]
)


def _loses_nothing(sent: Sent) -> bool:
    del sent
    return False


class Store:
    """Slots with one clock, and a driver that may lose messages or stop."""

    def __init__(self) -> None:
        self.slots = {name: Slot() for name in (HOME, "a", "b")}
        self.now_us = START_US
        self.loses: Callable[[Sent], bool] = _loses_nothing
        self.steps = 0

    def ask(self, task: Task) -> Result:
        """Drive a protocol to its end and return its answer."""
        return self.drive(start(task))

    def drive(self, protocol: Protocol, at_most: int = 1_000) -> Result:
        """Drive a protocol on for so many steps; who calls a dead one hears Unavailable."""
        answer: Result = Unavailable()
        given: Given = None
        pauses = 0
        try:
            for _ in range(at_most):
                step = protocol.send(given)
                if isinstance(step, Answer):
                    answer, given = step.result, None
                elif isinstance(step, Pause):
                    pauses += 1
                    given = Resumed(pauses < 4)
                else:
                    given = Replies(tuple(self._say(sent) for sent in step.sent))
        except StopIteration:
            pass
        return answer

    def _say(self, sent: Sent) -> Reply:
        self.steps += 1
        if self.loses(sent):
            return Lost()
        return self.slots[sent.slot].handle(sent.message, self.now_us)

    def counted(self, planned: PlannedLine) -> CounterState:
        """Return what a counter holds now."""
        look = Look((Line(planned.key, planned.cap, 0, 0),))
        return self.slots[planned.slot].handle(look, self.now_us).views[0].state

    def state(self, name: str = "n0") -> State | None:
        """Return the state of a record."""
        record = self.slots[HOME].handle(Read(name), self.now_us).record
        return record.state if record is not None else None


@pytest.fixture
def store() -> Store:
    return Store()


def reserving(lines: tuple[PlannedLine, ...], caller: int = 0, call: int = 0) -> ReserveTask:
    task = Script(lines).task(caller, 0, call, "")
    assert isinstance(task, ReserveTask)
    return task


def settling(reserved: Result, usage: Usage) -> ReconcileTask:
    assert isinstance(reserved, Reserved | Replayed)
    at_home = all(each.slot == HOME for each in reserved.reservation.lines)
    home = Home(HOME, "n0", "" if at_home else DUE)
    return ReconcileTask(home, reserved.record.secret, "owner0", usage)


def topping_up(reserved: Result, more: int, request: str = "again", call: int = 0) -> ExtendTask:
    task = settling(reserved, used(0))
    amounts = (Amount("tokens", more),) if more else ()
    return ExtendTask(
        task.home, task.secret, "owner0", f"x{call}", 2 * TTL_US, amounts, request, f"{more}"
    )


def used(amount: int) -> Usage:
    return Usage(Report.AMOUNTS, (Amount("tokens", amount),))


@BOTH
def test_what_is_reserved_is_charged_and_held(lines: tuple[PlannedLine, ...], store: Store) -> None:
    answer = store.ask(reserving(lines))
    assert isinstance(answer, Reserved)
    for planned, sight in zip(lines, answer.seen, strict=True):
        assert sight.view.state == store.counted(planned)
        assert (sight.view.state.counted, sight.view.state.held) == (3, 3)
    assert store.state() is State.COMMITTED


def test_one_slot_is_one_message(store: Store) -> None:
    store.ask(reserving(ONE_SLOT))
    assert store.steps == 1


def test_two_slots_are_three_rounds(store: Store) -> None:
    protocol = start(reserving(TWO_SLOTS))
    assert isinstance(store.drive(protocol, at_most=4), Reserved)
    assert store.steps == 3 + 2 + 1


def test_f3_f4_a_refusal_changes_no_counter(store: Store) -> None:
    full = replace(TWO_SLOTS[1], cap=replace(TWO_SLOTS[1].cap, limit=2))
    answer = store.ask(reserving((TWO_SLOTS[0], full)))
    assert isinstance(answer, Refused)
    assert not answer.contended
    assert [sight and sight.view.fits for sight in answer.seen] == [True, False]
    assert [sight and sight.view.state.counted for sight in answer.seen] == [0, 0]
    assert store.counted(TWO_SLOTS[0]).counted == store.counted(full).counted == 0
    assert store.state() is State.ABORTED


def test_f4_a_hold_whose_cancel_is_lost_ends_by_itself(store: Store) -> None:
    full = replace(TWO_SLOTS[1], cap=replace(TWO_SLOTS[1].cap, limit=2))
    store.loses = lambda sent: isinstance(sent.message, Cancel)
    assert isinstance(store.ask(reserving((TWO_SLOTS[0], full))), Refused)
    assert store.counted(TWO_SLOTS[0]).counted == 3
    store.now_us += TENTATIVE_US
    assert store.counted(TWO_SLOTS[0]).counted == 0


@pytest.mark.parametrize("silent", [HOME, "a", "b"])
def test_f5_nobody_goes_on_without_a_slot_that_is_silent(silent: str, store: Store) -> None:
    store.loses = lambda sent: sent.slot == silent
    assert isinstance(store.ask(reserving(TWO_SLOTS)), Unavailable)
    store.now_us += TENTATIVE_US
    assert [store.counted(planned).counted for planned in TWO_SLOTS] == [0, 0]


def test_f5_a_full_limit_is_no_refusal_where_the_home_is_silent(store: Store) -> None:
    """The limit may be full of this very call, that was admitted before."""
    lines = tuple(replace(each, cap=replace(each.cap, limit=3)) for each in TWO_SLOTS)
    assert isinstance(store.ask(reserving(lines)), Reserved)
    store.loses = lambda sent: sent.slot == HOME
    assert isinstance(store.ask(reserving(lines, call=1)), Unavailable)


@BOTH
def test_f12_another_payload_under_the_same_id_is_a_mismatch(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    store.ask(reserving(lines))
    other = replace(reserving(lines, call=1), claimant=Claimant("another", "secret"))
    assert isinstance(store.ask(other), Mismatch)
    assert store.counted(lines[0]).counted == 3


@BOTH
def test_f13_a_repeated_call_has_the_first_answer(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    first = store.ask(reserving(lines))
    again = store.ask(reserving(lines, call=1))
    assert isinstance(first, Reserved)
    assert isinstance(again, Replayed)
    assert again.record == first.record
    assert [store.counted(planned).counted for planned in lines] == [3] * len(lines)
    store.ask(settling(first, used(1)))
    settled = store.ask(reserving(lines, call=2))
    assert isinstance(settled, Replayed)
    assert settled.record.state is State.SETTLED


@BOTH
def test_f13_a_refused_call_is_decided_anew(lines: tuple[PlannedLine, ...], store: Store) -> None:
    holder = tuple(replace(each, amount=9, minimum=9) for each in lines)
    held = store.ask(reserving(holder))
    assert isinstance(store.ask(reserving(lines, caller=1)), Refused)
    store.ask(settling(held, used(0)))
    assert isinstance(store.ask(reserving(lines, caller=1, call=1)), Reserved)


@BOTH
def test_f56_a_call_that_is_given_up_at_any_step_is_accounted_for(
    lines: tuple[PlannedLine, ...],
) -> None:
    for steps in range(1, 8):
        store = Store()
        store.drive(start(reserving(lines)), at_most=steps)
        store.now_us += DUE_US
        swept = store.ask(Script(lines).sweeping)
        assert isinstance(swept, Swept)
        admitted = store.state() is State.COMMITTED
        assert [store.counted(planned).held for planned in lines] == [3 * admitted] * len(lines)
        assert isinstance(store.ask(reserving(lines, call=1)), Reserved | Replayed)
        assert [store.counted(planned).held for planned in lines] == [3] * len(lines)


@BOTH
def test_f11_settling_twice_settles_once(lines: tuple[PlannedLine, ...], store: Store) -> None:
    reserved = store.ask(reserving(lines))
    for _ in range(2):
        answer = store.ask(settling(reserved, used(1)))
        assert isinstance(answer, Settled)
        assert answer.reservation.actuals == (1,) * len(lines)
        assert [store.counted(each).counted for each in lines] == [1] * len(lines)
    assert isinstance(store.ask(settling(reserved, used(2))), Mismatch)
    assert [store.counted(each).counted for each in lines] == [1] * len(lines)
    assert store.state() is State.SETTLED


@BOTH
@pytest.mark.parametrize(("kind", "kept"), [(HoldKind.KEEP, 3), (HoldKind.RELEASE, 0)])
def test_f15_f21_a_settlement_after_the_end_counts_once(
    lines: tuple[PlannedLine, ...], kind: HoldKind, kept: int, store: Store
) -> None:
    lines = tuple(replace(each, kind=kind) for each in lines)
    reserved = store.ask(reserving(lines))
    store.now_us += TTL_US
    assert [store.counted(each).counted for each in lines] == [kept] * len(lines)
    for _ in range(2):
        assert isinstance(store.ask(settling(reserved, used(5))), Settled)
        assert [store.counted(each).counted for each in lines] == [5] * len(lines)


@BOTH
@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (Usage(Report.UNKNOWN), 3),
        (Usage(Report.RELEASED), 0),
        (Usage(Report.AMOUNTS), 3),
        (used(0), 0),
        (used(7), 7),
    ],
)
def test_f18_f19_what_is_said_of_usage_is_what_counts(
    lines: tuple[PlannedLine, ...], usage: Usage, counted: int, store: Store
) -> None:
    reserved = store.ask(reserving(lines))
    assert isinstance(store.ask(settling(reserved, usage)), Settled)
    assert [store.counted(each).counted for each in lines] == [counted] * len(lines)


@BOTH
def test_only_who_reserved_can_settle_or_extend(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    reserved = store.ask(reserving(lines))
    task = settling(reserved, used(0))
    assert isinstance(store.ask(replace(task, secret="guessed")), NotFound)
    assert isinstance(store.ask(replace(task, owner="another")), NotFound)
    assert isinstance(store.ask(replace(topping_up(reserved, 1), secret="guessed")), NotFound)
    assert [store.counted(each).held for each in lines] == [3] * len(lines)


@BOTH
def test_f13_a_top_up_that_is_repeated_tops_up_once(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    reserved = store.ask(reserving(lines))
    for call in range(2):
        assert isinstance(store.ask(topping_up(reserved, 4, call=call)), Extended)
        assert [store.counted(each).held for each in lines] == [7] * len(lines)
    assert isinstance(store.ask(topping_up(reserved, 5, call=3)), Mismatch)
    assert isinstance(store.ask(settling(reserved, used(6))), Settled)
    assert [store.counted(each).counted for each in lines] == [6] * len(lines)
    assert isinstance(store.ask(topping_up(reserved, 1, "later", call=4)), Closed)


@BOTH
def test_a_top_up_without_room_leaves_the_reservation_as_it_is(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    reserved = store.ask(reserving(lines))
    assert isinstance(store.ask(topping_up(reserved, 8)), Refused)
    assert [store.counted(each).held for each in lines] == [3] * len(lines)
    assert isinstance(store.ask(topping_up(reserved, 7, call=1)), Extended)
    assert [store.counted(each).held for each in lines] == [10] * len(lines)


@BOTH
def test_f30_a_renewed_reservation_lasts_longer(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    lines = tuple(replace(each, kind=HoldKind.LEASE) for each in lines)
    reserved = store.ask(reserving(lines))
    store.now_us += TTL_US - 1
    assert isinstance(store.ask(topping_up(reserved, 0)), Extended)
    store.now_us += 2 * TTL_US - 1
    assert [store.counted(each).held for each in lines] == [3] * len(lines)
    store.now_us += 1
    assert [store.counted(each).held for each in lines] == [0] * len(lines)
    assert isinstance(store.ask(topping_up(reserved, 0, call=1)), Closed)


@pytest.mark.parametrize("slots", [(HOME, HOME), ("a", "b")])
def test_a_partial_grant_is_equal_on_every_line(slots: tuple[str, str], store: Store) -> None:
    lines = tuple(
        replace(line(slot, limit, 9, minimum=2), key=f"{slot}-{limit}")
        for slot, limit in zip(slots, (8, 4), strict=True)
    )
    answer = store.ask(reserving(lines))
    assert isinstance(answer, Reserved)
    assert [each.amount for each in answer.reservation.lines] == [4, 4]
    assert [store.counted(each).held for each in lines] == [4, 4]
    assert [sight.view.state.counted for sight in answer.seen] == [4, 4]
    again = store.ask(reserving(lines, call=1))
    assert isinstance(again, Replayed)
    assert [each.amount for each in again.reservation.lines] == [4, 4]
    assert isinstance(store.ask(reserving(lines, caller=1)), Refused)
    assert [store.counted(each).held for each in lines] == [4, 4]


@BOTH
def test_a_calendar_that_moved_on_is_planned_again(
    lines: tuple[PlannedLine, ...], store: Store
) -> None:
    over = Cap(Algorithm.CALENDAR, 10, start_us=START_US - 2, end_us=START_US - 1)
    lines = (*lines[:-1], replace(lines[-1], cap=over))
    answer = store.ask(reserving(lines))
    assert answer == Outdated(START_US)
    fresh = replace(over, start_us=START_US - 1, end_us=START_US + TTL_US)
    lines = (*lines[:-1], replace(lines[-1], cap=fresh))
    assert isinstance(store.ask(reserving(lines, call=1)), Reserved)


def test_f13_a_lost_admission_in_one_slot_is_said_again(store: Store) -> None:
    """The first message was done, and only its reply is lost."""
    lost: list[Message] = []

    def lose_first_reply(sent: Sent) -> bool:
        if lost:
            return False
        lost.append(sent.message)
        store.slots[sent.slot].handle(sent.message, store.now_us)
        return True

    store.loses = lose_first_reply
    assert isinstance(store.ask(reserving(ONE_SLOT)), Reserved)
    assert store.counted(ONE_SLOT[0]).counted == 3


def test_f56_a_late_admission_cannot_follow_a_refusal_in_one_slot(store: Store) -> None:
    late: list[Message] = []

    def delay_first(sent: Sent) -> bool:
        late.append(sent.message)
        return len(late) == 1

    holder = store.ask(reserving((line(HOME, 10, 9),)))
    store.loses = delay_first
    assert isinstance(store.ask(reserving(ONE_SLOT, caller=1)), Refused)
    store.ask(settling(holder, used(0)))
    store.slots[HOME].handle(late[0], store.now_us)
    assert store.counted(ONE_SLOT[0]).counted == 0


def test_f13_a_commit_whose_reply_is_lost_is_told_as_done(store: Store) -> None:
    commits: list[Message] = []

    def lose_reply_of_first_commit(sent: Sent) -> bool:
        message = sent.message
        if not isinstance(message, Write) or message.swap.state is not State.COMMITTED:
            return False
        commits.append(message)
        if len(commits) == 1:
            store.slots[sent.slot].handle(message, store.now_us)
        return len(commits) == 1

    store.loses = lose_reply_of_first_commit
    assert isinstance(store.ask(reserving(TWO_SLOTS)), Reserved)
    assert len(commits) == 2


def test_descriptors_that_share_a_counter_settle_to_their_sum(store: Store) -> None:
    shared = replace(ONE_SLOT[0], shares=(Share(0, 2), Share(1, 1)))
    reserved = store.ask(reserving((shared,)))
    usage = Usage(Report.AMOUNTS, descriptors=((), (Amount("tokens", 5),)))
    assert isinstance(store.ask(settling(reserved, usage)), Settled)
    assert store.counted(shared).counted == 2 + 5
