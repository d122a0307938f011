"""What reservations cost the servers, and what becomes of them when replies are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from ratelimit_service.config.settings import Address, StoreKind, StoreSettings
from ratelimit_service.core.protocols.answers import Refused, Replayed, Reserved, Settled
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.store.reservations import Asked
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.reserving import UNKNOWN, Desk, Want, lines_of
from tests.support.cluster import SLOTS, Cluster, ClusterNode
from tests.support.processes import wait_until
from tests.support.proxy import Fault, Proxy
from tests.support.valkey import Standalone


@asynccontextmanager
async def desk_at(
    kind: StoreKind, *addresses: Address, timeout_s: float = 10.0
) -> AsyncIterator[Desk]:
    """Open a desk on servers, all of whose scripts are loaded."""
    store = RedisStore(
        open_link(StoreSettings(kind, tuple(addresses), timeout_s=timeout_s)), NullRecorder()
    )
    desk = Desk(store)
    try:
        await desk.settle(await desk.reserve(Want("warm")))
        yield desk
    finally:
        await desk.reservations.finish()
        await store.close()


def script_calls(servers: Sequence[Standalone]) -> int:
    return sum(server.calls("evalsha") for server in servers)


async def test_a_pair_is_two_script_calls_on_one_server(standalone_server: Standalone) -> None:
    async with desk_at(StoreKind.STANDALONE, standalone_server.address) as desk:
        before = script_calls([standalone_server])
        for request_id in ("", "id"):
            answered = await desk.reserve(*(Want(f"{n}") for n in range(16)), request_id=request_id)
            assert isinstance(await desk.settle(answered), Settled)

        assert script_calls([standalone_server]) - before == 4


async def test_a_pair_in_one_slot_is_two_script_calls_on_a_cluster(
    cluster_servers: Cluster,
) -> None:
    async with desk_at(StoreKind.CLUSTER, *cluster_servers.addresses) as desk:
        await desk.settle(await desk.reserve(Want("a")))
        before = script_calls(cluster_servers.nodes)
        answered = await desk.reserve(Want("a"))
        assert isinstance(await desk.settle(answered), Settled)

        assert script_calls(cluster_servers.nodes) - before == 2


class Counting(RedisStore):
    """Counts rounds."""

    rounds = 0

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        self.rounds += 1
        return await super().deliver(sent, timeout_s)


async def test_rounds_do_not_grow_with_the_number_of_slots(cluster_servers: Cluster) -> None:
    """F53: three rounds to reserve, three to settle, each as long as its slowest slot."""
    settings = StoreSettings(StoreKind.CLUSTER, cluster_servers.addresses, timeout_s=10.0)
    store = Counting(open_link(settings), NullRecorder())
    rounds = []
    for slots in (2, 4, 16):
        desk, store.rounds = Desk(store), 0
        wants = [Want(f"{number}") for number in range(slots)]
        assert isinstance(await desk.settle(await desk.reserve(*wants)), Settled)
        await desk.reservations.finish()
        rounds.append(store.rounds)
    await store.close()

    assert rounds == [6, 6, 6]


async def test_a_server_that_enforces_slots_after_all() -> None:
    """F5, F6: the first reservation finds out; ids mean the same to who does not know yet."""
    wants = [Want("a"), Want("b"), Want("c")]
    with ClusterNode() as node:
        node.take(range(SLOTS))
        wait_until(lambda: node.is_whole, "every slot served")
        async with alone(node) as desk, alone(node) as other:
            assert not desk.store.enforces_slots
            answered = await desk.reserve(*wants)
            assert desk.store.enforces_slots
            assert isinstance(answered.result, Reserved)
            assert await desk.held(*wants) == [(1, 1)] * 3
            assert not other.store.enforces_slots
            assert isinstance(await other.settle(answered), Settled)
            assert await desk.held(*wants) == [(1, 0)] * 3


@asynccontextmanager
async def alone(node: Standalone) -> AsyncIterator[Desk]:
    """Open a desk that takes a node of a cluster for a server of its own."""
    settings = StoreSettings(StoreKind.STANDALONE, (node.address,), timeout_s=10.0)
    store = RedisStore(open_link(settings), NullRecorder())
    desk = Desk(store)
    yield desk
    await desk.reservations.finish()
    await store.close()


@pytest.mark.parametrize("fault", [Fault.SWALLOW, Fault.CUT])
async def test_a_reservation_whose_reply_is_lost_counts_once(
    standalone_server: Standalone, fault: Fault
) -> None:
    """F13: with an id the caller finds out; without one its hold ends at its time."""
    async with (
        Proxy(standalone_server.address) as proxy,
        desk_at(StoreKind.STANDALONE, proxy.address, timeout_s=0.3) as desk,
    ):
        before = script_calls([standalone_server])
        proxy.fault = fault
        with pytest.raises(StoreUnavailableError):
            await _impatient(desk, Want("a", 10))
        proxy.fault = Fault.NONE
        await desk.reservations.finish()
        assert script_calls([standalone_server]) > before
        again = await desk.reserve(Want("a", 10), request_id="id")

        assert isinstance(again.result, Replayed)
        assert await desk.held(Want("a")) == [(10, 10)]
        assert isinstance(await desk.settle(again, UNKNOWN), Settled)
        assert await desk.held(Want("a")) == [(10, 0)]
        assert isinstance((await desk.reserve(Want("a", 191))).result, Refused)


async def _impatient(desk: Desk, want: Want) -> None:
    lines = lines_of(desk.store, [want])
    asked = Asked("me", "domain", repr((want,)), lambda _: lines, 60_000_000, "id")
    await desk.reservations.reserve(asked, 0.2)
