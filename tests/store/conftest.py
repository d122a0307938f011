"""Every store under test, each on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from ratelimit_service.config.settings import StoreKind, StoreSettings, TcpAddress
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.link import Link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import TIMEOUT_S, Clock, Subject
from tests.support.cluster import Cluster
from tests.support.sentinels import SENTINEL_SERVICE, Sentinels
from tests.support.valkey import Standalone


@pytest.fixture
async def standalone_link(standalone_server: Standalone) -> AsyncIterator[Link]:
    """A link to a server without keys."""
    link = open_link(_settings(StoreKind.STANDALONE, standalone_server.address))
    yield link
    await link.close()


@pytest.fixture(params=["memory", "standalone", "sentinel", "cluster"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Each store in turn, empty, with a clock that the test sets."""
    clock = Clock()
    if request.param == "memory":
        yield Subject(MemoryStore(clock), clock)
        return
    servers, settings = _SERVERS[request.param](request)
    store = RedisStore(open_link(settings), NullRecorder(), key_prefix="test:", now_us=clock)
    yield Subject(store, clock, servers)
    await store.close()


def _standalone(request: pytest.FixtureRequest) -> tuple[Sequence[Standalone], StoreSettings]:
    server: Standalone = request.getfixturevalue("standalone_server")
    return [server], _settings(StoreKind.STANDALONE, server.address)


def _sentinel(request: pytest.FixtureRequest) -> tuple[Sequence[Standalone], StoreSettings]:
    group: Sentinels = request.getfixturevalue("sentinel_servers")
    return [group.master()], _settings(StoreKind.SENTINEL, *group.addresses)


def _cluster(request: pytest.FixtureRequest) -> tuple[Sequence[Standalone], StoreSettings]:
    cluster: Cluster = request.getfixturevalue("cluster_servers")
    return cluster.nodes, _settings(StoreKind.CLUSTER, *cluster.addresses)


_SERVERS: dict[str, Callable[[pytest.FixtureRequest], tuple[Sequence[Standalone], StoreSettings]]]
_SERVERS = {"standalone": _standalone, "sentinel": _sentinel, "cluster": _cluster}


def _settings(kind: StoreKind, *addresses: TcpAddress) -> StoreSettings:
    return StoreSettings(kind, addresses, sentinel_service=SENTINEL_SERVICE, timeout_s=TIMEOUT_S)
