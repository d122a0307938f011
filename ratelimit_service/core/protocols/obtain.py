"""Charging several slots for a while: what reserve and extend have in common.

The holds are tentative, so that whatever is lost comes back by itself. Each round also claims
the record at home again, which a sweeper leaves alone for DUE_US after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from ratelimit_service.core.messages import (
    TENTATIVE_US,
    Admit,
    HoldKind,
    Record,
    SlotReply,
    Verdict,
    Write,
)
from ratelimit_service.core.protocols.answers import Outdated, Refused, Seen
from ratelimit_service.core.protocols.lines import (
    Group,
    admit_line,
    by_slot,
    cancel,
    is_done,
    refused,
    seen_of,
    uncharged,
)
from ratelimit_service.core.protocols.steps import Part, Reply, Sent, ask, pause
from ratelimit_service.core.reservation import (
    Change,
    Claimant,
    Home,
    PlannedLine,
    attempt_id,
    move,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Lines to charge, under ids, and what the record says meanwhile."""

    home: Home
    ids: str
    lines: tuple[PlannedLine, ...]
    change: Change
    claimant: Claimant | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """Every line is charged, tentatively, under one id."""

    record: Record
    hold_id: str
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """A line does not fit, or its calendar's window is over. The record is still ours."""

    record: Record
    verdict: Verdict
    seen: tuple[Seen | None, ...]
    now_us: int

    def answer(self) -> Refused | Outdated:
        """Return what the caller hears."""
        if self.verdict is Verdict.NEED_BOUNDARIES:
            return Outdated(self.now_us)
        seen = tuple(uncharged(sight) if sight is not None else None for sight in self.seen)
        return Refused(seen, contended=self.verdict is Verdict.CONTENDED)


@dataclass(frozen=True, slots=True)
class Blocked:
    """The record is not as expected: this is how it stands."""

    record: Record | None
    now_us: int


@dataclass(frozen=True, slots=True)
class Dark:
    """A slot did not reply; where that was the home, ``record`` is None."""

    record: Record | None


Obtained: TypeAlias = Granted | Denied | Blocked | Dark


@dataclass(frozen=True, slots=True)
class _Attempt:
    groups: tuple[Group, ...]
    hold_id: str
    seen: tuple[Seen | None, ...]


def obtain(wanted: Wanted, before: Record | None) -> Part[Obtained]:
    """Charge every line tentatively, all slots at once; in their order if others do so too.

    Whatever it returns, what it holds is still held.
    """
    groups = by_slot(wanted.lines)
    nothing: tuple[Seen | None, ...] = (None,) * len(wanted.lines)
    first = _Attempt(groups, attempt_id(wanted.ids, 0), nothing)
    outcome = yield from _attempt(wanted, before, first)
    if not isinstance(outcome, Denied) or outcome.verdict is not Verdict.CONTENDED:
        return outcome
    yield from cancel(wanted.lines, first.hold_id)
    return (yield from _in_order(wanted, outcome))


def _in_order(wanted: Wanted, denied: Denied) -> Part[Obtained]:
    """Charge slot after slot, waiting at each with the ones before it held.

    All who wait keep one order of slots, so that they never wait for each other in a circle.
    """
    outcome: Obtained = denied
    record = denied.record
    seen = tuple(uncharged(sight) if sight is not None else None for sight in denied.seen)
    for group in by_slot(wanted.lines):
        for tries in count():
            attempt = _Attempt((group,), attempt_id(wanted.ids, 1), seen)
            outcome = yield from _attempt(wanted, record, attempt)
            if not isinstance(outcome, Granted | Denied):
                return outcome
            record, seen = outcome.record, outcome.seen
            if isinstance(outcome, Granted):
                break
            if outcome.verdict is not Verdict.CONTENDED or not (yield from pause(tries)):
                return outcome
    return outcome


def _attempt(wanted: Wanted, before: Record | None, attempt: _Attempt) -> Part[Obtained]:
    swap = move(wanted.home, before, wanted.change, wanted.claimant)
    home, *replies = yield from ask(
        Sent(wanted.home.slot, Write(swap)),
        *(_admit(wanted.lines, group, attempt.hold_id) for group in attempt.groups),
    )
    if not isinstance(home, SlotReply):
        return Dark(None)
    if home.verdict is not Verdict.DONE or home.record is None:
        return Blocked(home.record, home.now_us)
    return _weigh(home.record, attempt, replies)


def _admit(lines: Sequence[PlannedLine], group: Group, hold_id: str) -> Sent:
    tentative = (admit_line(lines[i], HoldKind.TENTATIVE, TENTATIVE_US) for i in group.indices)
    return Sent(group.slot, Admit(hold_id, tuple(tentative)))


def _weigh(record: Record, attempt: _Attempt, replies: Sequence[Reply]) -> Granted | Denied | Dark:
    """Say what the slots' replies mean together: the gravest of them decides."""
    heard = [reply for reply in replies if isinstance(reply, SlotReply)]
    seen = list(attempt.seen)
    for group, reply in zip(attempt.groups, replies, strict=True):
        if isinstance(reply, SlotReply) and reply.views:
            views = seen_of(reply) if is_done(reply) else refused(reply)
            for i, sight in zip(group.indices, views, strict=True):
                seen[i] = sight
    for verdict in (Verdict.NEED_BOUNDARIES, Verdict.OVER):
        for reply in heard:
            if reply.verdict is verdict:
                return Denied(record, verdict, tuple(seen), reply.now_us)
    if len(heard) < len(replies):
        return Dark(record)
    for reply in heard:
        if reply.verdict is Verdict.CONTENDED:
            return Denied(record, Verdict.CONTENDED, tuple(seen), reply.now_us)
    return Granted(record, attempt.hold_id, tuple(sight for sight in seen if sight is not None))
