"""Rules and requests for tests of the core, as short to write as to read."""

from __future__ import annotations

from typing import Final

from ratelimit_service.core.calendars import Bounds, Moment
from ratelimit_service.core.limit_spec import LimitSpec, build_limit
from ratelimit_service.core.limits import CalendarWindow, Limit, Period
from ratelimit_service.core.measures import REQUESTS
from ratelimit_service.core.model import Descriptor, Entry, Override
from ratelimit_service.core.rules import Node, Policy, Rule, RuleSet
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import Place

DOMAIN: Final = "d"


class DecimalCalendar:
    """A calendar whose days are ten seconds long, in every time zone but ``nowhere``."""

    def knows(self, time_zone: str) -> bool:
        """Tell whether there is a time zone."""
        return time_zone != "nowhere"

    def bounds(self, window: CalendarWindow, at_us: int) -> Bounds:
        """Return the ten seconds, or more of them for longer periods."""
        length_us = 10_000_000 * (list(Period).index(window.period) + 1)
        start_us = at_us - at_us % length_us
        return Bounds(start_us, start_us + length_us)


NOW_US: Final = 1_700_000_000_000_000
MOMENT: Final = Moment(NOW_US, DecimalCalendar())
PLACE: Final = Place("rules.yaml", 1, 1)


def limited(amount: int = 10, unit: Unit = Unit.MINUTE, name: str = "") -> Rule:
    """A rule with a limit, and a name that others may replace it by."""
    return Rule("d.rule", PLACE, (Limit.per(amount, unit, name),), name=name)


def unlimited(name: str = "") -> Rule:
    """A rule without a limit."""
    return Rule("d.rule", PLACE, (), unlimited=True, name=name)


def limits(*specs: LimitSpec, hits_measure: str = REQUESTS, shadow_mode: bool = False) -> Rule:
    """A rule with a list of limits."""
    return Rule(
        "d.rule",
        PLACE,
        tuple(build_limit(spec) for spec in specs),
        shadow_mode=shadow_mode,
        hits_measure=hits_measure,
        written_as_limits=True,
    )


def per_minute(name: str = "n", amount: int = 10, measure: str = REQUESTS) -> LimitSpec:
    """A limit in fixed windows of a minute."""
    return LimitSpec(amount, name, measure, window="1m")


def rule_set(**rules: Rule) -> RuleSet:
    """Rules for descriptors of one entry, by its key."""
    return with_policy(Policy(), **rules)


def with_policy(policy: Policy, **rules: Rule) -> RuleSet:
    """Rules for descriptors of one entry, in a domain that a policy holds for."""
    by_key = {key: Node(key, rule) for key, rule in rules.items()}
    return RuleSet({DOMAIN: Node(by_key=by_key)}, {DOMAIN: policy})


def strict(**rules: Rule) -> RuleSet:
    """Rules of a strict domain."""
    return with_policy(Policy(strict=True), **rules)


def descriptor(
    key: str,
    hits: int | None = None,
    override: Override | None = None,
    *,
    refund: bool = False,
) -> Descriptor:
    """A descriptor of one entry, with the value ``v``."""
    return Descriptor((Entry(key, "v"),), hits, refund, override)
