"""The identities of counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ratelimit_service.core.algorithms import Algorithm
from ratelimit_service.core.limits import CalendarWindow, Limit
from ratelimit_service.core.measures import REQUESTS
from ratelimit_service.core.rules import Step

REMEMBERED: Final = 8_192
"""How many descriptors' plans, and how many counters' keys, are remembered: the last used."""

LONGEST_REMEMBERED: Final = 1_024
"""Nothing is remembered of a descriptor of more characters than this."""


@dataclass(frozen=True, slots=True)
class Counter:
    """The identity of a counter. Two that differ in any field never share a count.

    The amount of the limit is no part of it: a raised limit goes on counting. Nor is how long
    a lifetime may be idle: its ``window_us`` is 0, as that of a calendar and of concurrency.
    ``overridden`` keeps the limits that callers bring along apart from those of rules.
    ``colocation`` are the steps of the path that say where it lies; none are all of them.
    ``text_length`` counts the characters of the path.
    """

    domain: str
    path: tuple[Step, ...]
    limit_name: str
    window_us: int
    measure: str = REQUESTS
    algorithm: Algorithm = Algorithm.FIXED_WINDOW
    overridden: bool = False
    calendar: CalendarWindow | None = None
    colocation: tuple[Step, ...] = ()
    text_length: int = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Counters are remembered with the plans, and looked up by every store.
        length = sum(len(step.key) + len(step.value) for step in self.path)
        object.__setattr__(self, "text_length", length)
        parts = (self.domain, self.path, self.limit_name, self.measure, self.window_us)
        object.__setattr__(self, "_hash", hash((*parts, self.algorithm, self.overridden)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class Owner:
    """What a descriptor's counters have in common; the fields are as in Counter."""

    domain: str
    path: tuple[Step, ...]
    colocation: tuple[Step, ...] = ()
    overridden: bool = False

    def counter(self, limit: Limit) -> Counter:
        """Return the counter of one of its limits."""
        algorithm = limit.cap.algorithm
        return Counter(
            self.domain,
            self.path,
            limit.counted_as,
            0 if algorithm is Algorithm.LIFETIME else limit.cap.window_us,
            limit.measure,
            algorithm,
            overridden=self.overridden,
            calendar=limit.calendar,
            colocation=self.colocation,
        )


def colocated(path: tuple[Step, ...], keys: tuple[str, ...]) -> tuple[Step, ...]:
    """Return the steps of some keys, in the order of the keys; none where one is missing.

    A path that is made of these steps alone says by itself where it lies.
    """
    steps: list[Step] = []
    for key in keys:
        found = next((step for step in path if step.key == key), None)
        if found is None:
            return ()
        steps.append(found)
    return () if tuple(steps) == path else tuple(steps)
