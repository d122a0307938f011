"""Bringing to an end what its coordinator did not. Any number of sweepers may run at once."""

from __future__ import annotations

from ratelimit_service.core.messages import ListDue, Read, Record, SlotReply, State
from ratelimit_service.core.protocols.answers import Swept, Unavailable
from ratelimit_service.core.protocols.reconcile import settle_everywhere
from ratelimit_service.core.protocols.steps import Part, Protocol, Sent, ask, ask_one, tell
from ratelimit_service.core.protocols.tasks import SweepTask
from ratelimit_service.core.protocols.undo import abort, drop_extension, write
from ratelimit_service.core.reservation import Change, Home, Reservation


def sweep(task: SweepTask) -> Protocol:
    """Answer Swept, or Unavailable where the list could not be read.

    A name that was due may be claimed anew before its record is read. So the list is read
    again after the records: what is still due then, is due at the revision that was read.
    """
    due = yield from _list_due(task)
    homes = [Home(task.slot, name, task.due_list) for name in due or ()]
    reads = (Sent(task.slot, Read(home.name, home.due_list)) for home in homes)
    replies = yield from ask(*reads)
    still = (yield from _list_due(task)) if due else due
    if still is None:
        yield from tell(Unavailable())
        return
    ended = 0
    for home, reply in zip(homes, replies, strict=True):
        if home.name in still and isinstance(reply, SlotReply) and reply.record is not None:
            ended += (yield from _move_on(home, reply.record)) is not None
    yield from tell(Swept(len(homes), ended))


def _list_due(task: SweepTask) -> Part[tuple[str, ...] | None]:
    reply = yield from ask_one(task.slot, ListDue(task.due_list, task.most))
    return reply.names if isinstance(reply, SlotReply) else None


def _move_on(home: Home, record: Record) -> Part[Record | None]:
    """Take back or finish; a record that needs neither any more is off the list already."""
    if record.state in {State.PENDING, State.ABORTING}:
        return (yield from abort(home, record))
    reservation = Reservation.of(record)
    if record.state is State.SETTLING:
        if (yield from settle_everywhere(reservation)) is None:
            return None
        return (yield from write(home, record, Change(State.SETTLED, reservation)))
    if reservation.pending is not None or reservation.abandoned:
        return (yield from drop_extension(home, record))
    return record
