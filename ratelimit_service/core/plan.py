"""From a request to the charges that decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

from ratelimit_service.core.algorithms import Algorithm
from ratelimit_service.core.model import Descriptor, Override, RateLimitRequest
from ratelimit_service.core.rules import Limit, Rule, RuleSet, Step
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.errors import InvalidRequestError

REQUESTS: Final = "requests"
"""The measure that hits count."""

REMEMBERED: Final = 8_192
"""How many descriptors' plans are remembered, the last used ones."""

LONGEST_REMEMBERED: Final = 1_024
"""No plan is remembered of a descriptor of more characters than this."""


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
    ``text_length`` counts the characters of the path.
    """

    domain: str
    path: tuple[Step, ...]
    limit_name: str
    window_us: int
    measure: str = REQUESTS
    algorithm: Algorithm = Algorithm.FIXED_WINDOW
    overridden: bool = False
    text_length: int = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Counters are remembered with the plans, and looked up by every store.
        length = sum(len(step.key) + len(step.value) for step in self.path)
        object.__setattr__(self, "text_length", length)
        parts = (self.domain, self.path, self.limit_name, self.window_us, self.overridden)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash


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
    _require_exact_amounts(request)
    planned = [
        _plan_descriptor(rules, request.domain, descriptor, request.hits or 1)
        if descriptor.text_length <= LONGEST_REMEMBERED
        else _plan_descriptor.__wrapped__(rules, request.domain, descriptor, request.hits or 1)
        for descriptor in request.descriptors
    ]
    if any(item.rule is not None and item.rule.replaces for item in planned):
        planned = _replace(planned)
    charges = tuple([item.charge for item in planned if item.charge is not None])
    return Plan(request.domain, tuple(planned), charges)


@lru_cache(maxsize=REMEMBERED)
def _plan_descriptor(
    rules: RuleSet, domain: str, descriptor: Descriptor, hits: int
) -> PlannedDescriptor:
    """Plan one descriptor; ``hits`` are the request's, for one that brings none of its own."""
    amount = hits if descriptor.hits is None else descriptor.hits
    if descriptor.refund:
        amount = -amount
    if descriptor.override is not None:
        if domain not in rules.domains:
            return PlannedDescriptor()
        return _plan_override(domain, descriptor, descriptor.override, amount)
    match = rules.match(domain, descriptor.entries)
    if match is None:
        return PlannedDescriptor()
    limit = match.rule.limit
    if limit is None:
        return PlannedDescriptor(match.title, match.rule)
    counter = Counter(domain, match.path, limit.name, limit.unit.window_us)
    charge = Charge(counter, amount, limit.amount)
    return PlannedDescriptor(match.title, match.rule, limit, charge)


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


def _replace(planned: Sequence[PlannedDescriptor]) -> list[PlannedDescriptor]:
    """Take the limits from the descriptors whose rule another descriptor's rule replaces."""
    rules = [item.rule for item in planned if item.rule is not None]
    replaced = frozenset[str]().union(*(rule.replaces for rule in rules))
    return [
        PlannedDescriptor(item.title, item.rule)
        if item.rule is not None and item.rule.name in replaced
        else item
        for item in planned
    ]


def _plan_override(
    domain: str, descriptor: Descriptor, override: Override, amount: int
) -> PlannedDescriptor:
    path = tuple(Step(entry.key, entry.value) for entry in descriptor.entries)
    counter = Counter(domain, path, "", override.unit.window_us, overridden=True)
    limit = Limit(override.amount, override.unit)
    charge = Charge(counter, amount, override.amount)
    return PlannedDescriptor(f"{domain}.override", None, limit, charge)
