"""Settings become the store that they name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from ratelimit_service.config.settings import StoreKind, StoreSettings, TcpAddress
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.across_slots import AcrossSlots
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.near_cache import NearCache
from ratelimit_service.store.open import open_store
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import charge, counter
from tests.support.ports import free_port
from tests.support.valkey import Standalone


async def test_memory() -> None:
    store = await open_store(StoreSettings(near_cache_bytes=1_000), NullRecorder())

    assert isinstance(store, MemoryStore)


async def test_a_server_with_a_prefix_and_a_near_cache(standalone_server: Standalone) -> None:
    settings = StoreSettings(
        StoreKind.STANDALONE, (standalone_server.address,), key_prefix="p:", near_cache_bytes=9_999
    )
    store = await open_store(settings, NullRecorder())
    await store.charge([charge(counter(), 11)], Counting.EVERY, 5.0)
    (outcome,) = await store.charge([charge(counter())], Counting.EVERY, 5.0)
    await store.close()

    assert isinstance(store, NearCache)
    assert outcome.counted == 11
    assert standalone_server.execute("KEYS", "*") == [
        b"p:{domain/name=a};requests;fixed_window;60s"
    ]


@pytest.mark.parametrize("kind", [StoreKind.STANDALONE, StoreKind.SENTINEL, StoreKind.CLUSTER])
async def test_it_opens_while_the_store_is_down(kind: StoreKind) -> None:
    """F31."""
    settings = StoreSettings(
        kind, (TcpAddress("127.0.0.1", free_port()),), sentinel_service="x", timeout_s=1.0
    )
    store = await open_store(settings, NullRecorder())

    assert isinstance(store, AcrossSlots)
    with pytest.raises(StoreUnavailableError):
        await store.ping()
    with pytest.raises(StoreUnavailableError):
        await store.charge([charge(counter())], Counting.EVERY, 2.0)
    await store.close()


async def test_a_database_of_its_own(standalone_server: Standalone) -> None:
    settings = StoreSettings(StoreKind.STANDALONE, (standalone_server.address,))
    for database in (0, 3):
        store = await open_store(replace(settings, database=database), NullRecorder())
        (outcome,) = await store.charge([charge(counter())], Counting.EVERY, 5.0)
        await store.close()
        assert outcome.counted == 1


def test_the_memory_store_does_without_the_client_library() -> None:
    code = "import sys, ratelimit_service.store.open; sys.exit('redis' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
