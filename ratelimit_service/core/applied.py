"""Which limits apply to the descriptors of a call: those of rules, and those brought along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ratelimit_service.core.calendars import Calendar
from ratelimit_service.core.counters import Counter, Owner, colocated
from ratelimit_service.core.limit_spec import LimitSpec, build_limit
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.plan import replaced_names
from ratelimit_service.core.requests import Described
from ratelimit_service.core.required import missing_entry
from ratelimit_service.core.rules import Match, Policy, Requirement, RuleSet, Step
from ratelimit_service.errors import InvalidFieldError, LimitError


@dataclass(frozen=True, slots=True)
class Applied:
    """A limit that applies to a descriptor of a call, and its counter."""

    descriptor: int
    counter: Counter
    limit: Limit
    shadow: bool


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Why a call is refused whatever its counters hold.

    Either no rule matches the ``descriptor``, or no descriptor has the ``missing`` entry.
    """

    descriptor: int = 0
    missing: Requirement | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What applies to a call. ``titles`` name the rule of each descriptor, empty for none."""

    applied: tuple[Applied, ...]
    titles: tuple[str, ...]
    unmatched: Unmatched | None


class Finder:
    """Looks limits up, by the rules of a domain."""

    def __init__(self, rules: RuleSet, domain: str, calendar: Calendar) -> None:
        self._rules = rules
        self._domain = domain
        self._policy: Policy = rules.policy(domain)
        self._calendar = calendar

    def find(self, descriptors: Sequence[Described]) -> Found:
        """Return what applies to descriptors. Raises InvalidFieldError for limits of a caller.

        A rule that another's `replaces` names does not apply, nor do the rules to an exempt value.
        """
        matches = [self._rules.match(self._domain, each.entries) for each in descriptors]
        replaced = replaced_names([match.rule if match else None for match in matches])
        applied: list[Applied] = []
        for at, (descriptor, match) in enumerate(zip(descriptors, matches, strict=True)):
            if match is not None and not match.exempt and match.rule.name not in replaced:
                applied += self._of_rule(at, match)
            applied += self._brought(at, descriptor)
        titles = tuple(match.title if match else "" for match in matches)
        return Found(tuple(applied), titles, self._unmatched(descriptors, matches))

    def _of_rule(self, at: int, match: Match) -> Iterator[Applied]:
        colocation = colocated(match.path, self._policy.colocate_by)
        owner = Owner(self._domain, match.path, colocation)
        for limit in match.rule.limits:
            shadow = limit.shadow_mode or match.rule.shadow_mode
            yield Applied(at, owner.counter(limit), limit, shadow)

    def _brought(self, at: int, descriptor: Described) -> Iterator[Applied]:
        if not descriptor.limits:
            return
        if not self._policy.inline_limits:
            raise InvalidFieldError(
                f"descriptors[{at}].limits",
                f"domain {self._domain} takes no limits of callers; "
                "its rules must say `inline_limits: allow`",
            )
        path = tuple(Step(entry.key, entry.value) for entry in descriptor.entries)
        colocation = colocated(path, self._policy.colocate_by)
        owner = Owner(self._domain, path, colocation, overridden=True)
        for number, spec in enumerate(descriptor.limits):
            limit = self._build(f"descriptors[{at}].limits[{number}]", spec)
            yield Applied(at, owner.counter(limit), limit, limit.shadow_mode)

    def _build(self, field: str, spec: LimitSpec) -> Limit:
        try:
            limit = build_limit(spec)
        except LimitError as wrong:
            raise InvalidFieldError(f"{field}.{wrong.key}", wrong.reason) from wrong
        window = limit.calendar
        if window is not None and not self._calendar.knows(window.time_zone):
            raise InvalidFieldError(f"{field}.time_zone", "there is no such time zone")
        return limit

    def _unmatched(
        self, descriptors: Sequence[Described], matches: Sequence[Match | None]
    ) -> Unmatched | None:
        policy = self._policy
        if policy.requires:
            root = self._rules.domains[self._domain]
            missing = missing_entry(root, [each.entries for each in descriptors])
            if missing is not None:
                return Unmatched(missing=missing)
        if policy.refuse_unmatched:
            for at, (descriptor, match) in enumerate(zip(descriptors, matches, strict=True)):
                if match is None and not descriptor.limits:
                    return Unmatched(at)
        return None
