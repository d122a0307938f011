"""A reservation and its settlement against two charges, and over one to sixteen slots.

It runs against the store without gRPC in between, so that what it compares is not hidden.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Final

import pytest

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.core.protocols.answers import Reserved, Settled
from ratelimit_service.core.terms import Counting
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.reserving import Desk, Want, counter_of
from tests.store.subjects import TIMEOUT_S, charge
from tests.support.cluster import Cluster
from tests.support.valkey import Standalone

pytestmark = pytest.mark.bench

ROUNDS: Final = 3
PAIRS: Final = 100
PAIRS_ON_A_CLUSTER: Final = 30
AMPLE: Final = 10**12


@dataclass(frozen=True, slots=True)
class Timed:
    """The times of calls in milliseconds, and the script calls that each took."""

    p50_ms: float
    p99_ms: float
    script_calls: float


async def timed(
    call: Callable[[int], Awaitable[None]],
    servers: Sequence[Standalone],
    *,
    calls: int = PAIRS,
    in_flight: int = 1,
) -> Timed:
    """Make so many calls, ``in_flight`` at a time."""
    times: list[float] = []

    async def caller(number: int) -> None:
        for _ in range(max(1, calls // in_flight)):
            started = perf_counter()
            await call(number)
            times.append((perf_counter() - started) * 1e3)

    await caller(0)
    times.clear()
    before = sum(server.calls("evalsha") for server in servers)
    await asyncio.gather(*map(caller, range(in_flight)))
    scripts = sum(server.calls("evalsha") for server in servers) - before
    return Timed(median(times), quantiles(times, n=100)[98], scripts / len(times))


def print_table(title: str, rows: dict[str, list[Timed]]) -> None:
    """Print medians over the rounds."""
    lines = ["", title, f"{'':>24}{'p50 ms':>10}{'p99 ms':>10}{'scripts':>10}"]
    for name, found in rows.items():
        p50 = median(each.p50_ms for each in found)
        p99 = median(each.p99_ms for each in found)
        scripts = median(each.script_calls for each in found)
        lines.append(f"{name:>24}{p50:>10.2f}{p99:>10.2f}{scripts:>10.2f}")
    sys.stdout.write("\n".join([*lines, ""]))


def pair(desk: Desk, wants: Sequence[Want]) -> Callable[[int], Awaitable[None]]:
    """Return a call that reserves and settles."""

    async def call(_: int) -> None:
        answered = await desk.reserve(*wants)
        assert isinstance(answered.result, Reserved)
        assert isinstance(await desk.settle(answered), Settled)

    return call


@pytest.mark.timeout(300)
@pytest.mark.parametrize("in_flight", [1, 32])
async def test_a_pair_against_two_charges(standalone_server: Standalone, in_flight: int) -> None:
    settings = StoreSettings(StoreKind.STANDALONE, (standalone_server.address,), timeout_s=10.0)
    store = RedisStore(open_link(settings), NullRecorder())
    wants = [Want(name, 1, AMPLE) for name in "ab"]
    charges = [charge(counter_of(want), 1, AMPLE) for want in wants]

    async def charge_twice(_: int) -> None:
        for _ in range(2):
            await store.charge(charges, Counting.EVERY, TIMEOUT_S)

    rows: dict[str, list[Timed]] = {"two ShouldRateLimit": [], "reserve and settle": []}
    for _ in range(ROUNDS):
        for name, call in zip(rows, (charge_twice, pair(Desk(store), wants)), strict=True):
            rows[name].append(await timed(call, [standalone_server], in_flight=in_flight))
    await store.close()
    print_table(f"Two limits on one server, {in_flight} in flight", rows)
    if in_flight == 1:
        assert [each.script_calls for each in rows["reserve and settle"]] == [2.0] * ROUNDS


@pytest.mark.timeout(300)
async def test_over_one_to_sixteen_slots(cluster_servers: Cluster) -> None:
    """F53."""
    settings = StoreSettings(StoreKind.CLUSTER, cluster_servers.addresses, timeout_s=10.0)
    store = RedisStore(open_link(settings), NullRecorder())
    desk = Desk(store)
    rows: dict[str, list[Timed]] = {}
    for _ in range(ROUNDS):
        for slots in (1, 2, 4, 8, 16):
            wants = [Want(f"{number}", 1, AMPLE) for number in range(slots)]
            call = pair(desk, wants)
            found = await timed(call, cluster_servers.nodes, calls=PAIRS_ON_A_CLUSTER)
            rows.setdefault(f"{slots} slots", []).append(found)
    await desk.reservations.finish()
    await store.close()
    print_table("Reserve and settle on a cluster of three masters, one in flight", rows)
    two, sixteen = (median(each.p50_ms for each in rows[f"{n} slots"]) for n in (2, 16))
    assert sixteen < 8 * two
