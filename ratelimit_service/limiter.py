"""The use cases: what the service does for a caller, whatever wire it came over."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from ratelimit_service.core.judge import Decision, Modes, judge
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.core.plan import Counting, forget_plans, make_plan
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.errors import InvalidRequestError
from ratelimit_service.store.base import Store
from ratelimit_service.telemetry.recorder import Recorder

DEFAULT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class LimiterOptions:
    """How decisions are taken. ``timeout_s`` bounds each, whatever the caller's deadline."""

    modes: Modes = field(default_factory=Modes)
    counting: Counting = Counting.EVERY
    timeout_s: float = DEFAULT_TIMEOUT_S


class Limiter:
    """Decides calls by the rules in force and the counters of a store."""

    def __init__(self, store: Store, recorder: Recorder, options: LimiterOptions) -> None:
        self._store = store
        self._recorder = recorder
        self._options = options
        self._rules: RuleSet | None = None

    @property
    def rules(self) -> RuleSet | None:
        """The rules in force; None until the first came."""
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
        rules, options = self._rules, self._options
        if rules is None:
            raise InvalidRequestError("no rate limit configuration loaded")
        plan = make_plan(rules, request)
        bound_s = options.timeout_s if timeout_s is None else min(timeout_s, options.timeout_s)
        outcomes = await self._store.charge(plan.charges, options.counting, bound_s)
        return judge(plan, outcomes, options.modes)
