"""Settling a reservation to what was used, once.

Over several slots the record first says SETTLING and to what, so that whoever finds it can
finish; every slot settles a hold once, however often it is told.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from ratelimit_service.core.messages import Record, Settle, SlotReply, State, Verdict, Write
from ratelimit_service.core.protocols.answers import Mismatch, NotFound, Seen, Settled, Unavailable
from ratelimit_service.core.protocols.find import opened, read
from ratelimit_service.core.protocols.lines import (
    cancels,
    lie_at_home,
    payments,
    seen_by_line,
    settlements,
)
from ratelimit_service.core.protocols.steps import (
    DUE_US,
    Lost,
    Part,
    Protocol,
    Reply,
    ask,
    ask_one,
    pause,
    tell,
)
from ratelimit_service.core.protocols.tasks import ReconcileTask
from ratelimit_service.core.protocols.undo import write
from ratelimit_service.core.reservation import Change, Home, Reservation, move


def reconcile(task: ReconcileTask) -> Protocol:
    """Answer Settled, Mismatch if it was settled to other amounts, NotFound or Unavailable."""
    standing: Reply | None = SlotReply(Verdict.DONE, 0, record=task.known)
    if task.known is None:
        standing = yield from read(task.home)
    for tries in count():
        if isinstance(standing, Lost):
            if not (yield from pause(tries)):
                yield from tell(Unavailable())
                return
            standing = yield from read(task.home)
        elif standing is None:
            return
        else:
            standing = yield from _go_on(task, standing)


def _go_on(task: ReconcileTask, standing: SlotReply) -> Part[Reply | None]:
    """Do what comes next for the record that was found; None once the caller is answered."""
    record = standing.record
    reservation = opened(record, task.secret, task.owner)
    if record is None or reservation is None:
        yield from tell(NotFound())
        return None
    actuals = task.usage.actuals(reservation)
    if record.state is State.COMMITTED:
        settling = replace(reservation, actuals=actuals)
        if lie_at_home(task.home, reservation.lines):
            return (yield from _settle_at_once(task.home, standing, settling))
        return (yield from _begin(task.home, standing, settling))
    if reservation.actuals != actuals:
        yield from tell(Mismatch())
        return None
    if record.state is State.SETTLED:
        yield from tell(Settled(record, reservation))
        return None
    return (yield from _finish(task.home, record, reservation))


def _change(standing: SlotReply, state: State, settling: Reservation) -> Change:
    """Return the move of a settlement; a late one is remembered for as long as others."""
    late = standing.record is not None and standing.now_us > standing.record.expires_at_us
    due_us = DUE_US if state is State.SETTLING else 0
    return Change(state, settling, lasts_us=1 if late else 0, due_us=due_us)


def _settle_at_once(home: Home, standing: SlotReply, settling: Reservation) -> Part[Reply | None]:
    lines = settling.lines
    swap = move(home, standing.record, _change(standing, State.SETTLED, settling))
    paid = payments(lines, settling.actuals, range(len(lines)))
    reply = yield from ask_one(home.slot, Settle(paid, swap))
    if isinstance(reply, SlotReply) and reply.verdict is Verdict.DONE and reply.record:
        yield from tell(Settled(reply.record, settling, seen_by_line(lines, (reply,))))
        return None
    return reply


def _begin(home: Home, standing: SlotReply, settling: Reservation) -> Part[Reply]:
    """Say to what the reservation is settled; a top-up that is under way is given up."""
    if settling.pending is not None:
        settling = replace(settling, pending=None, abandoned=settling.pending.ids)
    change = _change(standing, State.SETTLING, settling)
    return (yield from ask_one(home.slot, Write(move(home, standing.record, change))))


def _finish(home: Home, record: Record, settling: Reservation) -> Part[Reply | None]:
    seen = yield from settle_everywhere(settling)
    if seen is None:
        return Lost()
    yield from tell(Settled(record, settling, seen))
    if not settling.abandoned:
        yield from write(home, record, Change(State.SETTLED, settling))
    return None


def settle_everywhere(settling: Reservation) -> Part[tuple[Seen, ...] | None]:
    """Settle every hold; None where a slot did not reply.

    What a top-up under way holds so far is given back. Its coordinator may live and hold
    more, so the record stays SETTLING until nothing can become firm any more, and a sweeper
    does this again.
    """
    sent = settlements(settling.lines, settling.actuals)
    given_up = cancels(settling.lines, settling.abandoned) if settling.abandoned else ()
    replies = yield from ask(*sent, *given_up)
    heard = tuple(reply for reply in replies if isinstance(reply, SlotReply))
    if len(heard) < len(replies):
        return None
    return seen_by_line(settling.lines, heard[: len(sent)])
