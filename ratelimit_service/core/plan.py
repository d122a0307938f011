"""From a ShouldRateLimit call to the charges that decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from ratelimit_service.core.calendars import Moment, dated
from ratelimit_service.core.counters import (
    LONGEST_REMEMBERED,
    REMEMBERED,
    Owner,
    colocated,
)
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.measures import CONCURRENCY, REQUESTS
from ratelimit_service.core.model import Descriptor, Override, RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.planned import Charge, Plan, PlannedDescriptor
from ratelimit_service.core.required import missing_entry
from ratelimit_service.core.rules import Match, Policy, Rule, RuleSet, Step
from ratelimit_service.core.strict import enforce_strictly, unrefusing
from ratelimit_service.core.terms import Terms
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.errors import InvalidRequestError


def make_plan(rules: RuleSet, request: RateLimitRequest, modes: Modes, moment: Moment) -> Plan:
    """Say which counters a request touches, and by how much.

    Raises InvalidRequestError for an empty domain, for no descriptors and for
    amounts that cannot be counted exactly.
    """
    if not request.domain:
        raise InvalidRequestError("rate limit domain must not be empty")
    if not request.descriptors:
        raise InvalidRequestError("rate limit descriptor list must not be empty")
    _require_exact_amounts(request)
    planned = [
        _plan_descriptor(rules, request.domain, descriptor, request.hits or 1)
        if descriptor.text_length <= LONGEST_REMEMBERED
        else _plan_descriptor.__wrapped__(rules, request.domain, descriptor, request.hits or 1)
        for descriptor in request.descriptors
    ]
    policy = rules.policy(request.domain)
    missing = None
    if policy.requires:
        entries = [descriptor.entries for descriptor in request.descriptors]
        missing = missing_entry(rules.domains[request.domain], entries)
    if False in [item.plain for item in planned]:
        planned = [_date(item, moment) for item in _replace(planned)]
    if policy.strict:
        planned = enforce_strictly(planned, modes, lacks_entry=missing is not None)
    charges = tuple([charge for item in planned for charge in item.charges])
    return Plan(request.domain, tuple(planned), charges, policy.strict, missing)


@lru_cache(maxsize=REMEMBERED)
def _plan_descriptor(
    rules: RuleSet, domain: str, descriptor: Descriptor, hits: int
) -> PlannedDescriptor:
    """Plan one descriptor; ``hits`` are the request's, for one that brings none of its own."""
    amount = hits if descriptor.hits is None else descriptor.hits
    if descriptor.refund:
        amount = -amount
    policy = rules.policy(domain)
    if descriptor.override is not None:
        if domain not in rules.domains:
            return PlannedDescriptor()
        path = tuple(Step(entry.key, entry.value) for entry in descriptor.entries)
        owner = Owner(domain, path, colocated(path, policy.colocate_by), overridden=True)
        return _plan_override(owner, descriptor.override, amount, policy)
    match = rules.match(domain, descriptor.entries)
    if match is None:
        return PlannedDescriptor(refused=policy.refuse_unmatched)
    return _plan_match(domain, match, amount, policy)


def _plan_override(
    owner: Owner, override: Override, amount: int, policy: Policy
) -> PlannedDescriptor:
    limit = Limit.per(override.amount, override.unit)
    charge = _charge(owner, limit, amount, policy)
    return PlannedDescriptor(f"{owner.domain}.override", None, (limit,), (charge,))


def _plan_match(domain: str, match: Match, amount: int, policy: Policy) -> PlannedDescriptor:
    rule = match.rule
    if match.exempt:
        return PlannedDescriptor(match.title, rule, exempt=True, plain=not rule.replaces)
    owner = Owner(domain, match.path, colocated(match.path, policy.colocate_by))
    charges = tuple(
        _charge(owner, limit, amount if limit.measure == rule.hits_measure else 0, policy)
        for limit in rule.limits
    )
    if rule.shadow_mode:
        charges = tuple(map(unrefusing, charges))
    plain = not rule.replaces and all(limit.calendar is None for limit in rule.limits)
    return PlannedDescriptor(match.title, rule, rule.limits, charges, plain=plain)


def _charge(owner: Owner, limit: Limit, amount: int, policy: Policy) -> Charge:
    """Charge a limit, or only look at it: hits are charged to one measure, and no lease ever.

    Hits of other measures than requests report what was spent already, and so always count;
    a look is at whether one more would fit. In a domain that is not strict a look may find
    the limit reached, as in the reference, but for the limits that nothing here ever charges.
    """
    asks = amount
    if not amount and (policy.strict or limit.measure == CONCURRENCY):
        asks = 1
    always = not policy.strict or amount <= 0 or limit.measure != REQUESTS
    terms = Terms(asks, always, refuses=not limit.shadow_mode)
    return Charge(owner.counter(limit), amount, limit.cap, terms)


def forget_plans() -> None:
    """Let go of the plans that are remembered, and so of the rules that they come from."""
    _plan_descriptor.cache_clear()


def _require_exact_amounts(request: RateLimitRequest) -> None:
    for index, descriptor in enumerate(request.descriptors):
        hits = request.hits if descriptor.hits is None else descriptor.hits
        if hits > MAX_AMOUNT:
            raise InvalidRequestError(
                f"hits_addend of descriptor {index} is {hits}, "
                f"above the largest amount {MAX_AMOUNT}"
            )


def replaced_names(rules: Sequence[Rule | None]) -> frozenset[str]:
    """Return the names of the rules that the rules of one call take out of it."""
    return frozenset[str]().union(*(rule.replaces for rule in rules if rule is not None))


def _replace(planned: Sequence[PlannedDescriptor]) -> list[PlannedDescriptor]:
    """Take the limits from the descriptors whose rule another descriptor's rule replaces."""
    replaced = replaced_names([item.rule for item in planned])
    return [
        PlannedDescriptor(item.title, item.rule)
        if item.rule is not None and item.rule.name in replaced
        else item
        for item in planned
    ]


def _date(item: PlannedDescriptor, moment: Moment) -> PlannedDescriptor:
    """Give the limits that follow a calendar the bounds of their windows."""
    charges = tuple(
        replace(charge, cap=dated(charge.cap, charge.counter.calendar, moment))
        for charge in item.charges
    )
    return replace(item, charges=charges)
