"""Reserving where one script can touch every counter and the record."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.messages import (
    TENTATIVE_US,
    Admit,
    HoldKind,
    Read,
    Record,
    SlotReply,
    State,
    Swap,
    Verdict,
    Write,
)
from ratelimit_service.core.protocols.answers import Outdated, Refused, Reserved, Unavailable
from ratelimit_service.core.protocols.claim import Vacant, follow, is_ours, reserved
from ratelimit_service.core.protocols.confirm import Held, confirm_at
from ratelimit_service.core.protocols.lines import admit_line, cancel, refused, seen_of
from ratelimit_service.core.protocols.steps import (
    Lost,
    Part,
    Protocol,
    Reply,
    ask_one,
    insist,
    pause,
    tell,
)
from ratelimit_service.core.protocols.tasks import ReserveTask
from ratelimit_service.core.reservation import (
    Change,
    PlannedLine,
    Reservation,
    attempt_id,
    claim_ids,
    move,
)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A task with the ids of this claim, and the record that it would take the place of."""

    task: ReserveTask
    ids: str
    before: Record | None

    def swap(
        self, state: State, lines: tuple[PlannedLine, ...], states: tuple[CounterState, ...] = ()
    ) -> Swap:
        """Return what makes the record this claim's."""
        task = self.task
        reservation = Reservation(task.owner, self.ids, lines, task.note)
        change = Change(state, reservation, lasts_us=task.ttl_us, states=states)
        return move(task.home, self.before, change, task.claimant)


def reserve_at_once(task: ReserveTask) -> Protocol:
    """Reserve in one message, that charges, holds and remembers."""
    vacant: Vacant | None = Vacant(None)
    for number in count():
        if vacant is None:
            return
        claim = _Claim(task, claim_ids(task.home.name, task.call, number), vacant.record)
        vacant = yield from _admit(claim)


def _admit(claim: _Claim) -> Part[Vacant | None]:
    """Say it until it is answered. It is done once at most, since it also writes the record."""
    task = claim.task
    lines = (admit_line(line, line.kind, line.lasts_us(task.ttl_us)) for line in task.lines)
    swap = claim.swap(State.COMMITTED, task.lines)
    message = Admit(attempt_id(claim.ids, 0), tuple(lines), swap)
    lost = False
    for tries in count():
        reply = yield from ask_one(task.home.slot, message)
        lost = lost or isinstance(reply, Lost)
        if isinstance(reply, SlotReply) and reply.verdict is not Verdict.CONTENDED:
            break
        if not (yield from pause(tries)):
            break
    if isinstance(reply, SlotReply) and reply.verdict not in {Verdict.DONE, Verdict.CONFLICT}:
        return (yield from _refuse(claim, reply, fence=lost))
    return (yield from _close(claim, reply))


def _close(claim: _Claim, reply: Reply) -> Part[Vacant | None]:
    """End a claim by what was said to its record; see follow() for what that returns."""
    if isinstance(reply, Lost):
        yield from tell(Unavailable())
        return None
    record = reply.record
    if record is not None and is_ours(record, claim.ids):
        answer = reserved(record)
        if reply.verdict is Verdict.DONE:
            answer = Reserved(record, answer.reservation, seen_of(reply))
        yield from tell(answer)
        return None
    return (yield from follow(claim.task, record, reply.now_us))


def _refuse(claim: _Claim, reply: SlotReply, *, fence: bool) -> Part[Vacant | None]:
    """Answer a refusal. With a fence no earlier message that was lost can admit any more."""
    if fence:
        message = Write(claim.swap(State.ABORTED, ()))
        fenced = yield from ask_one(claim.task.home.slot, message)
        if isinstance(fenced, Lost) or fenced.verdict is not Verdict.DONE:
            return (yield from _close(claim, fenced))
    if reply.verdict is Verdict.NEED_BOUNDARIES:
        yield from tell(Outdated(reply.now_us))
    else:
        yield from tell(Refused(refused(reply), contended=reply.verdict is Verdict.CONTENDED))
    return None


def reserve_in_part(task: ReserveTask) -> Protocol:
    """Reserve as much as every line of a measure can have, in two messages.

    The first holds what fits, the second cuts it to equal parts and remembers it.
    """
    vacant: Vacant | None = Vacant(None)
    for number in count():
        if vacant is None:
            return
        claim = _Claim(task, claim_ids(task.home.name, task.call, number), vacant.record)
        vacant = yield from _hold(claim)


def _hold(claim: _Claim) -> Part[Vacant | None]:
    task = claim.task
    lines = tuple(admit_line(line, HoldKind.TENTATIVE, TENTATIVE_US) for line in task.lines)
    for tries in count():
        hold_id = attempt_id(claim.ids, tries)
        reply = yield from ask_one(task.home.slot, Admit(hold_id, lines))
        if isinstance(reply, SlotReply) and reply.verdict is Verdict.DONE:
            return (yield from _cut(claim, Held(task.lines, hold_id, seen_of(reply))))
        if isinstance(reply, SlotReply) and reply.verdict is not Verdict.CONTENDED:
            break
        if not (yield from pause(tries)):
            break
    if isinstance(reply, Lost):
        yield from tell(Unavailable())
        return None
    return (yield from _refuse_unless_found(claim, reply))


def _refuse_unless_found(claim: _Claim, reply: SlotReply) -> Part[Vacant | None]:
    """Refuse, unless it is this very reservation, made before, that leaves no room."""
    read = yield from ask_one(claim.task.home.slot, Read(claim.task.home.name))
    if isinstance(read, Lost):
        yield from tell(Unavailable())
        return None
    if read.record is not None and read.record.state is not State.ABORTED:
        return (yield from _close(claim, read))
    return (yield from _refuse(claim, reply, fence=False))


def _cut(claim: _Claim, held: Held) -> Part[Vacant | None]:
    task = claim.task
    swap = claim.swap(State.COMMITTED, held.firm(), held.states())
    message = confirm_at(held, range(len(held.lines)), task.ttl_us, swap)
    reply = yield from insist(task.home.slot, message)
    if isinstance(reply, SlotReply) and reply.verdict is Verdict.GONE:
        return (yield from _again(claim))
    if isinstance(reply, SlotReply) and not is_ours(reply.record, claim.ids):
        yield from cancel(held.lines, held.hold_id)
    return (yield from _close(claim, reply))


def _again(claim: _Claim) -> Part[Vacant | None]:
    if (yield from pause(0)):
        return Vacant(claim.before)
    yield from tell(Unavailable())
    return None
