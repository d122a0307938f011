"""Bringing to an end what its coordinator did not. Any number of sweepers may run at once."""

from __future__ import annotations

from ratelimit_service.core.messages import ListDue, Read, Record, SlotReply, State
from ratelimit_service.core.protocols.answers import Swept, Unavailable
from ratelimit_service.core.protocols.reconcile import settle_everywhere
from ratelimit_service.core.protocols.steps import Part, Protocol, ask_one, tell
from ratelimit_service.core.protocols.tasks import SweepTask
from ratelimit_service.core.protocols.undo import abort, drop_extension, write
from ratelimit_service.core.reservation import Change, Home, Reservation


def sweep(task: SweepTask) -> Protocol:
    """Answer Swept, or Unavailable where the list could not be read."""
    reply = yield from ask_one(task.slot, ListDue(task.due_list, task.most))
    if not isinstance(reply, SlotReply):
        yield from tell(Unavailable())
        return
    ended = 0
    for name in reply.names:
        ended += yield from _end(Home(task.slot, name, task.due_list))
    yield from tell(Swept(len(reply.names), ended))


def _end(home: Home) -> Part[bool]:
    reply = yield from ask_one(home.slot, Read(home.name, home.due_list))
    if not isinstance(reply, SlotReply):
        return False
    if reply.record is None:
        return True
    return (yield from _move_on(home, reply.record)) is not None


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
