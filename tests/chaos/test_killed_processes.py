"""Processes that coordinate reservations are killed at every step of the protocol."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.crowd import Crowd, check, store_on, sweep_all
from tests.chaos.test_crowds import wants
from tests.store.reserving import Desk
from tests.store.subjects import Clock
from tests.support.cluster import Cluster

LIMIT = 10
CALLS = 4
STEPS = range(8)
"""A reservation over several slots has three rounds with two steps each; then comes the next."""

SLOW_SEEDS = range(1, 12)


async def _run(cluster: Cluster, clock: Clock, strike: int, ids: Sequence[str]) -> dict[str, str]:
    """Run a process until it dies; return what it had answered, by id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.coordinator",
        f"{clock.now_us}",
        f"{LIMIT}",
        f"{strike}",
        ",".join(ids),
        *(str(address) for address in cluster.addresses),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    said, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    return dict(line.split(" ")[:2] for line in said.decode().splitlines())


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW_SEEDS)]
)
async def test_processes_are_killed_at_every_step(cluster_servers: Cluster, seed: int) -> None:
    """F4, F13: what nobody was told of is taken back, what somebody was told of stays."""
    clock, rng = Clock(), random.Random(seed)
    strikes = [step + 8 * rng.randrange(2) * bool(seed) for step in STEPS]
    ids = {step: [f"{step}-{call}" for call in range(CALLS)] for step in STEPS}
    everybody = [name for names in ids.values() for name in names]
    async with store_on(cluster_servers, clock) as store:
        said = await asyncio.gather(
            *(_run(cluster_servers, clock, strikes[step], ids[step]) for step in STEPS)
        )
        heard = {name: answer for each in said for name, answer in each.items()}
        told = {name for name, answer in heard.items() if answer == "Reserved"}
        assert len(heard) < len(everybody)
        assert len(told) <= LIMIT

        await sweep_all(store, clock)
        crowd, desk = Crowd(wants(LIMIT), LIMIT), Desk(store)
        # Who was refused has an answer; who was told OK asks for its reservation's id.
        asking = [name for name in everybody if heard.get(name, "Reserved") == "Reserved"]
        await crowd.repeat(desk, asking)

        assert told <= crowd.admitted.keys()
        await check(crowd, store, clock, seed)
