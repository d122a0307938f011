"""Reserving over several slots, of which none can see another.

The record at home decides. Holds are charged tentatively everywhere, made firm everywhere, and
count for good once the record says COMMITTED, which is when the caller is told.
"""

from __future__ import annotations

from itertools import count

from ratelimit_service.core.messages import Record, State, Verdict, Write
from ratelimit_service.core.protocols.answers import Reserved, Seen, Unavailable
from ratelimit_service.core.protocols.claim import Vacant, answer_found, follow, is_ours, reserved
from ratelimit_service.core.protocols.confirm import Held, confirm
from ratelimit_service.core.protocols.lines import cancel, cancels, lie_at_home
from ratelimit_service.core.protocols.obtain import Blocked, Dark, Denied, Granted, Wanted, obtain
from ratelimit_service.core.protocols.reserve_at_once import reserve_at_once, reserve_in_part
from ratelimit_service.core.protocols.steps import (
    DUE_US,
    Lost,
    Part,
    Protocol,
    insist,
    pause,
    tell,
)
from ratelimit_service.core.protocols.tasks import ReserveTask
from ratelimit_service.core.protocols.undo import abort, withdraw
from ratelimit_service.core.reservation import Change, Reservation, claim_ids, move


def reserve(task: ReserveTask) -> Protocol:
    """Answer Reserved, Replayed, Refused, Outdated, Mismatch or Unavailable."""
    if not lie_at_home(task.home, task.lines):
        return _reserve_across(task)
    if all(line.minimum == line.amount for line in task.lines):
        return reserve_at_once(task)
    return reserve_in_part(task)


def _reserve_across(task: ReserveTask) -> Protocol:
    vacant: Vacant | None = Vacant(None)
    for claim in count():
        if vacant is None:
            return
        wanted = _wanted(task, claim)
        outcome = yield from obtain(wanted, vacant.record)
        if isinstance(outcome, Granted):
            vacant = yield from _conclude(task, wanted, outcome)
        elif isinstance(outcome, Denied):
            yield from tell(outcome.answer())
            yield from _withdraw(wanted, outcome.record)
            return
        elif isinstance(outcome, Blocked):
            vacant = yield from _give_way(task, wanted, outcome)
        else:
            vacant = yield from _retreat(wanted, outcome)


def _wanted(task: ReserveTask, claim: int) -> Wanted:
    ids = claim_ids(task.home.name, task.call, claim)
    reservation = Reservation(task.owner, ids, task.lines, task.note)
    change = Change(State.PENDING, reservation, lasts_us=task.ttl_us, due_us=DUE_US)
    return Wanted(task.home, ids, task.lines, change, task.claimant)


def _withdraw(wanted: Wanted, record: Record) -> Part[Record | None]:
    change = Change(State.ABORTED, wanted.change.reservation)
    return (yield from withdraw(wanted.home, record, change, cancels(wanted.lines, wanted.ids)))


def _give_way(task: ReserveTask, wanted: Wanted, blocked: Blocked) -> Part[Vacant | None]:
    """Leave the name to the record that was found, and follow it."""
    answer = answer_found(task, blocked.record, blocked.now_us)
    if answer is not None:
        yield from tell(answer)
    yield from cancel(wanted.lines, wanted.ids)
    if answer is not None:
        return None
    return (yield from follow(task, blocked.record, blocked.now_us))


def _retreat(wanted: Wanted, dark: Dark) -> Part[Vacant | None]:
    """Take back what a silent slot left undone, and try again if there is time.

    Where the home is silent a refusal would be a guess: the call may have been admitted before.
    """
    if dark.record is None:
        yield from tell(Unavailable())
        yield from cancel(wanted.lines, wanted.ids)
        return None
    return (yield from _again((yield from _withdraw(wanted, dark.record))))


def _again(aborted: Record | None) -> Part[Vacant | None]:
    if aborted is not None and (yield from pause(0)):
        return Vacant(aborted)
    yield from tell(Unavailable())
    return None


def _conclude(task: ReserveTask, wanted: Wanted, granted: Granted) -> Part[Vacant | None]:
    held = Held(wanted.lines, granted.hold_id, granted.seen)
    seen = yield from confirm(held, task.ttl_us)
    if seen is not None:
        reservation = Reservation(task.owner, wanted.ids, held.firm(), task.note)
        return (yield from _commit(task, granted.record, reservation, seen))
    aborted = yield from abort(task.home, granted.record)
    if aborted is None:
        yield from cancel(wanted.lines, wanted.ids)
    return (yield from _again(aborted))


def _commit(
    task: ReserveTask, record: Record, reservation: Reservation, seen: tuple[Seen, ...]
) -> Part[Vacant | None]:
    """Let the record say that all holds count. Saying it twice does no harm."""
    states = tuple(sight.view.state for sight in seen)
    change = Change(State.COMMITTED, reservation, lasts_us=task.ttl_us, states=states)
    message = Write(move(task.home, record, change))
    reply = yield from insist(task.home.slot, message)
    if isinstance(reply, Lost):
        yield from tell(Unavailable())
        return None
    if reply.verdict is Verdict.DONE and reply.record is not None:
        yield from tell(Reserved(reply.record, reservation, seen))
        return None
    if reply.record is not None and is_ours(reply.record, reservation.ids):
        yield from tell(reserved(reply.record))
        return None
    yield from cancel(reservation.lines, reservation.ids)
    return (yield from follow(task, reply.record, reply.now_us))
