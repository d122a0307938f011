"""From a wish to the lines of a reservation: which counters, and how much of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ratelimit_service.core.algorithms import Cap
from ratelimit_service.core.amounts import Amounts
from ratelimit_service.core.applied import Applied, Finder, Found, Unmatched
from ratelimit_service.core.calendars import Moment, dated
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.measures import STANDARD_MEASURES
from ratelimit_service.core.notes import LineNote, Note
from ratelimit_service.core.requests import UsageRequest, Wish
from ratelimit_service.core.reservation import PlannedLine, Share
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.core.wishes import check_descriptors, check_wish
from ratelimit_service.errors import InvalidFieldError

MAX_LINES: Final = 256
"""The most counters that one call may touch."""

UNBOUNDED: Final = 2**55
"""The limit of a counter on trial: more than any sums come to, and exact in a script."""


@dataclass(frozen=True, slots=True)
class ReserveLine:
    """What a call asks of one counter; descriptors that share it are added up.

    ``shadow``: the limit is on trial. Its counter is charged what the others grant, also past
    the limit, so that it neither refuses nor cuts anything.
    """

    counter: Counter
    limit: Limit
    cap: Cap
    shadow: bool
    amount: int
    minimum: int
    shares: tuple[Share, ...]

    @property
    def never_fits(self) -> bool:
        """Whether the least that is of use is above the limit itself."""
        return not self.shadow and max(self.minimum, 1) > self.limit.most

    def placed(self, key: str) -> PlannedLine:
        """Return the line as a reservation keeps it; its slot is the store's to say."""
        limit = self.limit
        return PlannedLine(
            slot="",
            key=key,
            cap=replace(self.cap, limit=UNBOUNDED) if self.shadow else self.cap,
            measure=limit.measure,
            kind=limit.kind,
            amount=self.amount,
            minimum=self.minimum,
            lease_us=limit.lease_us,
            limit_name=limit.name,
            shares=self.shares,
        )

    def note(self) -> LineNote:
        """Return what answers say of it."""
        return LineNote(self.limit.most, self.shadow, self.limit.calendar)

    def joined(self, other: ReserveLine) -> ReserveLine:
        """Return a line that asks for both. Raises InvalidFieldError where that is impossible."""
        here = f"descriptors[{other.shares[0].descriptor}]"
        before = f"descriptors[{self.shares[-1].descriptor}]"
        if self.limit != other.limit:
            raise InvalidFieldError(
                f"{here}.limits", f"another limit of the same counter comes with {before}"
            )
        if self.shares[-1].descriptor == other.shares[0].descriptor:
            raise InvalidFieldError(f"{here}.limits", "the same limit stands there twice")
        amount = self.amount + other.amount
        if amount > MAX_AMOUNT:
            reason = f"with {before} it asks for more {self.limit.measure} than {MAX_AMOUNT}"
            raise InvalidFieldError(f"{here}.amounts", reason)
        minimum, shares = self.minimum + other.minimum, self.shares + other.shares
        return replace(self, amount=amount, minimum=minimum, shares=shares)


@dataclass(frozen=True, slots=True)
class ReservePlan:
    """The lines of a call, each with a counter of its own.

    ``titles`` name the rule of each descriptor in metrics, empty where none matched. With
    ``unmatched``, or where a line never fits, the call is refused whatever counters hold.
    """

    lines: tuple[ReserveLine, ...]
    titles: tuple[str, ...]
    unmatched: Unmatched | None = None

    @property
    def never_fits(self) -> bool:
        """Whether some amount is above its limit itself."""
        return any(line.never_fits for line in self.lines)

    def placed(self, key: Callable[[Counter], str]) -> tuple[PlannedLine, ...]:
        """Return the lines for a store that names counters by ``key``."""
        return tuple(line.placed(key(line.counter)) for line in self.lines)

    def note(self) -> Note:
        """Return what answers say of the lines, to be kept with the reservation."""
        return Note(len(self.titles), tuple(line.note() for line in self.lines))


def make_reserve_plan(rules: RuleSet, wish: Wish, moment: Moment) -> ReservePlan:
    """Say which counters a wish touches, and by how much.

    Raises InvalidFieldError for what cannot be decided as it was sent.
    """
    check_wish(wish)
    asked = [Amounts(wish.amounts, each.amounts) for each in wish.descriptors]
    least = Amounts(wish.min_amounts)
    found = Finder(rules, wish.domain, moment.calendar).find(wish.descriptors)
    if not found.applied:
        _require_known_measures(rules, wish)
    _require_less(wish, asked)
    lines = (
        _line(
            each,
            moment,
            asked[each.descriptor].asked(each.limit.measure),
            asked[each.descriptor].least(each.limit.measure, least),
        )
        for each in found.applied
    )
    return _plan(found, lines)


def make_usage_plan(rules: RuleSet, request: UsageRequest, moment: Moment) -> ReservePlan:
    """Say which counters a GetUsage looks at: as a reservation of nothing would.

    Raises InvalidFieldError for what cannot be answered as it was sent.
    """
    check_descriptors(request.domain, request.descriptors)
    found = Finder(rules, request.domain, moment.calendar).find(request.descriptors)
    return _plan(found, (_line(each, moment, 0, 0) for each in found.applied))


def _line(applied: Applied, moment: Moment, amount: int, minimum: int) -> ReserveLine:
    limit = applied.limit
    return ReserveLine(
        counter=applied.counter,
        limit=limit,
        cap=dated(limit.cap, limit.calendar, moment),
        shadow=applied.shadow,
        amount=amount,
        minimum=minimum,
        shares=(Share(applied.descriptor, amount),),
    )


def _plan(found: Found, lines: Iterable[ReserveLine]) -> ReservePlan:
    merged: dict[Counter, ReserveLine] = {}
    for line in lines:
        before = merged.get(line.counter)
        merged[line.counter] = line if before is None else before.joined(line)
    if len(merged) > MAX_LINES:
        reason = f"have {len(merged)} limits in all; the most is {MAX_LINES}"
        raise InvalidFieldError("descriptors", reason)
    return ReservePlan(tuple(merged.values()), found.titles, found.unmatched)


def _require_known_measures(rules: RuleSet, wish: Wish) -> None:
    """Refuse a misspelled measure where no limit of the call would show that it is one."""
    known = STANDARD_MEASURES | rules.policy(wish.domain).measures
    named = [*wish.amounts, *wish.min_amounts]
    named += [amount for descriptor in wish.descriptors for amount in descriptor.amounts]
    for amount in named:
        if amount.measure not in known:
            raise InvalidFieldError(
                f"amounts[{amount.measure}]",
                f"no limit counts this measure; known are {', '.join(sorted(known))}",
            )


def _require_less(wish: Wish, asked: Sequence[Amounts]) -> None:
    """Refuse a least amount that is above what is asked."""
    for least in wish.min_amounts:
        for at, amounts in enumerate(asked):
            most = amounts.asked(least.measure)
            if least.amount > most:
                raise InvalidFieldError(
                    f"min_amounts[{least.measure}]",
                    f"{least.amount} is above the {most} that descriptors[{at}] asks for",
                )
