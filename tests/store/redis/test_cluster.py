"""Scripts on the masters of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ratelimit_service.config.settings import TcpAddress
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.link import CrossSlotError, ScriptCall
from ratelimit_service.store.redis.topology import slot_of
from tests.store.redis.calls import (
    ADD_TO_ALL,
    add,
    linked,
    run,
    seconds_until_served,
    throughout,
)
from tests.support.cluster import Cluster, ClusterNode
from tests.support.ports import free_port

MANY_KEYS = [f"key{number}" for number in range(60)]


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster for a test that would leave a shared one in pieces."""
    with Cluster() as cluster:
        yield cluster


def key_on(cluster: Cluster, node: ClusterNode) -> str:
    return next(key for key in MANY_KEYS if cluster.owner(slot_of(key)) is node)


async def test_keys_on_every_node_are_served_in_order(cluster_servers: Cluster) -> None:
    async with linked(throughout(cluster_servers)) as link:
        await link.ping()
        amounts = range(len(MANY_KEYS))
        calls = [add(key, amount) for key, amount in zip(MANY_KEYS, amounts, strict=True)]
        assert await run(link, *calls) == list(amounts)
        lanes = {link.lane(key) for key in MANY_KEYS}
    assert lanes == {str(address) for address in cluster_servers.addresses}


async def test_a_lane_is_stable_before_anything_is_known(cluster_servers: Cluster) -> None:
    async with linked(throughout(cluster_servers)) as link:
        assert len({link.lane(key) for key in MANY_KEYS}) == 1


async def test_one_address_of_a_node_that_lives_is_enough(cluster_servers: Cluster) -> None:
    nobody = TcpAddress("127.0.0.1", free_port())
    addresses = (nobody, cluster_servers.addresses[0])
    async with linked(replace(throughout(cluster_servers), addresses=addresses)) as link:
        await link.ping()


async def test_f5_keys_of_several_slots_are_refused(cluster_servers: Cluster) -> None:
    async with linked(throughout(cluster_servers)) as link:
        assert link.enforces_slots
        (refused,) = await run(link, ScriptCall(ADD_TO_ALL, ("a", "b"), ()))
        assert isinstance(refused, CrossSlotError)
        assert await run(link, ScriptCall(ADD_TO_ALL, ("{x}a", "{x}b"), ())) == [2]


async def test_f36_scripts_flushed_on_any_node_are_loaded_once(cluster_servers: Cluster) -> None:
    async with linked(throughout(cluster_servers)) as link:
        await run(link, *map(add, MANY_KEYS))
        for node in cluster_servers.nodes:
            node.flush()
            assert await run(link, *map(add, MANY_KEYS * 2)) is not None
            assert node.calls("script|load") == 1
            assert node.execute("GET", key_on(cluster_servers, node)) == b"2"


async def test_f35_a_moved_slot_is_followed_and_remembered(cluster_servers: Cluster) -> None:
    async with linked(throughout(cluster_servers)) as link:
        await run(link, *map(add, MANY_KEYS))
        key = MANY_KEYS[0]
        source = cluster_servers.owner(slot_of(key))
        target = cluster_servers.other(source)
        cluster_servers.move(slot_of(key), target)
        assert await run(link, add(key), add(MANY_KEYS[1])) == [2, 2]
        assert link.lane(key) == str(target.address)
        source.flush()
        assert await run(link, add(key)) == [3]
        assert source.calls("evalsha") == 0


async def test_f35_a_slot_that_is_being_moved_is_served(cluster_servers: Cluster) -> None:
    moved, kept, new = "{slot}moved", "{slot}kept", "{slot}new"
    slot = slot_of(moved)
    target = cluster_servers.other(cluster_servers.owner(slot))
    async with linked(throughout(cluster_servers)) as link:
        await run(link, add(moved))
        cluster_servers.begin_move(slot, target)
        cluster_servers.move_keys(slot, target)
        await run(link, add(kept))
        assert await run(link, add(moved), add(new), add(moved), add(kept)) == [2, 1, 3, 2]
        both = asyncio.create_task(run(link, ScriptCall(ADD_TO_ALL, (moved, kept), ())))
        cluster_servers.end_move(slot, target)
        assert await both == [2]
        assert await run(link, add(moved), add(kept), add(new)) == [5, 4, 2]


async def test_f35_keys_of_one_call_that_are_apart_are_waited_for(
    cluster_servers: Cluster,
) -> None:
    keys = ("{slot}first", "{slot}second")
    slot = slot_of(keys[0])
    target = cluster_servers.other(cluster_servers.owner(slot))
    async with linked(throughout(cluster_servers)) as link:
        await run(link, *map(add, keys))
        cluster_servers.begin_move(slot, target)
        cluster_servers.move_keys(slot, target, at_most=1)
        call = asyncio.create_task(run(link, ScriptCall(ADD_TO_ALL, keys, ())))
        done, _ = await asyncio.wait([call], timeout=0.1)
        assert not done
        await asyncio.to_thread(cluster_servers.move_keys, slot, target)
        assert await call == [2]
        cluster_servers.end_move(slot, target)
        assert await run(link, *map(add, keys)) == [3, 3]


async def test_f35_a_master_that_restarts_is_used_again(own_cluster: Cluster) -> None:
    gone, here = own_cluster.nodes[:2]
    lost, served = add(key_on(own_cluster, gone)), add(key_on(own_cluster, here))
    async with linked(throughout(own_cluster)) as link:
        await run(link, lost, served)
        await asyncio.to_thread(gone.kill)
        refused, count = await run(link, lost, served)
        assert isinstance(refused, StoreUnavailableError)
        assert str(gone.address) in str(refused)
        assert count == 2
        await asyncio.to_thread(gone.start)
        assert await seconds_until_served(link, lost) < 10.0


async def test_f32_a_stalled_master_holds_up_only_its_own_keys(cluster_servers: Cluster) -> None:
    stalled, healthy = cluster_servers.nodes[:2]
    settings = replace(throughout(cluster_servers), timeout_s=0.5)
    async with linked(settings) as link:
        await run(link, *map(add, MANY_KEYS))
        lost, served = add(key_on(cluster_servers, stalled)), add(key_on(cluster_servers, healthy))
        stalled.pause()
        waiting = asyncio.create_task(run(link, lost))
        for count in range(2, 50):
            assert await run(link, served) == [count]
        assert not waiting.done()
        async with asyncio.timeout(2.0):
            (late,) = await waiting
        assert isinstance(late, StoreUnavailableError)
        with pytest.raises(StoreUnavailableError, match=str(stalled.address)):
            await link.ping()
        stalled.resume()
        await link.ping()


async def test_f31_a_cluster_that_comes_up_later_is_used() -> None:
    cluster = Cluster()
    async with linked(throughout(cluster)) as link:
        (refused,) = await run(link, add("counter"))
        assert isinstance(refused, StoreUnavailableError)
        assert all(str(address) in str(refused) for address in cluster.addresses)
        with cluster:
            assert await seconds_until_served(link, add("counter")) < 10
            await link.ping()


async def test_slots_that_nobody_serves_are_an_error(own_cluster: Cluster) -> None:
    slot = slot_of("counter")
    for node in own_cluster.nodes:
        node.execute("CLUSTER", "DELSLOTS", slot)
    async with linked(replace(throughout(own_cluster), timeout_s=0.5)) as link:
        (refused,) = await run(link, add("counter"))
        with pytest.raises(StoreUnavailableError, match="1 of its slots"):
            await link.ping()
    assert isinstance(refused, StoreUnavailableError)
