"""What a name that is already claimed means for a call that would claim it."""

from __future__ import annotations

from dataclasses import dataclass

from ratelimit_service.core.messages import Read, Record, SlotReply, State, View
from ratelimit_service.core.protocols.answers import Mismatch, Replayed, Reserved, Seen, Unavailable
from ratelimit_service.core.protocols.steps import Part, ask_one, pause, tell
from ratelimit_service.core.protocols.tasks import ReserveTask
from ratelimit_service.core.protocols.undo import abort
from ratelimit_service.core.reservation import ADMITTED, Reservation


@dataclass(frozen=True, slots=True)
class Vacant:
    """The name can be claimed, over a record of a refused call if there is one."""

    record: Record | None


def is_ours(record: Record | None, ids: str) -> bool:
    """Tell whether a record was admitted by the claim of these ids."""
    return record is not None and record.state in ADMITTED and Reservation.of(record).ids == ids


def reserved(record: Record) -> Reserved:
    """Return the answer of an admission, as its record tells it."""
    reservation = Reservation.of(record)
    seen = tuple(
        Seen(View(state, line.amount), record.admitted_at_us)
        for line, state in zip(reservation.lines, record.states, strict=True)
    )
    return Reserved(record, reservation, seen)


def answer_found(
    task: ReserveTask, record: Record | None, now_us: int
) -> Replayed | Mismatch | None:
    """Return what a record decides at once, whoever made it; None where it does not."""
    if record is None or record.state in {State.ABORTING, State.ABORTED}:
        return None
    if record.payload != task.claimant.payload:
        return Mismatch()
    if record.state in ADMITTED:
        return Replayed(record, Reservation.of(record), now_us)
    return None


def follow(task: ReserveTask, record: Record | None, now_us: int) -> Part[Vacant | None]:
    """Wait or help until a name's record is decided; None once the caller is answered."""
    tries = 0
    while record is not None and record.state is not State.ABORTED:
        answer = answer_found(task, record, now_us)
        if answer is not None:
            yield from tell(answer)
            return None
        if record.state is State.ABORTING:
            record = yield from abort(task.home, record)
            if record is not None:
                return Vacant(record)
        if not (yield from pause(tries)):
            yield from tell(Unavailable())
            return None
        tries += 1
        reply = yield from ask_one(task.home.slot, Read(task.home.name))
        if not isinstance(reply, SlotReply):
            yield from tell(Unavailable())
            return None
        record, now_us = reply.record, reply.now_us
    return Vacant(record)
