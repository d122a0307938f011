"""Memory and the script charge alike, whatever is asked and whenever."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.messages import GRACE_US
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.core.units import MAX_AMOUNT, Unit
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.redis.link import Link
from ratelimit_service.store.redis.operation import BARE
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import START_US, TIMEOUT_S, Clock, counter

_Request: TypeAlias = tuple[Sequence[Charge], Counting]


@dataclass(frozen=True, slots=True)
class Step:
    """Requests that are made together, some time after (or before) the last ones."""

    passed_us: int
    requests: Sequence[_Request]


_WINDOWS_US = [1, 7, 999_983, *(unit.window_us for unit in Unit)]
_ALGORITHMS = [
    Algorithm.FIXED_WINDOW,
    Algorithm.FIRST_HIT,
    Algorithm.SLIDING_WINDOW,
    Algorithm.TOKEN_BUCKET,
    Algorithm.LIFETIME,
]
_AMOUNTS = st.integers(-9, 9) | st.integers(-MAX_AMOUNT, MAX_AMOUNT)
_LIMITS = st.integers(0, 20) | st.integers(0, MAX_AMOUNT)
_TERMS = st.builds(
    Terms,
    st.integers(-9, 9) | st.integers(-MAX_AMOUNT, MAX_AMOUNT),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
)


def _charge(
    algorithm: Algorithm, name: str, window_us: int, amounts: tuple[int, int], terms: Terms
) -> Charge:
    amount, limit = amounts
    charged = replace(counter(name, window_us), algorithm=algorithm)
    # All that is asked of a bucket at once drains alike.
    refill = 3 if algorithm is Algorithm.TOKEN_BUCKET else 0
    return Charge(charged, amount, Cap(algorithm, limit, window_us, refill), terms)


_CHARGES = st.builds(
    _charge,
    st.sampled_from(_ALGORITHMS),
    st.sampled_from("ab"),
    st.sampled_from(_WINDOWS_US),
    st.tuples(_AMOUNTS, _LIMITS),
    _TERMS,
)
_REQUESTS = st.tuples(st.lists(_CHARGES, min_size=1, max_size=5), st.sampled_from(Counting))
# Where windows end, and one microsecond to either side.
_PASSED_US = st.sampled_from(_WINDOWS_US).flatmap(lambda us: st.integers(us - 1, us + 1))
_STEPS = st.lists(
    st.builds(
        Step,
        _PASSED_US | st.integers(-GRACE_US, GRACE_US),
        st.lists(_REQUESTS, min_size=1, max_size=3),
    ),
    max_size=8,
)
_PREFIXES = itertools.count()


@settings(
    max_examples=200,
    deadline=None,
    # Each example has keys of its own, so that it need not have a server of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=_STEPS)
async def test_memory_and_the_script_agree(standalone_link: Link, steps: list[Step]) -> None:
    clock = Clock()
    memory = MemoryStore(clock)
    prefix = f"{next(_PREFIXES)}:"
    redis = RedisStore(standalone_link, NullRecorder(), key_prefix=prefix, now_us=clock)
    latest_us = START_US
    for step in steps:
        # What ended longer ago than the grace may be forgotten, by each in its own time.
        clock.now_us = max(clock.now_us + step.passed_us, latest_us - GRACE_US)
        latest_us = max(latest_us, clock.now_us)
        expected = [await memory.charge(*request, TIMEOUT_S) for request in step.requests]
        assert await _ask(redis, step.requests) == expected


async def _ask(store: RedisStore, requests: Sequence[_Request]) -> list[list[Outcome]]:
    """Ask at once what goes in one call, so that it is made in order; else one by one."""
    bare = {all(c.counter.algorithm in BARE for c in charges) for charges, _ in requests}
    if len(bare) > 1:
        return [list(await store.charge(*request, TIMEOUT_S)) for request in requests]
    together = (store.charge(*request, TIMEOUT_S) for request in requests)
    return [list(outcomes) for outcomes in await asyncio.gather(*together)]
