"""From a request to the charges that decide it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ratelimit_service.core.algorithms import Algorithm
from ratelimit_service.core.model import Descriptor, Override, RateLimitRequest
from ratelimit_service.core.rules import Limit, Match, Rule, RuleSet, Step
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.errors import InvalidRequestError

REQUESTS: Final = "requests"
"""The measure that hits count."""


class Counting(Enum):
    """Which charges of one request are counted when some of them go over."""

    EVERY = "every"
    """All of them: the reference's default."""

    ONLY_OVER = "only_over"
    """Only those that go over: STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT."""


@dataclass(frozen=True, slots=True)
class Counter:
    """The identity of a counter. Two that differ in any field never share a count.

    The amount of the limit is no part of it: a raised limit goes on counting.
    ``overridden`` keeps the limits that callers bring along apart from those of rules.
    """

    domain: str
    path: tuple[Step, ...]
    limit_name: str
    window_us: int
    measure: str = REQUESTS
    algorithm: Algorithm = Algorithm.FIXED_WINDOW
    overridden: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """What one counter is charged: above 0 counts, below 0 gives back, 0 looks."""

    counter: Counter
    amount: int
    limit: int


@dataclass(frozen=True, slots=True)
class PlannedDescriptor:
    """How one descriptor is to be judged.

    ``rule`` is None where nothing matched or the caller brings its own limit; ``limit``
    and ``charge`` are None where nothing is counted. ``title`` names the rule in metrics.
    """

    title: str = ""
    rule: Rule | None = None
    limit: Limit | None = None
    charge: Charge | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A request's descriptors, in order, and the charges that they ask for, in order."""

    domain: str
    descriptors: tuple[PlannedDescriptor, ...]
    charges: tuple[Charge, ...]


def make_plan(rules: RuleSet, request: RateLimitRequest) -> Plan:
    """Say which counters a request touches, and by how much.

    Raises InvalidRequestError for an empty domain, for no descriptors and for
    amounts that cannot be counted exactly.
    """
    if not request.domain:
        raise InvalidRequestError("rate limit domain must not be empty")
    if not request.descriptors:
        raise InvalidRequestError("rate limit descriptor list must not be empty")
    amounts = [_signed_hits(request, index) for index in range(len(request.descriptors))]
    matches = [
        rules.match(request.domain, descriptor.entries) if descriptor.override is None else None
        for descriptor in request.descriptors
    ]
    replaced = _replaced_names(matches)
    overridable = request.domain in rules.domains
    planned: list[PlannedDescriptor] = []
    for descriptor, match, amount in zip(request.descriptors, matches, amounts, strict=True):
        if match is not None:
            planned.append(_plan_match(request.domain, match, amount, replaced))
        elif descriptor.override is not None and overridable:
            planned.append(_plan_override(request.domain, descriptor, descriptor.override, amount))
        else:
            planned.append(PlannedDescriptor())
    charges = tuple(item.charge for item in planned if item.charge is not None)
    return Plan(request.domain, tuple(planned), charges)


def _signed_hits(request: RateLimitRequest, index: int) -> int:
    """Return a descriptor's hits: its own, else the request's, where 0 stands for 1."""
    descriptor = request.descriptors[index]
    hits = (request.hits or 1) if descriptor.hits is None else descriptor.hits
    if hits > MAX_AMOUNT:
        raise InvalidRequestError(
            f"hits_addend of descriptor {index} is {hits}, above the largest amount {MAX_AMOUNT}"
        )
    return -hits if descriptor.refund else hits


def _replaced_names(matches: Iterable[Match | None]) -> frozenset[str]:
    replaces = (match.rule.replaces for match in matches if match is not None)
    return frozenset[str]().union(*replaces)


def _plan_match(
    domain: str, match: Match, amount: int, replaced: frozenset[str]
) -> PlannedDescriptor:
    rule = match.rule
    if rule.limit is None or rule.name in replaced:
        return PlannedDescriptor(match.title, rule)
    counter = Counter(domain, match.path, rule.limit.name, rule.limit.unit.window_us)
    charge = Charge(counter, amount, rule.limit.amount)
    return PlannedDescriptor(match.title, rule, rule.limit, charge)


def _plan_override(
    domain: str, descriptor: Descriptor, override: Override, amount: int
) -> PlannedDescriptor:
    path = tuple(Step(entry.key, entry.value) for entry in descriptor.entries)
    counter = Counter(domain, path, "", override.unit.window_us, overridden=True)
    limit = Limit(override.amount, override.unit)
    return PlannedDescriptor(
        f"{domain}.override", None, limit, Charge(counter, amount, override.amount)
    )
