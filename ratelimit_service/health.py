"""Whether the service can decide, said once for every edge.

The composition root reports what it sees of the rules, the store and its background
tasks; the gRPC health service and the HTTP endpoints listen. All of it happens on the
event loop: no locks, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ratelimit_service.config.settings import HealthSettings

RULES: Final = "rules"
"""The part that works once any rules are in force, and from then on."""

STORE: Final = "store"
"""The part that works while the store answers."""


class State(Enum):
    """Where the service stands between its start and its end."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not_ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Problem:
    """A part that does not work, and why, in words for an operator."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Condition:
    """The service at one moment.

    ``state`` is READY exactly while decisions can be taken. ``healthy`` is the looser
    question of the reference's health check, which ``/healthcheck`` and the gRPC health
    service answer: false makes a gateway go elsewhere and an orchestrator restart us. A
    store that is away leaves it true, unless HealthSettings says otherwise.
    """

    state: State
    healthy: bool
    problems: tuple[Problem, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether decisions can be taken."""
        return self.state is State.READY


Listener: TypeAlias = Callable[[Condition], None]


class Health:
    """Gathers reports of the parts into one condition, and tells who listens of each change."""

    def __init__(self, settings: HealthSettings) -> None:
        self._counts_for_health = {
            RULES: settings.needs_rules,
            STORE: settings.needs_store_connection,
        }
        self._problems = {RULES: "no rules loaded yet", STORE: "not reached yet"}
        self._was_ready = False
        self._draining = False
        self._listeners: list[Listener] = []
        self._condition = self._assess()

    @property
    def condition(self) -> Condition:
        """The service as it is now."""
        return self._condition

    def failing(self, part: str, reason: str) -> None:
        """Note that a part does not work. Other than RULES and STORE it is a background task."""
        self._problems[part] = reason
        self._update()

    def working(self, part: str) -> None:
        """Note that a part works, for the first time or again."""
        self._problems.pop(part, None)
        self._update()

    def drain(self) -> None:
        """Note that the service is about to stop; nothing changes that again."""
        self._draining = True
        self._update()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call the listener now and at each change; the answer ends that when called."""
        self._listeners.append(listener)
        listener(self._condition)
        return lambda: self._listeners.remove(listener)

    def _update(self) -> None:
        condition = self._assess()
        if condition == self._condition:
            return
        self._condition = condition
        self._was_ready = self._was_ready or condition.ready
        for listener in tuple(self._listeners):
            listener(condition)

    def _assess(self) -> Condition:
        problems = tuple(Problem(part, reason) for part, reason in sorted(self._problems.items()))
        healthy = not any(self._counts_for_health.get(problem.part, True) for problem in problems)
        return Condition(self._state(), healthy and not self._draining, problems)

    def _state(self) -> State:
        if self._draining:
            return State.DRAINING
        if not self._problems:
            return State.READY
        return State.NOT_READY if self._was_ready else State.STARTING
