"""The memory store forgets what is over, and nothing else."""

from __future__ import annotations

from ratelimit_service.core.messages import GRACE_US
from ratelimit_service.core.terms import Counting
from ratelimit_service.store.memory import MemoryStore, wall_clock_us
from tests.store.subjects import MINUTE_US, START_US, Clock, charge, counter

HOUR_US = 60 * MINUTE_US


async def test_memory_stays_bounded_while_keys_come_and_go() -> None:
    """F54: as many counters are kept as were charged within a window and its grace."""
    clock = Clock()
    store = MemoryStore(clock)
    for number in range(10_000):
        clock.now_us = START_US + number * MINUTE_US // 100
        await store.charge([charge(counter(f"user-{number}"))], Counting.EVERY, 1.0)
        assert len(store) <= 100 * (2 * MINUTE_US + GRACE_US) // MINUTE_US


async def test_a_counter_that_is_charged_again_and_again_is_kept_once() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    for number in range(1_000):
        clock.now_us = START_US + number * MINUTE_US
        await store.charge([charge(counter())], Counting.EVERY, 1.0)

    assert len(store) == 1


async def test_many_windows_that_end_together_are_forgotten_bit_by_bit() -> None:
    """F55."""
    clock = Clock()
    store = MemoryStore(clock)
    await store.charge([charge(counter(f"{n}")) for n in range(1_000)], Counting.EVERY, 1.0)
    clock.now_us += MINUTE_US + GRACE_US

    await store.charge([charge(counter("next"))], Counting.EVERY, 1.0)
    assert len(store) == 999
    for _ in range(500):
        await store.charge([charge(counter("next"))], Counting.EVERY, 1.0)
    assert len(store) == 1


async def test_a_counter_is_never_forgotten_within_its_window() -> None:
    """F40."""
    clock = Clock()
    store = MemoryStore(clock)
    await store.charge([charge(counter(), 5)], Counting.EVERY, 1.0)
    for passed_us in range(0, MINUTE_US, MINUTE_US // 64):
        clock.now_us = START_US + passed_us
        (outcome,) = await store.charge([charge(counter(), 0)], Counting.EVERY, 1.0)
        assert outcome.counted == 5


async def test_looking_keeps_nothing() -> None:
    store = MemoryStore(Clock())
    await store.charge([charge(counter(), 0)], Counting.EVERY, 1.0)

    assert len(store) == 0


async def test_without_a_clock_it_follows_the_host() -> None:
    store = MemoryStore()
    await store.ping()
    before_us = wall_clock_us()
    (outcome,) = await store.charge([charge(counter("a", HOUR_US))], Counting.EVERY, 1.0)
    after_us = wall_clock_us()
    await store.close()

    assert outcome.reset_in_us is not None
    earliest_us, latest_us = before_us + outcome.reset_in_us, after_us + outcome.reset_in_us
    assert outcome.counted == 1
    assert latest_us // HOUR_US * HOUR_US >= earliest_us
    assert len(store) == 0
