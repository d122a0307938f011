"""Renewing a reservation, and topping it up as a new charge would be admitted."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from ratelimit_service.core.messages import Record, Renew, SlotReply, State, Verdict, Write
from ratelimit_service.core.protocols.answers import (
    Closed,
    Extended,
    Mismatch,
    NotFound,
    Unavailable,
)
from ratelimit_service.core.protocols.find import opened, read
from ratelimit_service.core.protocols.lines import exchanges, is_done, lie_at_home, renewals
from ratelimit_service.core.protocols.steps import (
    Lost,
    Part,
    Protocol,
    Reply,
    ask,
    ask_one,
    pause,
    tell,
)
from ratelimit_service.core.protocols.tasks import ExtendTask
from ratelimit_service.core.protocols.top_up import TopUp, top_up, top_up_at_once
from ratelimit_service.core.protocols.undo import drop_extension
from ratelimit_service.core.reservation import Change, Reservation, call_ids, claim_ids, move


def extend(task: ExtendTask) -> Protocol:
    """Answer Extended, Refused, Outdated, Mismatch, Closed, NotFound or Unavailable."""
    standing: Reply | None = yield from read(task.home)
    for tries in count():
        if isinstance(standing, SlotReply):
            standing = yield from _go_on(task, standing, tries)
        if standing is None:
            return
        if isinstance(standing, Lost):
            if not (yield from pause(tries)):
                yield from tell(Unavailable())
                return
            standing = yield from read(task.home)


def _go_on(task: ExtendTask, standing: SlotReply, tries: int) -> Part[Reply | None]:
    """Do what comes next for the record that was found.

    Returns how it then stands, Lost where it must be read again, and None once the caller
    is answered.
    """
    record = standing.record
    reservation = opened(record, task.secret, task.owner)
    if record is None or reservation is None:
        yield from tell(NotFound())
        return None
    answer = _answer(task, standing, record, reservation)
    if answer is not None:
        yield from tell(answer)
        return None
    if reservation.abandoned:
        dropped = yield from drop_extension(task.home, record)
        return replace(standing, record=dropped) if dropped is not None else Lost()
    if reservation.pending is not None:
        return Lost()
    lasts_us = max(task.ttl_us, record.expires_at_us - standing.now_us)
    ids = claim_ids(task.home.name, task.call, tries)
    wanted = TopUp(task, record, reservation, ids, lasts_us)
    if not wanted.lines:
        return (yield from _renew(wanted))
    at_once = lie_at_home(task.home, reservation.lines)
    return (yield from top_up_at_once(wanted) if at_once else top_up(wanted))


def _answer(
    task: ExtendTask, standing: SlotReply, record: Record, reservation: Reservation
) -> Extended | Mismatch | Closed | None:
    """Return what the record decides at once; None where it does not."""
    for extension in reservation.extensions:
        if extension.ids.startswith(call_ids(task.home.name, task.call)) or (
            task.request and extension.request == task.request
        ):
            if extension.payload != task.payload:
                return Mismatch()
            unseen = (None,) * len(reservation.lines)
            return Extended(record, reservation, unseen, standing.now_us)
    if record.state is not State.COMMITTED or standing.now_us >= record.expires_at_us:
        return Closed(record)
    return None


def _renew(wanted: TopUp) -> Part[Reply | None]:
    """Make every open hold last longer, then the record."""
    home, lines = wanted.task.home, wanted.reservation.lines
    change = Change(State.COMMITTED, wanted.reservation, lasts_us=wanted.lasts_us)
    swap = move(home, wanted.record, change)
    if lie_at_home(home, lines):
        every = exchanges(lines, range(len(lines)), wanted.lasts_us)
        reply = yield from ask_one(home.slot, Renew(every, swap))
    else:
        replies = yield from ask(*renewals(lines, wanted.lasts_us))
        if not all(is_done(each) for each in replies):
            return Lost()
        reply = yield from ask_one(home.slot, Write(swap))
    if isinstance(reply, SlotReply) and reply.verdict is Verdict.DONE:
        yield from tell(wanted.extended(reply, wanted.reservation, ()))
        return None
    return reply
