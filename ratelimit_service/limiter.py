"""The use cases: what the service does for a caller, whatever wire it came over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from ratelimit_service.config.calendars import ZoneCalendar
from ratelimit_service.core.calendars import Calendar, Moment
from ratelimit_service.core.judge import Decision, judge
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.plan import forget_plans, make_plan
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import InvalidRequestError, OutdatedPlanError
from ratelimit_service.store.base import Store
from ratelimit_service.store.memory import wall_clock_us
from ratelimit_service.telemetry.recorder import Recorder

DEFAULT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class LimiterOptions:
    """How decisions are taken. ``timeout_s`` bounds each, whatever the caller's deadline.

    ``now_us`` says which window of a calendar to ask for; the store's clock has the last word.
    """

    modes: Modes = field(default_factory=Modes)
    counting: Counting = Counting.EVERY
    timeout_s: float = DEFAULT_TIMEOUT_S
    calendar: Calendar = field(default_factory=ZoneCalendar)
    now_us: Callable[[], int] = wall_clock_us


class Limiter:
    """Decides calls by the rules in force and the counters of a store."""

    def __init__(self, store: Store, recorder: Recorder, options: LimiterOptions) -> None:
        self._store = store
        self._recorder = recorder
        self._options = options
        self._rules: RuleSet | None = None
        self._ahead_us = 0

    @property
    def rules(self) -> RuleSet | None:
        """The rules in force; None until the first came."""
        return self._rules

    def rules_in_force(self) -> RuleSet:
        """Return the rules in force. Raises InvalidRequestError until the first came."""
        if self._rules is None:
            raise InvalidRequestError("no rate limit configuration loaded")
        return self._rules

    def apply(self, rules: RuleSet) -> None:
        """Bring rules into force, all at once; calls under way end by the old ones."""
        self._rules = rules
        forget_plans()
        self._recorder.rules_loaded(rules)

    async def should_rate_limit(
        self, request: RateLimitRequest, timeout_s: float | None = None
    ) -> Decision:
        """Decide a ShouldRateLimit call and charge its hits.

        ``timeout_s`` is what is left of the caller's deadline, in seconds. Raises
        InvalidRequestError, and what Store.charge raises; the edges count those.
        """
        started = perf_counter()
        decision = await self._decide(request, timeout_s)
        self._recorder.decided(request.domain, decision, perf_counter() - started)
        return decision

    async def _decide(self, request: RateLimitRequest, timeout_s: float | None) -> Decision:
        options = self._options
        bound_s = options.timeout_s if timeout_s is None else min(timeout_s, options.timeout_s)
        started = perf_counter()
        try:
            return await self._decide_at(options.now_us() + self._ahead_us, request, bound_s)
        except OutdatedPlanError as outdated:
            # Hosts' clocks may differ by minutes; the store's decides (F39).
            self._ahead_us = outdated.now_us - options.now_us()
            left_s = bound_s - (perf_counter() - started)
            return await self._decide_at(outdated.now_us, request, left_s)

    async def _decide_at(
        self, now_us: int, request: RateLimitRequest, timeout_s: float
    ) -> Decision:
        options = self._options
        moment = Moment(now_us, options.calendar)
        plan = make_plan(self.rules_in_force(), request, options.modes, moment)
        counting = Counting.STRICT if plan.strict else options.counting
        outcomes = await self._store.charge(plan.charges, counting, timeout_s)
        return judge(plan, outcomes, options.modes)
