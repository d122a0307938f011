"""Taking back what nobody was told of: claims, and top-ups.

First the record says that it is being taken back, so that nobody can commit any more; then
every slot gives back; only then the record says that it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ratelimit_service.core.messages import Record, SlotReply, State, Verdict, Write
from ratelimit_service.core.protocols.lines import cancel, is_done
from ratelimit_service.core.protocols.steps import DUE_US, Part, Sent, ask, ask_one
from ratelimit_service.core.reservation import Change, Home, Reservation, move


def write(home: Home, before: Record | None, change: Change) -> Part[Record | None]:
    """Move a record; return it as it is then, or None where it is not known to have moved."""
    reply = yield from ask_one(home.slot, Write(move(home, before, change)))
    if isinstance(reply, SlotReply) and reply.verdict is Verdict.DONE:
        return reply.record
    return None


def withdraw(
    home: Home, record: Record | None, change: Change, cancelled: Iterable[Sent]
) -> Part[Record | None]:
    """Take back what cannot be firm, in one round: what escapes it expires by itself."""
    written, *_ = yield from ask(Sent(home.slot, Write(move(home, record, change))), *cancelled)
    return written.record if isinstance(written, SlotReply) and is_done(written) else None


def abort(home: Home, record: Record) -> Part[Record | None]:
    """Take back a claim some of whose holds may be firm.

    Returns the record once that is done; None where a sweeper has to go on.
    """
    if record.state is State.PENDING:
        change = Change(State.ABORTING, Reservation.of(record), due_us=DUE_US)
        aborting = yield from write(home, record, change)
        if aborting is None:
            return None
        record = aborting
    reservation = Reservation.of(record)
    if not (yield from cancel(reservation.lines, reservation.ids)):
        return None
    return (yield from write(home, record, Change(State.ABORTED, reservation)))


def drop_extension(home: Home, record: Record) -> Part[Record | None]:
    """Take back a top-up some of whose holds may be firm; returns as abort() does."""
    reservation = Reservation.of(record)
    if reservation.pending is not None:
        reservation = replace(reservation, pending=None, abandoned=reservation.pending.ids)
        change = Change(State.COMMITTED, reservation, due_us=DUE_US)
        dropping = yield from write(home, record, change)
        if dropping is None:
            return None
        record = dropping
    if not (yield from cancel(reservation.lines, reservation.abandoned)):
        return None
    return (
        yield from write(home, record, Change(State.COMMITTED, replace(reservation, abandoned="")))
    )
