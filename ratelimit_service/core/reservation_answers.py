"""From what a store says of a reservation to the answer for its caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ratelimit_service.core.algorithms import Cap
from ratelimit_service.core.grants import granted_amounts
from ratelimit_service.core.headers import Header, HeaderNames
from ratelimit_service.core.judge import Code
from ratelimit_service.core.messages import Record, State, View
from ratelimit_service.core.notes import Note
from ratelimit_service.core.problem import problem_of
from ratelimit_service.core.protocols.answers import (
    Extended,
    Refused,
    Replayed,
    Reserved,
    Seen,
    Settled,
)
from ratelimit_service.core.protocols.confirm import grants
from ratelimit_service.core.refusal import Refusal, refuse, refuse_too_large, refuse_unmatched
from ratelimit_service.core.requests import Wish
from ratelimit_service.core.reservation import PlannedLine, Reservation
from ratelimit_service.core.reservation_headers import reservation_headers
from ratelimit_service.core.reserve_plan import ReservePlan
from ratelimit_service.core.settlement import Amount
from ratelimit_service.core.statuses import DescriptorStatus, statuses_of


class Stage(StrEnum):
    """How a reservation stands, as callers are told; the values are those of the wire."""

    OPEN = "OPEN"
    SETTLED = "SETTLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Standing:
    """A reservation as its caller knows it; it expires at microseconds since the epoch.

    ``repeated``: it was made by an earlier call under the same id.
    """

    reservation_id: str
    stage: Stage
    expires_at_us: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to CheckAndIncrementByN. Without ``standing`` nothing is reserved."""

    code: Code
    statuses: tuple[DescriptorStatus, ...]
    headers: tuple[Header, ...] = ()
    granted: tuple[Amount, ...] = ()
    standing: Standing | None = None
    refusal: Refusal | None = None
    http_body: bytes = b""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The answer to Reconcile."""

    stage: Stage
    statuses: tuple[DescriptorStatus, ...]


@dataclass(frozen=True, slots=True)
class Extension:
    """The answer to Extend. A refused one has no ``expires_at_us``."""

    code: Code
    statuses: tuple[DescriptorStatus, ...]
    expires_at_us: int | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What was asked, and how headers are called."""

    wish: Wish
    names: HeaderNames | None


def admit(asked: Inquiry, result: Reserved | Replayed, reservation_id: str) -> Admission:
    """Answer a call that has reserved, now or before under the same id.

    A repeated call is told what it was told first, and how the reservation stands now.
    """
    record, reservation = result.record, result.reservation
    lines = _as_admitted(reservation)
    note = Note.decode(reservation.note, lines)
    seen: Sequence[Seen]
    if isinstance(result, Reserved):
        now_us, seen = record.admitted_at_us, result.seen
    else:
        now_us, seen = result.now_us, _seen_then(record, lines)
    repeated = isinstance(result, Replayed)
    stage = stage_of(record, now_us)
    standing = Standing(reservation_id, stage, record.expires_at_us, repeated)
    statuses = statuses_of(lines, note, seen)
    granted = granted_amounts(asked.wish, lines)
    return Admission(Code.OK, statuses, _headers(asked, statuses), granted, standing)


def try_out(
    asked: Inquiry, plan: ReservePlan, lines: Sequence[PlannedLine], seen: Sequence[Seen]
) -> Admission:
    """Answer what a call would be answered by what was seen, without reserving anything."""
    note = plan.note()
    refusal = refuse_at_once(plan, lines, seen)
    if refusal is None and not all(sight.view.fits for sight in seen):
        refusal = refuse(lines, note, Refused(tuple(seen)))
    if refusal is not None:
        return turn_away(asked, statuses_of(lines, note, seen), refusal)
    statuses = statuses_of(lines, note, seen)
    given = tuple(
        replace(line, amount=amount)
        for line, amount in zip(lines, grants(lines, seen), strict=True)
    )
    granted = granted_amounts(asked.wish, given)
    return Admission(Code.OK, statuses, _headers(asked, statuses), granted)


def refuse_at_once(
    plan: ReservePlan, lines: Sequence[PlannedLine], seen: Sequence[Seen]
) -> Refusal | None:
    """Return why a call is refused whatever its counters hold; None where it is not."""
    if plan.unmatched is not None:
        return refuse_unmatched(plan.unmatched)
    return refuse_too_large(lines, plan.note(), seen)


def turn_away(
    asked: Inquiry, statuses: tuple[DescriptorStatus, ...], refusal: Refusal
) -> Admission:
    """Answer a call that is refused."""
    headers = _headers(asked, statuses, refusal)
    body = problem_of(refusal)
    return Admission(Code.OVER_LIMIT, statuses, headers, refusal=refusal, http_body=body)


def stage_of(record: Record, now_us: int) -> Stage:
    """Return how a reservation stands at the time of its home."""
    if record.state in {State.SETTLING, State.SETTLED}:
        return Stage.SETTLED
    return Stage.OPEN if now_us < record.expires_at_us else Stage.EXPIRED


def settled(result: Settled, seen: Sequence[Seen]) -> Settlement:
    """Answer a call that has settled, now or before."""
    reservation = result.reservation
    note = Note.decode(reservation.note, reservation.lines)
    return Settlement(Stage.SETTLED, statuses_of(reservation.lines, note, seen))


def is_late(result: Settled) -> bool:
    """Tell whether a settlement came after the reservation's end, which it then moves to now."""
    return any(result.record.expires_at_us <= sight.now_us + 1 for sight in result.seen)


def actual_amounts(reservation: Reservation) -> tuple[Amount, ...]:
    """Return what a settled reservation used of each measure; of several limits, the most."""
    most: dict[str, int] = {}
    for line, actual in zip(reservation.lines, reservation.actuals, strict=True):
        most[line.measure] = max(actual, most.get(line.measure, 0))
    return tuple(Amount(measure, amount) for measure, amount in most.items())


def unasked(line: PlannedLine, cap: Cap) -> PlannedLine:
    """Return a line that only looks, by what its cap is now."""
    return replace(line, cap=cap, amount=0, minimum=0)


def extended(result: Extended, seen: Sequence[Seen | None]) -> Extension:
    """Answer a call that has extended."""
    reservation = result.reservation
    note = Note.decode(reservation.note, reservation.lines)
    statuses = statuses_of(reservation.lines, note, seen)
    return Extension(Code.OK, statuses, result.record.expires_at_us)


def not_extended(
    reservation: Reservation, amounts: Sequence[Amount], refused: Refused
) -> Extension:
    """Answer a top-up that does not fit; the reservation stays as it is."""
    lines = tuple(_more(line, amounts) for line in reservation.lines)
    note = Note.decode(reservation.note, lines)
    statuses = statuses_of(lines, note, refused.seen)
    return Extension(Code.OVER_LIMIT, statuses, refusal=refuse(lines, note, refused))


def _more(line: PlannedLine, amounts: Sequence[Amount]) -> PlannedLine:
    """Return a line as a top-up asks for it: by ``amounts`` for each of its descriptors."""
    each = next((more.amount for more in amounts if more.measure == line.measure), 0)
    more = each * max(1, len(line.shares))
    return replace(line, amount=more, minimum=more)


def _as_admitted(reservation: Reservation) -> tuple[PlannedLine, ...]:
    """Return the lines without what top-ups have added."""
    return tuple(
        replace(
            line,
            amount=sum(held.amount for held in line.holds if held.id.startswith(reservation.ids)),
        )
        for line in reservation.lines
    )


def _seen_then(record: Record, lines: Sequence[PlannedLine]) -> tuple[Seen, ...]:
    return tuple(
        Seen(View(state, line.amount), record.admitted_at_us)
        for line, state in zip(lines, record.states, strict=True)
    )


def _headers(
    asked: Inquiry, statuses: tuple[DescriptorStatus, ...], refusal: Refusal | None = None
) -> tuple[Header, ...]:
    entries = [descriptor.entries for descriptor in asked.wish.descriptors]
    return reservation_headers(entries, statuses, refusal, asked.names)
