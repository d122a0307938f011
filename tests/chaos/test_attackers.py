"""Attackers trigger refusals that come late, after another limit was held for a moment."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_service.core.protocols.answers import Refused, Reserved, Settled
from tests.chaos.crowd import TTL_US, store_on, sweep_all
from tests.store.reserving import UNKNOWN, Desk, Want
from tests.store.subjects import Clock
from tests.support.cluster import Cluster

SHARED, SPENT = Want("a", 1, 1_000), Want("b", 1, 1)
ATTACKERS = 20


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.slow)])
async def test_late_refusals_drain_no_shared_limit(cluster_servers: Cluster, seconds: int) -> None:
    """F3, F4: and nobody else is refused by them meanwhile."""
    clock = Clock()
    async with store_on(cluster_servers, clock) as store:
        desk = Desk(store)
        assert isinstance((await desk.reserve(SPENT, ttl_us=TTL_US)).result, Reserved)
        until = asyncio.get_running_loop().time() + seconds
        refused = served = 0

        async def attack() -> None:
            nonlocal refused
            while asyncio.get_running_loop().time() < until:
                assert isinstance((await desk.reserve(SHARED, SPENT)).result, Refused)
                refused += 1

        async def serve() -> None:
            nonlocal served
            while asyncio.get_running_loop().time() < until and served < 900:
                answered = await desk.reserve(SHARED)
                assert isinstance(answered.result, Reserved)
                assert isinstance(await desk.settle(answered, UNKNOWN), Settled)
                served += 1

        await asyncio.gather(serve(), *(attack() for _ in range(ATTACKERS)))
        await desk.reservations.finish()

        assert refused > ATTACKERS
        assert served
        assert await desk.held(SHARED, SPENT) == [(served, 0), (1, 1)]
        assert await sweep_all(store, clock) == 0
