"""Callers race over several slots of a cluster, and die, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.chaos.crowd import Crowd, check, store_on, sweep_all
from tests.chaos.mortal import DeadError, Mortal
from tests.store.reserving import Desk, Want
from tests.store.subjects import Clock
from tests.support.cluster import Cluster

QUICK_SEEDS = range(3)
SLOW_SEEDS = range(3, 60)


def seeds() -> list[object]:
    """Return a few seeds for every run, and many for slow ones."""
    return [*QUICK_SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW_SEEDS)]


def wants(limit: int) -> tuple[Want, ...]:
    """Return what each caller wants: one unit of each of three limits in three slots."""
    return tuple(Want(name, 1, limit) for name in "abc")


@pytest.mark.timeout(180)
async def test_a_thousand_callers_get_two_hundred_units(cluster_servers: Cluster) -> None:
    """F1, F2, F7."""
    clock = Clock()
    async with store_on(cluster_servers, clock) as store:
        crowd, desks = Crowd(wants(200), 200), [Desk(store) for _ in range(4)]
        ids = [f"{number}" for number in range(1_000)]
        await asyncio.gather(*(crowd.call(desks[int(each) % 4], each) for each in ids))
        assert len(crowd.admitted) <= 200
        await crowd.repeat(desks[0], ids)
        await check(crowd, store, clock, seed=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", seeds())
async def test_coordinators_die_at_any_step(cluster_servers: Cluster, seed: int) -> None:
    """F4, F13, F14: what they left is ended by sweepers, while repeated calls find out."""
    clock, rng = Clock(), random.Random(seed)
    async with store_on(cluster_servers, clock) as store:
        crowd = Crowd(wants(20), 20)
        ids = [f"{number}" for number in range(60)]
        desks = [Desk(Mortal(store, _fate(rng))) for _ in range(20)]
        await asyncio.gather(*(crowd.call(rng.choice(desks), each) for each in ids))
        assert len(crowd.admitted) <= 20
        await sweep_all(store, clock)
        assert len(crowd.admitted) <= 20
        await crowd.repeat(Desk(store), ids)
        await check(crowd, store, clock, seed)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", seeds())
async def test_callers_go_away_at_any_time(cluster_servers: Cluster, seed: int) -> None:
    """F56: who asks again under its id finds what became of its first call."""
    clock, rng = Clock(), random.Random(seed)
    async with store_on(cluster_servers, clock) as store:
        crowd, desk = Crowd(wants(20), 20), Desk(store)
        ids = [f"{number}" for number in range(60)]
        calls = [asyncio.create_task(crowd.call(desk, each)) for each in ids]
        for call in calls:
            if rng.random() < 0.5:
                asyncio.get_running_loop().call_later(rng.expovariate(1 / 0.05), call.cancel)
        await asyncio.gather(*calls, return_exceptions=True)
        assert len(crowd.admitted) <= 20
        await crowd.repeat(desk, ids)
        await desk.reservations.finish()
        await check(crowd, store, clock, seed)


async def test_who_goes_away_without_an_id_holds_nothing(cluster_servers: Cluster) -> None:
    """F56: nobody could ever settle it, so it is given back."""
    clock = Clock()
    async with store_on(cluster_servers, clock) as store:
        desk = Desk(store)
        calls = [asyncio.create_task(desk.reserve(*wants(200))) for _ in range(50)]
        await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(each, asyncio.CancelledError) for each in ended)
        heard = sum(not isinstance(each, BaseException) for each in ended)
        await desk.reservations.finish()

        assert await desk.held(*wants(200)) == [(heard, heard)] * 3


def _fate(rng: random.Random) -> Callable[[], None]:
    """Return a fate that strikes once in a while."""
    own = random.Random(rng.random())

    def strike() -> None:
        if own.random() < 0.06:
            raise DeadError

    return strike
