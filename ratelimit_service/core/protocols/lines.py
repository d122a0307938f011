"""From the lines of a reservation to messages for their slots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.messages import (
    Cancel,
    Exchange,
    HoldKind,
    Line,
    Payment,
    Renew,
    Settle,
    SlotReply,
    Verdict,
    View,
)
from ratelimit_service.core.protocols.answers import Seen
from ratelimit_service.core.protocols.steps import Part, Reply, Sent, ask
from ratelimit_service.core.reservation import Home, PlannedLine
from ratelimit_service.core.settlement import pay


@dataclass(frozen=True, slots=True)
class Group:
    """The lines, by index, that lie in one slot."""

    slot: str
    indices: tuple[int, ...]


def by_slot(lines: Sequence[PlannedLine]) -> tuple[Group, ...]:
    """Group lines by slot, in the order of slots that every coordinator keeps."""
    slots = sorted({line.slot for line in lines})
    return tuple(
        Group(slot, tuple(i for i, line in enumerate(lines) if line.slot == slot)) for slot in slots
    )


def lie_at_home(home: Home, lines: Iterable[PlannedLine]) -> bool:
    """Tell whether one script can touch the record and every line."""
    return all(line.slot == home.slot for line in lines)


def admit_line(line: PlannedLine, kind: HoldKind, lasts_us: int) -> Line:
    """Return a line as Admit charges it."""
    return Line(line.key, line.cap, line.amount, line.minimum, kind, lasts_us)


def seen_of(reply: SlotReply) -> tuple[Seen, ...]:
    """Return what a slot said of each line of a message."""
    return tuple(Seen(view, reply.now_us) for view in reply.views)


def uncharged(seen: Seen) -> Seen:
    """Return what was seen without what this call itself was granted."""
    state, granted = seen.view.state, seen.view.granted
    without = replace(state, counted=state.counted - granted, held=state.held - granted)
    return Seen(replace(seen.view, state=without, granted=0), seen.now_us)


def refused(reply: SlotReply) -> tuple[Seen, ...]:
    """Return what a slot that charged nothing said of each line."""
    return tuple(Seen(replace(view, granted=0), reply.now_us) for view in reply.views)


def cancels(lines: Sequence[PlannedLine], ids: str) -> tuple[Sent, ...]:
    """Return what gives back all that is held under some ids."""
    return tuple(
        Sent(group.slot, Cancel(ids, tuple(_bare(lines[i]) for i in group.indices)))
        for group in by_slot(lines)
    )


def _bare(line: PlannedLine) -> Line:
    return Line(line.key, line.cap, 0, 0)


def cancel(lines: Sequence[PlannedLine], ids: str) -> Part[bool]:
    """Give back what is held under some ids; tell whether every slot did."""
    replies = yield from ask(*cancels(lines, ids))
    return all(is_done(reply) for reply in replies)


def is_done(reply: Reply) -> bool:
    """Tell whether a message is known to be done."""
    return isinstance(reply, SlotReply) and reply.verdict is Verdict.DONE


def renewals(lines: Sequence[PlannedLine], ttl_us: int) -> tuple[Sent, ...]:
    """Return what makes every open hold last for ``ttl_us``, or as its lease says."""
    return tuple(
        Sent(group.slot, Renew(exchanges(lines, group.indices, ttl_us))) for group in by_slot(lines)
    )


def exchanges(
    lines: Sequence[PlannedLine], indices: Iterable[int], ttl_us: int
) -> tuple[Exchange, ...]:
    """Return what renews every hold of some lines."""
    return tuple(
        Exchange(line.key, line.cap, held, held.kind, held.amount, line.lasts_us(ttl_us))
        for line in (lines[i] for i in indices)
        for held in line.holds
    )


def settlements(lines: Sequence[PlannedLine], actuals: Sequence[int]) -> tuple[Sent, ...]:
    """Return what settles every hold."""
    return tuple(
        Sent(group.slot, Settle(payments(lines, actuals, group.indices)))
        for group in by_slot(lines)
    )


def payments(
    lines: Sequence[PlannedLine], actuals: Sequence[int], indices: Iterable[int]
) -> tuple[Payment, ...]:
    """Return what settles every hold of some lines."""
    return tuple(
        Payment(lines[i].key, lines[i].cap, paid.hold, paid.actual)
        for i in indices
        for paid in pay(lines[i], actuals[i])
    )


def seen_by_line(lines: Sequence[PlannedLine], replies: Iterable[SlotReply]) -> tuple[Seen, ...]:
    """Return what was last said of each line by slots that have said something of each hold."""
    last = [Seen(View(CounterState()), 0)] * len(lines)
    for group, reply in zip(by_slot(lines), replies, strict=True):
        seen = iter(seen_of(reply))
        for i in group.indices:
            for _ in lines[i].holds:
                last[i] = next(seen)
    return tuple(last)
