"""The use case between the edges and the store."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import pytest

from ratelimit_service.core.judge import Code, Decision
from ratelimit_service.core.model import RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.rules import Node, RuleSet
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import InvalidRequestError, StoreUnavailableError
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.core.rulesets import DOMAIN, descriptor, limited, rule_set, unlimited

NOW_US = 1_700_000_000_000_000
REQUEST = RateLimitRequest(DOMAIN, (descriptor("k"),))


class Recorded(NullRecorder):
    """Keeps what it is told of decisions."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, Decision, float]] = []

    def decided(self, domain: str, decision: Decision, seconds: float) -> None:
        self.decisions.append((domain, decision, seconds))


class AskedStore(MemoryStore):
    """Keeps what it is asked; may be away."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(lambda: NOW_US)
        self.error = error
        self.asked: list[tuple[int, Counting, float]] = []

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        self.asked.append((len(charges), counting, timeout_s))
        if self.error is not None:
            raise self.error
        return await super().charge(charges, counting, timeout_s)


def limiter_over(store: MemoryStore, options: LimiterOptions | None = None) -> Limiter:
    limiter = Limiter(store, NullRecorder(), options or LimiterOptions())
    limiter.apply(rule_set(k=limited(2), free=unlimited()))
    return limiter


async def test_decisions_are_recorded_with_their_time() -> None:
    recorder = Recorded()
    limiter = Limiter(AskedStore(), recorder, LimiterOptions())
    limiter.apply(rule_set(k=limited(2)))

    decision = await limiter.should_rate_limit(REQUEST)

    ((domain, recorded, seconds),) = recorder.decisions
    assert (domain, recorded) == (DOMAIN, decision)
    assert 0 < seconds < 5


@pytest.mark.parametrize(("timeout_s", "given"), [(None, 5.0), (0.02, 0.02), (60.0, 5.0)])
async def test_every_charge_is_bounded_in_time(timeout_s: float | None, given: float) -> None:
    """F32."""
    store = AskedStore()

    await limiter_over(store).should_rate_limit(REQUEST, timeout_s)

    assert [asked[2] for asked in store.asked] == [given]


async def test_the_store_is_asked_once_for_all_descriptors_as_the_options_say() -> None:
    store = AskedStore()
    options = LimiterOptions(counting=Counting.ONLY_OVER, timeout_s=3)
    asked = (descriptor("k"), descriptor("free"), descriptor("x"), descriptor("k"))

    await limiter_over(store, options).should_rate_limit(RateLimitRequest(DOMAIN, asked))

    assert store.asked == [(2, Counting.ONLY_OVER, 3)]


async def test_the_modes_of_the_options_are_those_that_judge() -> None:
    shadow = limiter_over(AskedStore(), LimiterOptions(Modes(shadow=True)))

    codes = [(await shadow.should_rate_limit(REQUEST)).overall for _ in range(3)]

    assert codes == [Code.OK] * 3


async def test_without_rules_there_is_no_decision() -> None:
    limiter = Limiter(AskedStore(), NullRecorder(), LimiterOptions())

    with pytest.raises(InvalidRequestError, match="no rate limit configuration loaded"):
        await limiter.should_rate_limit(REQUEST)
    assert limiter.rules is None


async def test_an_invalid_request_never_reaches_the_store() -> None:
    store = AskedStore()

    with pytest.raises(InvalidRequestError):
        await limiter_over(store).should_rate_limit(RateLimitRequest("", ()))
    assert store.asked == []


async def test_errors_of_the_store_pass_and_are_no_decision() -> None:
    with pytest.raises(StoreUnavailableError, match="away"):
        await limiter_over(AskedStore(StoreUnavailableError("away"))).should_rate_limit(REQUEST)


async def test_new_rules_hold_from_the_next_call_on() -> None:
    limiter = limiter_over(AskedStore())
    first = await limiter.should_rate_limit(REQUEST)
    limiter.apply(rule_set(k=limited(1)))
    second = await limiter.should_rate_limit(REQUEST)

    assert (first.overall, second.overall) == (Code.OK, Code.OVER_LIMIT)


class Domains(dict[str, Node]):
    """A dictionary that can be watched going."""


async def test_rules_that_are_out_of_force_leave_the_memory() -> None:
    limiter = Limiter(AskedStore(), NullRecorder(), LimiterOptions())
    domains = Domains(rule_set(k=limited(2)).domains)
    watched = weakref.ref(domains)
    limiter.apply(RuleSet(domains))
    del domains
    await limiter.should_rate_limit(REQUEST)
    assert watched() is not None

    limiter.apply(rule_set(k=limited(1)))

    assert watched() is None
