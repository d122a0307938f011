"""Topping up a reservation: its lines are charged more, all of them or none.

The old holds stay as they are. The record names the top-up while it is under way, so that
whoever finds it abandoned knows what to take back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratelimit_service.core.messages import (
    TENTATIVE_US,
    Admit,
    HoldKind,
    Record,
    Renew,
    SlotReply,
    State,
    Verdict,
    Write,
)
from ratelimit_service.core.protocols.answers import Extended, Outdated, Refused, Seen
from ratelimit_service.core.protocols.confirm import Held, confirm, confirm_at
from ratelimit_service.core.protocols.lines import (
    admit_line,
    cancel,
    cancels,
    exchanges,
    refused,
    renewals,
    seen_of,
)
from ratelimit_service.core.protocols.obtain import Blocked, Denied, Granted, Wanted, obtain
from ratelimit_service.core.protocols.steps import (
    DUE_US,
    Lost,
    Part,
    Reply,
    Sent,
    ask,
    ask_one,
    insist,
    pause,
    tell,
)
from ratelimit_service.core.protocols.tasks import ExtendTask
from ratelimit_service.core.protocols.undo import drop_extension, withdraw
from ratelimit_service.core.reservation import (
    Change,
    Extension,
    PlannedLine,
    Reservation,
    attempt_id,
    move,
)


@dataclass(frozen=True, slots=True)
class TopUp:
    """A task, the record that it was found with, and the ids of this try.

    ``lasts_us`` is how long the reservation shall last from now.
    """

    task: ExtendTask
    record: Record
    reservation: Reservation
    ids: str
    lasts_us: int

    @property
    def indices(self) -> tuple[int, ...]:
        """Which lines are charged more."""
        lines = self.reservation.lines
        return tuple(i for i, line in enumerate(lines) if self._more(line))

    @property
    def lines(self) -> tuple[PlannedLine, ...]:
        """What is charged more, as lines of their own."""
        return tuple(self._line(self.reservation.lines[i]) for i in self.indices)

    def pending(self) -> Reservation:
        """Return the reservation while this is under way."""
        return replace(self.reservation, pending=self._extension())

    def with_firm(self, firm: Sequence[PlannedLine]) -> Reservation:
        """Return the reservation with what is charged more."""
        lines = list(self.reservation.lines)
        for i, more in zip(self.indices, firm, strict=True):
            holds = (*lines[i].holds, *more.holds)
            lines[i] = replace(
                lines[i], cap=more.cap, amount=lines[i].amount + more.amount, holds=holds
            )
        extensions = (*self.reservation.extensions, self._extension())
        return replace(self.reservation, lines=tuple(lines), extensions=extensions)

    def extended(
        self, reply: SlotReply, reservation: Reservation, seen: Sequence[Seen]
    ) -> Extended:
        """Return the answer of a reply that has the record."""
        record = reply.record if reply.record is not None else self.record
        return Extended(record, reservation, self.by_line(seen), reply.now_us)

    def by_line(self, seen: Sequence[Seen | None]) -> tuple[Seen | None, ...]:
        """Spread what was seen of the lines that are charged more over all lines."""
        by_index = dict(zip(self.indices, seen, strict=False))
        return tuple(by_index.get(i) for i in range(len(self.reservation.lines)))

    def _more(self, line: PlannedLine) -> int:
        for amount in self.task.amounts:
            if amount.measure == line.measure:
                return amount.amount * max(1, len(line.shares))
        return 0

    def _line(self, line: PlannedLine) -> PlannedLine:
        cap = next((fresh.cap for fresh in self.task.caps if fresh.key == line.key), line.cap)
        more = self._more(line)
        return replace(line, cap=cap, amount=more, minimum=more, holds=())

    def _extension(self) -> Extension:
        return Extension(self.task.request, self.task.payload, self.ids)


def top_up(wanted: TopUp) -> Part[Reply | None]:
    """Top up over several slots.

    Returns how the record then stands, Lost where it must be read again, and None once the
    caller is answered.
    """
    home = wanted.task.home
    change = Change(State.COMMITTED, wanted.pending(), due_us=DUE_US)
    asked = Wanted(home, wanted.ids, wanted.lines, change)
    outcome = yield from obtain(asked, wanted.record)
    if isinstance(outcome, Granted):
        return (yield from _conclude(wanted, outcome))
    if isinstance(outcome, Denied):
        answer = outcome.answer()
        if isinstance(answer, Refused):
            answer = replace(answer, seen=wanted.by_line(answer.seen))
        yield from tell(answer)
        yield from _withdraw(wanted, outcome.record)
        return None
    if isinstance(outcome, Blocked) or outcome.record is None:
        yield from cancel(wanted.lines, wanted.ids)
    else:
        yield from _withdraw(wanted, outcome.record)
    if isinstance(outcome, Blocked):
        return SlotReply(Verdict.CONFLICT, outcome.now_us, record=outcome.record)
    return Lost()


def _withdraw(wanted: TopUp, record: Record) -> Part[Record | None]:
    change = Change(State.COMMITTED, wanted.reservation)
    cancelled = cancels(wanted.lines, wanted.ids)
    return (yield from withdraw(wanted.task.home, record, change, cancelled))


def _conclude(wanted: TopUp, granted: Granted) -> Part[Reply | None]:
    """Make the holds firm, then let the record say that they count; both can be said again."""
    home = wanted.task.home
    held = Held(wanted.lines, granted.hold_id, granted.seen)
    longer = renewals(wanted.reservation.lines, wanted.lasts_us)
    seen = yield from confirm(held, wanted.lasts_us, *longer)
    if seen is None:
        if (yield from drop_extension(home, granted.record)) is None:
            yield from cancel(wanted.lines, wanted.ids)
        return Lost()
    topped_up = wanted.with_firm(held.firm())
    change = Change(State.COMMITTED, topped_up, lasts_us=wanted.lasts_us)
    message = Write(move(home, granted.record, change))
    reply = yield from insist(home.slot, message)
    if isinstance(reply, SlotReply) and reply.verdict is Verdict.DONE:
        yield from tell(wanted.extended(reply, topped_up, seen))
        return None
    if isinstance(reply, SlotReply) and not _counts(reply.record, wanted.ids):
        yield from cancel(wanted.lines, wanted.ids)
    return reply


def _counts(record: Record | None, ids: str) -> bool:
    """Tell whether a record names a top-up as done."""
    if record is None:
        return False
    return any(extension.ids == ids for extension in Reservation.of(record).extensions)


def top_up_at_once(wanted: TopUp) -> Part[Reply | None]:
    """Top up where one script can touch every counter and the record; returns as top_up()."""
    home, lines = wanted.task.home, wanted.lines
    hold_id = attempt_id(wanted.ids, 0)
    tentative = tuple(admit_line(line, HoldKind.TENTATIVE, TENTATIVE_US) for line in lines)
    reply = yield from ask_one(home.slot, Admit(hold_id, tentative))
    if isinstance(reply, Lost):
        return reply
    if reply.verdict is Verdict.DONE:
        return (yield from _conclude_at_once(wanted, Held(lines, hold_id, seen_of(reply))))
    if reply.verdict is Verdict.CONTENDED and (yield from pause(0)):
        return Lost()
    if reply.verdict is Verdict.NEED_BOUNDARIES:
        yield from tell(Outdated(reply.now_us))
    else:
        contended = reply.verdict is Verdict.CONTENDED
        yield from tell(Refused(wanted.by_line(refused(reply)), contended=contended))
    return None


def _conclude_at_once(wanted: TopUp, held: Held) -> Part[Reply | None]:
    home, slot = wanted.task.home, wanted.task.home.slot
    topped_up = wanted.with_firm(held.firm())
    change = Change(State.COMMITTED, topped_up, lasts_us=wanted.lasts_us)
    swap = move(home, wanted.record, change)
    firm = confirm_at(held, range(len(held.lines)), wanted.lasts_us, swap)
    old = wanted.reservation.lines
    longer = Renew(exchanges(old, range(len(old)), wanted.lasts_us))
    reply, _ = yield from ask(Sent(slot, firm), Sent(slot, longer))
    if isinstance(reply, Lost) or reply.verdict is Verdict.GONE:
        return Lost()
    if reply.verdict is Verdict.DONE:
        yield from tell(wanted.extended(reply, topped_up, seen_of(reply)))
        return None
    yield from cancel(held.lines, held.hold_id)
    return reply
