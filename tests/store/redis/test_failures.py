"""Counts stay exact while servers come and go under load."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ratelimit_service.config.settings import StoreSettings
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.terms import Counting
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.keys import KeyEncoder
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.store.redis.topology import slot_of
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.redis.calls import at, throughout, until
from tests.store.subjects import START_US, charge, counter
from tests.support.cluster import Cluster
from tests.support.valkey import Standalone

COUNTERS = [counter(f"counter{number}", Unit.DAY.window_us) for number in range(12)]
LIMIT = 1_000_000
WORKERS = 8
PATIENCE_S = 15.0


class Load:
    """Workers that charge counters by one, and what they were told."""

    def __init__(self, store: RedisStore) -> None:
        self.counted: Tally[Counter] = Tally()
        self.failed: Tally[Counter] = Tally()
        self._store = store
        self._stopping = False

    async def work(self, worker: int) -> None:
        number = worker
        while not self._stopping:
            charged = COUNTERS[number % len(COUNTERS)]
            number += 1
            try:
                await self._store.charge([charge(charged, limit=LIMIT)], Counting.EVERY, 2.0)
            except StoreUnavailableError:
                self.failed[charged] += 1
                await asyncio.sleep(0.01)
            else:
                self.counted[charged] += 1

    def stop(self) -> None:
        self._stopping = True

    async def goes_on(self) -> None:
        """Return when every counter has been charged some more."""
        seen = self.counted.copy()
        await until(
            lambda: all(self.counted[each] > seen[each] + 5 for each in COUNTERS), PATIENCE_S
        )

    async def fails(self) -> None:
        """Return when some more charges have failed."""
        seen = self.failed.total()
        await until(lambda: self.failed.total() > seen + 5, PATIENCE_S)


@asynccontextmanager
async def load_on(settings: StoreSettings) -> AsyncIterator[Load]:
    """Charge meanwhile. At the end, what the store holds must be what the workers heard.

    A charge that failed may have been counted; nothing else may differ.
    """
    store = RedisStore(open_link(settings), NullRecorder(), now_us=lambda: START_US)
    load = Load(store)
    try:
        async with asyncio.TaskGroup() as group:
            for worker in range(WORKERS):
                group.create_task(load.work(worker))
            try:
                yield load
            finally:
                load.stop()
        for each, held in (await _held(store)).items():
            assert load.counted[each] <= held <= load.counted[each] + load.failed[each]
    finally:
        await store.close()


async def _held(store: RedisStore) -> Tally[Counter]:
    looks = [charge(each, 0, LIMIT) for each in COUNTERS]
    outcomes = await store.charge(looks, Counting.EVERY, PATIENCE_S)
    return Tally({each: outcome.counted for each, outcome in zip(COUNTERS, outcomes, strict=True)})


async def test_f36_scripts_are_flushed_again_and_again(standalone_server: Standalone) -> None:
    async with load_on(at(standalone_server.address)) as load:
        for _ in range(20):
            await asyncio.to_thread(standalone_server.execute, "SCRIPT", "FLUSH")
            await load.goes_on()
    assert not load.failed


async def test_f36_scripts_are_flushed_on_every_node(cluster_servers: Cluster) -> None:
    async with load_on(throughout(cluster_servers)) as load:
        for node in cluster_servers.nodes * 5:
            await asyncio.to_thread(node.execute, "SCRIPT", "FLUSH")
            await load.goes_on()
    assert not load.failed


async def test_f35_a_server_is_killed_and_restarted() -> None:
    with Standalone(persistent=True) as server:
        async with load_on(at(server.address)) as load:
            for _ in range(3):
                await load.goes_on()
                before = load.failed.total()
                await asyncio.to_thread(server.kill)
                await load.fails()
                await asyncio.to_thread(server.start)
                await load.goes_on()
                settled = load.failed.total()
                await load.goes_on()
                assert load.failed.total() == settled, "errors go on after the restart"
                assert settled > before


async def test_f35_the_connections_of_all_are_cut(standalone_server: Standalone) -> None:
    async with load_on(at(standalone_server.address)) as load:
        for _ in range(10):
            await load.goes_on()
            await asyncio.to_thread(
                standalone_server.execute, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"
            )
        await load.goes_on()


async def test_f35_slots_move_under_load(cluster_servers: Cluster) -> None:
    slots = sorted({slot_of(KeyEncoder().key(each)) for each in COUNTERS})
    async with load_on(throughout(cluster_servers)) as load:
        await load.goes_on()
        for slot in slots:
            target = cluster_servers.other(cluster_servers.owner(slot))
            await asyncio.to_thread(cluster_servers.begin_move, slot, target)
            await load.goes_on()
            await asyncio.to_thread(cluster_servers.move_keys, slot, target)
            await load.goes_on()
            await asyncio.to_thread(cluster_servers.end_move, slot, target)
        await load.goes_on()
    assert not load.failed


@pytest.mark.slow
async def test_f35_a_master_of_a_cluster_is_killed_and_restarted() -> None:
    with Cluster(persistent=True) as cluster:
        async with load_on(throughout(cluster)) as load:
            for node in cluster.nodes:
                await load.goes_on()
                await asyncio.to_thread(node.kill)
                await load.fails()
                await asyncio.to_thread(cluster.ensure_running)
                await load.goes_on()
            settled = load.failed.total()
            await load.goes_on()
        assert load.failed.total() == settled, "errors go on after the restart"


async def test_f32_one_stalled_master_takes_only_its_own_counters_away(
    cluster_servers: Cluster,
) -> None:
    stalled = cluster_servers.nodes[0]
    away = {
        each
        for each in COUNTERS
        if cluster_servers.owner(slot_of(KeyEncoder().key(each))) is stalled
    }
    assert away
    settings = replace(throughout(cluster_servers), timeout_s=0.5)
    async with load_on(settings) as load:
        await load.goes_on()
        stalled.pause()
        await load.fails()
        stalled.resume()
        await load.goes_on()
    assert set(load.failed) <= away
