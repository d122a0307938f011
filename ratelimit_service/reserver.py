"""The use cases of reservations: plan, ask the store once, and answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias

from ratelimit_service.config.calendars import ZoneCalendar
from ratelimit_service.core.amounts import usage_with_tokens, with_tokens
from ratelimit_service.core.calendars import Calendar, Moment
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.digests import (
    extension_digest,
    owner_digest,
    request_digest,
    wish_digest,
)
from ratelimit_service.core.headers import HeaderNames
from ratelimit_service.core.notes import Note
from ratelimit_service.core.protocols.answers import (
    Closed,
    Extended,
    Mismatch,
    NotFound,
    Refused,
    Replayed,
    Reserved,
    Result,
    Seen,
    Settled,
)
from ratelimit_service.core.protocols.tasks import FreshCap
from ratelimit_service.core.refusal import refuse
from ratelimit_service.core.requests import (
    ExtendRequest,
    ReconcileRequest,
    ReserveRequest,
    UsageRequest,
)
from ratelimit_service.core.reservation import PlannedLine, Reservation
from ratelimit_service.core.reservation_answers import (
    Admission,
    Extension,
    Inquiry,
    Settlement,
    actual_amounts,
    admit,
    extended,
    is_late,
    not_extended,
    settled,
    try_out,
    turn_away,
    unasked,
)
from ratelimit_service.core.reserve_plan import ReservePlan, make_reserve_plan, make_usage_plan
from ratelimit_service.core.settlement import Amount
from ratelimit_service.core.statuses import DescriptorStatus, statuses_of
from ratelimit_service.errors import (
    RequestIdReusedError,
    ReservationClosedError,
    ReservationNotFoundError,
)
from ratelimit_service.limiter import DEFAULT_TIMEOUT_S, Limiter
from ratelimit_service.store.memory import wall_clock_us
from ratelimit_service.store.reservations import Asked, More, Reservations
from ratelimit_service.telemetry.recorder import Recorder

ANOMALY: Final = "refund_below_zero"
"""A settlement gave back more than was counted any more (F23)."""

_Make: TypeAlias = Callable[[Moment], ReservePlan]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the edge knows it, and the seconds that are left of the call's deadline."""

    name: str = ""
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReserverOptions:
    """How reservations are answered. ``timeout_s`` bounds each call, whatever its deadline.

    Limit headers beside those of each descriptor are added where ``header_names`` are given.
    """

    header_names: HeaderNames | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    calendar: Calendar = field(default_factory=ZoneCalendar)
    now_us: Callable[[], int] = wall_clock_us


class _Planner:
    """Plans for each time that the store asks for, and remembers the last plan."""

    def __init__(
        self, make: _Make, key: Callable[[Counter], str], options: ReserverOptions
    ) -> None:
        self._make = make
        self._key = key
        self._calendar = options.calendar
        self._plan(options.now_us())

    def __call__(self, now_us: int) -> Sequence[PlannedLine]:
        """Plan for a time, in microseconds since the epoch."""
        self._plan(now_us)
        return self.lines

    def _plan(self, now_us: int) -> None:
        self.plan = self._make(Moment(now_us, self._calendar))
        self.lines = self.plan.placed(self._key)


class Reserver:
    """Reserves, settles, extends and looks, by the rules in force of a limiter.

    Every method raises InvalidRequestError and what the methods of Reservations raise; the
    edges count those.
    """

    def __init__(
        self,
        limiter: Limiter,
        reservations: Reservations,
        recorder: Recorder,
        options: ReserverOptions,
    ) -> None:
        self._limiter = limiter
        self._reservations = reservations
        self._recorder = recorder
        self._options = options

    async def check_and_increment(self, request: ReserveRequest, caller: Caller) -> Admission:
        """Reserve over every limit of every descriptor, all or nothing.

        Raises RequestIdReusedError.
        """
        started = perf_counter()
        admission = await self._admit(request, caller)
        word = _word(admission)
        granted = admission.granted if word == "granted" else ()
        domain = request.wish.domain
        self._recorder.reserved(domain, word, granted, perf_counter() - started)
        return admission

    async def _admit(self, request: ReserveRequest, caller: Caller) -> Admission:
        planner = self._planner(
            partial(make_reserve_plan, self._limiter.rules_in_force(), request.wish)
        )
        asked = Inquiry(request.wish, self._options.header_names)
        plan, timeout_s = planner.plan, self._timeout_s(caller)
        hopeless = plan.never_fits and not request.request_id
        if request.dry_run or hopeless or plan.unmatched is not None:
            seen = await self._reservations.look(planner, timeout_s)
            return try_out(asked, planner.plan, planner.lines, seen)
        wanted = _asked(request, caller, planner)
        answered = await self._reservations.reserve(wanted, timeout_s)
        match answered.result:
            case Reserved() | Replayed() as result:
                return admit(asked, result, answered.reservation_id)
            case Refused() as refused:
                note = plan.note()
                statuses = statuses_of(planner.lines, note, refused.seen)
                return turn_away(asked, statuses, refuse(planner.lines, note, refused))
            case Mismatch():
                raise RequestIdReusedError(
                    "request_id: it was used before, for a call that asked for something else"
                )
            case other:
                raise _unexpected(other)

    async def reconcile(self, request: ReconcileRequest, caller: Caller) -> Settlement:
        """Settle a reservation to what was used.

        Raises ReservationNotFoundError, and ReservationClosedError where it was settled to
        other amounts.
        """
        timeout_s = self._timeout_s(caller)
        result = await self._reservations.reconcile(
            request.reservation_id,
            owner_digest(caller.name),
            usage_with_tokens(request.usage),
            timeout_s,
        )
        match result:
            case Settled():
                self._note_settlement(result)
                seen = result.seen or await self._look_again(result.reservation, timeout_s)
                return settled(result, seen)
            case Mismatch():
                raise ReservationClosedError("the reservation was settled to other amounts before")
            case NotFound():
                raise _not_found()
            case other:
                raise _unexpected(other)

    async def extend(self, request: ExtendRequest, caller: Caller) -> Extension:
        """Renew a reservation, and top it up where amounts are given.

        Raises ReservationNotFoundError, ReservationClosedError where it is settled or expired,
        and RequestIdReusedError.
        """
        amounts, timeout_s = with_tokens(request.amounts), self._timeout_s(caller)
        more = self._more(request, amounts, caller)
        result = await self._reservations.extend(request.reservation_id, more, timeout_s)
        match result:
            case Extended():
                self._recorder.extended("topped_up" if amounts else "renewed", amounts)
                seen: Sequence[Seen | None] = result.seen
                if None in seen:
                    seen = await self._look_again(result.reservation, timeout_s)
                return extended(result, seen)
            case Refused():
                return await self._not_extended(request, caller, result)
            case Closed():
                raise ReservationClosedError("the reservation is settled or expired")
            case Mismatch():
                raise RequestIdReusedError(
                    "request_id: it was used before, to extend by something else"
                )
            case NotFound():
                raise _not_found()
            case other:
                raise _unexpected(other)

    async def get_usage(
        self, request: UsageRequest, caller: Caller
    ) -> tuple[DescriptorStatus, ...]:
        """Return what the limits of each descriptor hold. Charges and refreshes nothing."""
        planner = self._planner(partial(make_usage_plan, self._limiter.rules_in_force(), request))
        seen = await self._reservations.look(planner, self._timeout_s(caller))
        return statuses_of(planner.lines, planner.plan.note(), seen)

    async def _not_extended(
        self, request: ExtendRequest, caller: Caller, refused: Refused
    ) -> Extension:
        owner = owner_digest(caller.name)
        reservation = await self._reservations.find(
            request.reservation_id, owner, self._timeout_s(caller)
        )
        if reservation is None:
            raise _not_found()
        answer = not_extended(reservation, with_tokens(request.amounts), refused)
        if answer.refusal is not None:
            self._recorder.extended(answer.refusal.reason.lower(), ())
        return answer

    def _more(self, request: ExtendRequest, amounts: tuple[Amount, ...], caller: Caller) -> More:
        def caps(reservation: Reservation, now_us: int) -> Sequence[FreshCap]:
            moment = Moment(now_us, self._options.calendar)
            note = Note.decode(reservation.note, reservation.lines)
            return note.fresh_caps(reservation.lines, moment)

        return More(
            owner_digest(caller.name),
            request.ttl_us,
            caps,
            amounts,
            request_digest(request.request_id),
            extension_digest(request),
        )

    async def _look_again(self, reservation: Reservation, timeout_s: float) -> tuple[Seen, ...]:
        """Look at what a reservation's limits hold now."""
        note = Note.decode(reservation.note, reservation.lines)

        def plan(now_us: int) -> Sequence[PlannedLine]:
            fresh = note.fresh_caps(reservation.lines, Moment(now_us, self._options.calendar))
            caps = {each.key: each.cap for each in fresh}
            return [unasked(line, caps.get(line.key, line.cap)) for line in reservation.lines]

        return await self._reservations.look(plan, timeout_s)

    def _note_settlement(self, result: Settled) -> None:
        if not result.seen and result.reservation.lines:
            self._recorder.settled("repeated", ())
            return
        word = "late" if is_late(result) else "in_time"
        self._recorder.settled(word, actual_amounts(result.reservation))
        if any(sight.view.shortfall for sight in result.seen):
            self._recorder.anomaly(ANOMALY)

    def _planner(self, make: _Make) -> _Planner:
        return _Planner(make, self._reservations.key, self._options)

    def _timeout_s(self, caller: Caller) -> float:
        bound_s = self._options.timeout_s
        return bound_s if caller.timeout_s is None else min(caller.timeout_s, bound_s)


def _asked(request: ReserveRequest, caller: Caller, planner: _Planner) -> Asked:
    return Asked(
        owner_digest(caller.name),
        request.wish.domain,
        wish_digest(request.wish),
        planner,
        request.ttl_us,
        request.request_id,
        planner.plan.note().encode(),
    )


def _word(admission: Admission) -> str:
    if admission.refusal is not None:
        return admission.refusal.reason.lower()
    if admission.standing is None:
        return "dry_run"
    return "repeated" if admission.standing.repeated else "granted"


def _not_found() -> ReservationNotFoundError:
    return ReservationNotFoundError("reservation_id: there is no such reservation, or not any more")


def _unexpected(result: Result) -> TypeError:
    return TypeError(f"no answer to this call: {result!r}")
