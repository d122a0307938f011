"""Refusals are repeated from memory for a moment, and never for longer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.near_cache import LIFETIME_US, NearCache
from tests.store.subjects import MINUTE_US, START_US, TIMEOUT_S, Clock, charge, counter

A, B = counter("a"), counter("b")


@dataclass(frozen=True, slots=True)
class Near:
    """A near cache before a store in memory, each with a clock of its own."""

    cache: NearCache
    store: MemoryStore
    store_clock: Clock
    own_clock: Clock

    async def charge(
        self, *charges: Charge, counting: Counting = Counting.EVERY
    ) -> list[tuple[int, int | None]]:
        """Charge through the cache; return what is counted and how long until the reset."""
        outcomes = await self.cache.charge(charges, counting, TIMEOUT_S)
        return [(outcome.counted, outcome.reset_in_us) for outcome in outcomes]

    async def held(self, counter: Counter) -> int:
        """Return what the store itself holds."""
        (outcome,) = await self.store.charge([charge(counter, 0)], Counting.EVERY, TIMEOUT_S)
        return outcome.counted

    def passes(self, us: int) -> None:
        """Let time pass on both clocks."""
        self.store_clock.now_us += us
        self.own_clock.now_us += us


def _near(max_bytes: int = 1_000_000) -> Near:
    store_clock, own_clock = Clock(), Clock(77)
    store = MemoryStore(store_clock)
    return Near(NearCache(store, max_bytes, own_clock), store, store_clock, own_clock)


@pytest.fixture
def near() -> Near:
    return _near()


async def test_a_refusal_is_repeated_without_the_store(near: Near) -> None:
    await near.charge(charge(A, 11))
    near.passes(LIFETIME_US - 1)

    assert await near.charge(charge(A)) == [(11, MINUTE_US - LIFETIME_US + 1)]
    assert await near.held(A) == 11


async def test_it_ends_after_200_ms(near: Near) -> None:
    await near.charge(charge(A, 11))
    near.passes(LIFETIME_US)

    assert await near.charge(charge(A)) == [(12, MINUTE_US - LIFETIME_US)]


async def test_it_ends_with_the_window(near: Near) -> None:
    near.passes(MINUTE_US - 10)
    await near.charge(charge(A, 11))
    near.passes(9)
    assert await near.charge(charge(A)) == [(11, 1)]
    near.passes(1)

    assert await near.charge(charge(A)) == [(1, MINUTE_US)]


async def test_what_is_not_over_is_not_remembered(near: Near) -> None:
    await near.charge(charge(A, 10))

    assert [await near.charge(charge(A, 0)), await near.held(A)] == [[(10, MINUTE_US)], 10]
    assert near.cache.size_bytes == 0
    assert await near.charge(charge(A, 1)) == [(11, MINUTE_US)]


async def test_the_other_charges_of_the_request_still_count(near: Near) -> None:
    await near.charge(charge(A, 11))

    seen = await near.charge(charge(B, 2), charge(A), charge(B, 3))

    assert seen == [(2, MINUTE_US), (11, MINUTE_US), (5, MINUTE_US)]
    assert [await near.held(A), await near.held(B)] == [11, 5]


async def test_a_higher_limit_is_asked_for_at_the_store(near: Near) -> None:
    await near.charge(charge(A, 11))

    assert await near.charge(charge(A, 1, limit=11)) == [(12, MINUTE_US)]


async def test_looks_go_to_the_store(near: Near) -> None:
    await near.charge(charge(A, 11))
    await near.store.charge([charge(A, -5)], Counting.EVERY, TIMEOUT_S)

    assert await near.charge(charge(A, 0)) == [(6, MINUTE_US)]


async def test_a_refund_goes_to_the_store_and_ends_it(near: Near) -> None:
    await near.charge(charge(A, 11))

    assert await near.charge(charge(A, -5)) == [(6, MINUTE_US)]
    assert await near.charge(charge(A, 1)) == [(7, MINUTE_US)]


async def test_only_over_sees_the_whole_request(near: Near) -> None:
    await near.charge(charge(A, 11))

    seen = await near.charge(charge(A), charge(B), counting=Counting.ONLY_OVER)
    assert seen == [(12, MINUTE_US), (0, MINUTE_US)]

    assert await near.charge(charge(A), counting=Counting.ONLY_OVER) == [(12, MINUTE_US)]
    assert await near.held(A) == 12


async def test_memory_is_bounded_and_the_oldest_give_way() -> None:
    """F54."""
    near = _near(max_bytes=20_000)
    for number in range(1_000):
        await near.charge(charge(counter(f"{number}"), 11))
        assert near.cache.size_bytes <= 20_000

    await near.charge(charge(counter("999")))
    await near.charge(charge(counter("0")))
    assert await near.held(counter("999")) == 11
    assert await near.held(counter("0")) == 12


async def test_what_has_ended_is_forgotten(near: Near) -> None:
    for number in range(100):
        await near.charge(charge(counter(f"{number}"), 11))
        near.passes(LIFETIME_US)
    one = near.cache.size_bytes
    await near.charge(charge(counter("100"), 11))

    assert near.cache.size_bytes == pytest.approx(one, abs=10)


async def test_an_entry_larger_than_the_bound_is_not_kept() -> None:
    near = _near(max_bytes=10_000)
    await near.charge(charge(counter("x" * 10_000), 11))

    assert near.cache.size_bytes == 0


async def test_it_passes_the_rest_on(near: Near) -> None:
    await near.charge(charge(A, 11))
    await near.cache.ping()
    await near.cache.close()

    assert len(near.store) == 0
    assert near.store_clock.now_us == START_US


async def test_a_strict_call_is_decided_by_the_store(near: Near) -> None:
    """F3: else the charges that are not remembered would be made although it is refused."""
    await near.charge(charge(A, 11))
    hits = [replace(charge(each), terms=Terms(1, always=False)) for each in (A, B)]

    assert [counted for counted, _ in await near.charge(*hits, counting=Counting.STRICT)] == [11, 0]
    assert await near.held(B) == 0
