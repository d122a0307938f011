"""A process that reserves under ids, and kills itself at a step.

    python -m tests.chaos.coordinator NOW_US LIMIT STRIKE IDS ADDRESS...

It says one line for each answer: the id, what the answer is, and the reservation's id. Before
the STRIKE-th round, or after it, counted from 0 in halves, it ends as kill -9 ends it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from ratelimit_service.config.settings import StoreKind, StoreSettings, TcpAddress
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.chaos.crowd import TTL_US
from tests.chaos.mortal import Mortal
from tests.store.reserving import Desk, Want


def strike_at(step: int) -> Callable[[], None]:
    """Return a fate that kills this process when it is asked for the step-th time."""
    asked = 0

    def strike() -> None:
        nonlocal asked
        if asked == step:
            os.kill(os.getpid(), signal.SIGKILL)
        asked += 1

    return strike


async def main(now_us: int, limit: int, strike: int, ids: str, *addresses: str) -> None:
    """Reserve for the ids in turn."""
    nodes = tuple(
        TcpAddress(host, int(port)) for host, port in (each.rsplit(":", 1) for each in addresses)
    )
    settings = StoreSettings(StoreKind.CLUSTER, nodes, timeout_s=10.0)
    store = RedisStore(open_link(settings), NullRecorder(), now_us=lambda: now_us)
    desk = Desk(Mortal(store, strike_at(strike)))
    wants = [Want(name, 1, limit) for name in "abc"]
    for request_id in ids.split(","):
        answered = await desk.reserve(*wants, request_id=request_id, ttl_us=TTL_US)
        sys.stdout.write(
            f"{request_id} {type(answered.result).__name__} {answered.reservation_id}\n"
        )
        sys.stdout.flush()
    await desk.reservations.finish()
    await store.close()


if __name__ == "__main__":
    now, most, step, names, *servers = sys.argv[1:]
    asyncio.run(main(int(now), int(most), int(step), names, *servers))
