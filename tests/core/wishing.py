"""Wishes, plans and lines for tests of reservations, as short to write as to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.messages import Line
from ratelimit_service.core.model import Entry
from ratelimit_service.core.notes import Note
from ratelimit_service.core.requests import Described, Wish
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.reserve_plan import ReservePlan, make_reserve_plan
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.settlement import Amount
from tests.core.rulesets import DOMAIN, MOMENT, NOW_US, limits, rule_set


def amounts(**said: int) -> tuple[Amount, ...]:
    """Amounts by measure."""
    return tuple(Amount(measure, amount) for measure, amount in said.items())


def described(
    key: str = "k", own: tuple[Amount, ...] = (), brought: tuple[LimitSpec, ...] = ()
) -> Described:
    """A descriptor of one entry, with the value ``v``."""
    return Described((Entry(key, "v"),), own, brought)


def wish(
    *descriptors: Described,
    asked: tuple[Amount, ...] = (),
    least: tuple[Amount, ...] = (),
    domain: str = DOMAIN,
) -> Wish:
    """A wish for descriptors, or for the one that described() gives."""
    return Wish(domain, descriptors or (described(),), asked, least)


def planned(rules: RuleSet, asked: Wish) -> ReservePlan:
    """Plan at the tests' moment."""
    return make_reserve_plan(rules, asked, MOMENT)


def key(counter: Counter) -> str:
    """Name a counter by its limit and first entry."""
    return f"{counter.path[0].key}.{counter.limit_name}"


def placed(
    asked: Wish, *specs: LimitSpec, at_us: int = NOW_US
) -> tuple[tuple[PlannedLine, ...], Note]:
    """Plan for one rule with limits, and return lines and note."""
    moment = replace(MOMENT, at_us=at_us)
    plan = make_reserve_plan(rule_set(k=limits(*specs)), asked, moment)
    return plan.placed(key), plan.note()


def admitting(lines: Sequence[PlannedLine], ttl_us: int) -> tuple[Line, ...]:
    """Return lines as a slot admits them."""
    return tuple(
        Line(line.key, line.cap, line.amount, line.minimum, line.kind, line.lasts_us(ttl_us))
        for line in lines
    )
