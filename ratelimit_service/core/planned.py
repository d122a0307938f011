"""What a ShouldRateLimit call asks of its counters, and how the answer is to be read."""

from __future__ import annotations

from dataclasses import dataclass

from ratelimit_service.core.algorithms import Cap
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.rules import Requirement, Rule
from ratelimit_service.core.terms import Terms


@dataclass(frozen=True, slots=True)
class Charge:
    """What one counter is charged: above 0 counts, below 0 gives back, 0 looks."""

    counter: Counter
    amount: int
    cap: Cap
    terms: Terms


@dataclass(frozen=True, slots=True)
class PlannedDescriptor:
    """How one descriptor is to be judged.

    ``rule`` is None where nothing matched or the caller brings its own limit. There is a
    charge for each of the ``limits``, and neither where nothing is counted. ``refused``:
    nothing matched, and the domain refuses that. ``plain``: its rule takes no others out of
    the call, and no limit follows a calendar. ``title`` names the rule in metrics.
    """

    title: str = ""
    rule: Rule | None = None
    limits: tuple[Limit, ...] = ()
    charges: tuple[Charge, ...] = ()
    exempt: bool = False
    refused: bool = False
    plain: bool = True

    @property
    def unlimited(self) -> bool:
        """Whether the rules say that it is not limited."""
        return self.exempt or (self.rule is not None and self.rule.unlimited)

    def is_quota(self, modes: Modes) -> bool:
        """Tell whether it counts as a quota, also if it is not over.

        As in the reference: with ``modes.quota`` every descriptor but an unlimited one, also
        one that no rule matched; else those whose quota rule has not been replaced.
        """
        if modes.quota:
            return not self.unlimited
        return bool(self.limits) and self.rule is not None and self.rule.quota_mode


@dataclass(frozen=True, slots=True)
class Plan:
    """A request's descriptors, in order, and the charges that they ask for, in order.

    ``strict``: the charges are made as Counting.STRICT says. ``missing`` is an entry that the
    rules require and that the request lacks.
    """

    domain: str
    descriptors: tuple[PlannedDescriptor, ...]
    charges: tuple[Charge, ...]
    strict: bool = False
    missing: Requirement | None = None
