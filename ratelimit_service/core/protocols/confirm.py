"""Making tentative holds firm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.messages import Confirm, Exchange, Hold, HoldKind, SlotReply, Swap
from ratelimit_service.core.protocols.answers import Seen
from ratelimit_service.core.protocols.lines import by_slot, is_done, seen_of
from ratelimit_service.core.protocols.steps import Part, Sent, ask
from ratelimit_service.core.reservation import PlannedLine


@dataclass(frozen=True, slots=True)
class Held:
    """Lines that are charged tentatively under one id, and what was seen of them then."""

    lines: tuple[PlannedLine, ...]
    hold_id: str
    seen: tuple[Seen, ...]

    def firm(self) -> tuple[PlannedLine, ...]:
        """Return the lines with what they get and their firm holds."""
        return tuple(
            replace(line, amount=amount, holds=(self._hold(i, line.kind, amount),))
            for i, (line, amount) in enumerate(
                zip(self.lines, grants(self.lines, self.seen), strict=True)
            )
        )

    def states(self) -> tuple[CounterState, ...]:
        """Return what the counters hold once the lines are firm."""
        return tuple(
            replace(
                sight.view.state,
                counted=sight.view.state.counted - sight.view.granted + amount,
                held=sight.view.state.held - sight.view.granted + amount,
            )
            for sight, amount in zip(self.seen, grants(self.lines, self.seen), strict=True)
        )

    def exchange(self, i: int, firm: PlannedLine, ttl_us: int) -> Exchange:
        """Return what makes one line's hold firm."""
        old = self._hold(i, HoldKind.TENTATIVE, self.seen[i].view.granted)
        return Exchange(firm.key, firm.cap, old, firm.kind, firm.amount, firm.lasts_us(ttl_us))

    def _hold(self, i: int, kind: HoldKind, amount: int) -> Hold:
        return Hold(self.hold_id, kind, amount, self.seen[i].view.state.at_us)


def grants(lines: Sequence[PlannedLine], seen: Sequence[Seen]) -> tuple[int, ...]:
    """Return what each line gets when no line of a measure gets more than another can.

    A line that was granted all it asked for bounds no other.
    """
    levels: dict[str, int] = {}
    for line, sight in zip(lines, seen, strict=True):
        granted = sight.view.granted
        if granted < line.amount:
            levels[line.measure] = min(levels.get(line.measure, granted), granted)
    return tuple(
        max(line.minimum, min(sight.view.granted, levels.get(line.measure, line.amount)))
        for line, sight in zip(lines, seen, strict=True)
    )


def confirm_at(
    held: Held, indices: Sequence[int], ttl_us: int, swap: Swap | None = None
) -> Confirm:
    """Return what makes the holds of some lines of one slot firm, all or none."""
    firm = held.firm()
    return Confirm(tuple(held.exchange(i, firm[i], ttl_us) for i in indices), swap)


def confirm(held: Held, ttl_us: int, *also: Sent) -> Part[tuple[Seen, ...] | None]:
    """Make all holds firm; None where one was gone or a slot did not reply.

    ``also`` is said in the same round, and must be done too.
    """
    groups = by_slot(held.lines)
    confirms = (Sent(group.slot, confirm_at(held, group.indices, ttl_us)) for group in groups)
    replies = yield from ask(*confirms, *also)
    if not all(is_done(reply) for reply in replies):
        return None
    seen: dict[int, Seen] = {}
    for group, reply in zip(groups, replies, strict=False):
        if isinstance(reply, SlotReply):
            seen.update(zip(group.indices, seen_of(reply), strict=True))
    return tuple(seen[i] for i in range(len(held.lines)))
