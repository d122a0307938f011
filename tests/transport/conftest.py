"""What the modules on reservations share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import Clock
from tests.support.cluster import Cluster
from tests.support.valkey import Standalone
from tests.transport.reserving import Place


@pytest.fixture(params=["memory", "standalone", "cluster"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each kind of store in turn, empty, with a clock that the test sets."""
    clock = Clock()
    if request.param == "memory":
        yield Place(MemoryStore(clock), clock, tmp_path)
        return
    store = _redis(request, clock)
    yield Place(store, clock, tmp_path)
    await store.close()


def _redis(request: pytest.FixtureRequest, clock: Clock) -> RedisStore:
    if request.param == "cluster":
        cluster: Cluster = request.getfixturevalue("cluster_servers")
        settings = StoreSettings(StoreKind.CLUSTER, tuple(cluster.addresses))
    else:
        server: Standalone = request.getfixturevalue("standalone_server")
        settings = StoreSettings(StoreKind.STANDALONE, (server.address,))
    return RedisStore(open_link(settings), NullRecorder(), now_us=clock)
