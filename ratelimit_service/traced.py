"""Wrappers that trace decisions and store calls; without tracing nothing here is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.judge import Decision
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.core.requests import (
    ExtendRequest,
    ReconcileRequest,
    ReserveRequest,
    UsageRequest,
)
from ratelimit_service.core.reservation_answers import Admission, Extension, Settlement
from ratelimit_service.core.statuses import DescriptorStatus
from ratelimit_service.core.terms import Counting
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.reserver import Caller, Reserver, ReserverOptions
from ratelimit_service.store.base import Store
from ratelimit_service.store.reservations import Reservations
from ratelimit_service.telemetry.recorder import Recorder
from ratelimit_service.telemetry.tracing import Attribute, Tracing


@dataclass(frozen=True, slots=True)
class TracedOptions:
    """How reservations are answered, and where their spans go."""

    options: ReserverOptions
    tracing: Tracing


class TracedLimiter(Limiter):
    """A limiter with a span for each decision, and within it one for its store call."""

    def __init__(
        self, store: Store, recorder: Recorder, options: LimiterOptions, tracing: Tracing
    ) -> None:
        super().__init__(TracedStore(store, tracing), recorder, options)
        self._tracing = tracing

    async def should_rate_limit(
        self, request: RateLimitRequest, timeout_s: float | None = None
    ) -> Decision:
        """Decide as the limiter does."""
        attributes: dict[str, Attribute] = {
            "ratelimit.domain": request.domain,
            "ratelimit.descriptors": len(request.descriptors),
        }
        with self._tracing.span("ShouldRateLimit", attributes) as span:
            decision = await super().should_rate_limit(request, timeout_s)
            span.set_attribute("ratelimit.code", decision.overall.value)
            span.set_attribute(
                "ratelimit.results", tuple(status.result.value for status in decision.statuses)
            )
            return decision


class TracedReserver(Reserver):
    """A reserver with a span for each call."""

    def __init__(
        self, limiter: Limiter, reservations: Reservations, recorder: Recorder, how: TracedOptions
    ) -> None:
        super().__init__(limiter, reservations, recorder, how.options)
        self._tracing = how.tracing

    async def check_and_increment(self, request: ReserveRequest, caller: Caller) -> Admission:
        """Reserve as the reserver does."""
        attributes: dict[str, Attribute] = {
            "ratelimit.domain": request.wish.domain,
            "ratelimit.descriptors": len(request.wish.descriptors),
        }
        with self._tracing.span("CheckAndIncrementByN", attributes) as span:
            admission = await super().check_and_increment(request, caller)
            span.set_attribute("ratelimit.code", admission.code.value)
            return admission

    async def reconcile(self, request: ReconcileRequest, caller: Caller) -> Settlement:
        """Settle as the reserver does."""
        with self._tracing.span("Reconcile", {}):
            return await super().reconcile(request, caller)

    async def extend(self, request: ExtendRequest, caller: Caller) -> Extension:
        """Extend as the reserver does."""
        with self._tracing.span("Extend", {}) as span:
            extension = await super().extend(request, caller)
            span.set_attribute("ratelimit.code", extension.code.value)
            return extension

    async def get_usage(
        self, request: UsageRequest, caller: Caller
    ) -> tuple[DescriptorStatus, ...]:
        """Look as the reserver does."""
        attributes: dict[str, Attribute] = {
            "ratelimit.domain": request.domain,
            "ratelimit.descriptors": len(request.descriptors),
        }
        with self._tracing.span("GetUsage", attributes):
            return await super().get_usage(request, caller)


class TracedStore:
    """A store with a span for each request's charges, from asking to answer.

    Several of them may wait for the same script call.
    """

    def __init__(self, store: Store, tracing: Tracing) -> None:
        self._store = store
        self._tracing = tracing

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        """Charge as the store does."""
        with self._tracing.span("store.charge", {"ratelimit.charges": len(charges)}):
            return await self._store.charge(charges, counting, timeout_s)

    @property
    def enforces_slots(self) -> bool:
        """As the store."""
        return self._store.enforces_slots

    def key(self, counter: Counter) -> str:
        """Return the store's key of a counter."""
        return self._store.key(counter)

    def slot(self, key: str) -> str:
        """Name the store's slot of a key."""
        return self._store.slot(key)

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        """Say messages to the store."""
        return await self._store.deliver(sent, timeout_s)

    async def ping(self) -> None:
        """Ask the store."""
        await self._store.ping()

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()
