"""Decisions that come together go together, and each ends in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic

import pytest
from redis.crc import key_slot

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import OverloadedError, StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.keys import KeyEncoder
from ratelimit_service.store.redis.batcher import BATCH_CHARGES, WAITING_CHARGES
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import TIMEOUT_S, charge, counter
from tests.support.cluster import Cluster
from tests.support.valkey import Standalone


class Listener(NullRecorder):
    """Keeps what a store reports."""

    def __init__(self) -> None:
        self.charges: list[int] = []
        self.failures: list[str] = []

    def store_called(self, charges: int, seconds: float) -> None:
        assert 0 < seconds < 2 * TIMEOUT_S
        self.charges.append(charges)

    def store_failed(self, kind: str) -> None:
        self.failures.append(kind)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def store(standalone_server: Standalone, listener: Listener) -> AsyncIterator[RedisStore]:
    """A store on a server that has the script, and nothing to report yet."""
    store = _store(listener, standalone_server)
    await _ask(store, charge(counter("warm")))
    listener.charges.clear()
    yield store
    standalone_server.resume()
    await store.close()


def _store(listener: Listener, *servers: Standalone, timeout_s: float = TIMEOUT_S) -> RedisStore:
    kind = StoreKind.STANDALONE if len(servers) == 1 else StoreKind.CLUSTER
    addresses = tuple(server.address for server in servers)
    return RedisStore(open_link(StoreSettings(kind, addresses, timeout_s=timeout_s)), listener)


async def _ask(
    store: RedisStore, *charges: Charge, timeout_s: float = TIMEOUT_S
) -> Sequence[Outcome]:
    return await store.charge(charges, Counting.EVERY, timeout_s)


async def _counted(store: RedisStore, name: str = "a") -> int:
    (outcome,) = await _ask(store, charge(counter(name), 0))
    return outcome.counted


def _slot(counter: Counter) -> int:
    return key_slot(KeyEncoder().key(counter).encode())


async def _start(*asks: asyncio.Task[Sequence[Outcome]]) -> None:
    """Let tasks run up to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(ask.done() for ask in asks)


async def test_a_decision_alone_is_one_call(store: RedisStore, listener: Listener) -> None:
    for _ in range(5):
        await _ask(store, charge(counter("a")), charge(counter("b")))

    assert listener.charges == [2] * 5


async def test_decisions_at_once_are_few_calls(
    store: RedisStore, listener: Listener, standalone_server: Standalone
) -> None:
    """At 128 in flight with two charges each, at most a quarter of a call for a decision."""
    before = standalone_server.calls("evalsha")

    async def caller(number: int) -> None:
        for _ in range(20):
            await _ask(store, charge(counter("all")), charge(counter(f"{number}")))

    await asyncio.gather(*map(caller, range(128)))

    calls = standalone_server.calls("evalsha") - before
    assert calls == len(listener.charges) <= 128 * 20 / 4
    assert sum(listener.charges) == 2 * 128 * 20
    assert max(listener.charges) <= BATCH_CHARGES
    assert await _counted(store, "all") == 128 * 20


async def test_a_cluster_gets_a_call_for_each_slot(
    cluster_servers: Cluster, listener: Listener
) -> None:
    store = _store(listener, *cluster_servers.nodes)
    names = [counter(f"{number}") for number in range(12)]
    await asyncio.gather(*(_ask(store, charge(a), charge(b)) for a in names for b in names))
    looked = await _ask(store, *(charge(name, 0) for name in names))
    await store.close()

    assert [outcome.counted for outcome in looked] == [24] * 12
    assert sum(listener.charges) == 2 * 144 + 12
    assert len(listener.charges) < 144


async def test_a_server_that_enforces_slots_after_all(
    cluster_servers: Cluster, listener: Listener
) -> None:
    """F5, F6: its refusal is not seen by anyone, and nothing is lost or counted twice."""
    node = cluster_servers.nodes[0]
    store = _store(listener, node)
    counters = [counter(f"{number}") for number in range(100)]
    names = [name for name in counters if cluster_servers.owner(_slot(name)) is node][:10]
    for _ in range(2):
        await asyncio.gather(*(_ask(store, *map(charge, names)) for _ in range(20)))
    looked = await _ask(store, *(charge(name, 0) for name in names))
    await store.close()

    assert [outcome.counted for outcome in looked] == [40] * 10
    assert listener.failures == ["cross_slot"]


async def test_a_stalled_server_costs_each_decision_its_own_time(
    store: RedisStore, standalone_server: Standalone
) -> None:
    """F32."""
    standalone_server.pause()
    started = monotonic()
    asks = [_ask(store, charge(counter()), timeout_s=0.02 * n) for n in range(1, 11)]
    answers = await asyncio.gather(*asks, return_exceptions=True)

    assert all(isinstance(answer, StoreTimeoutError) for answer in answers)
    assert 0.2 <= monotonic() - started < 2.0


async def test_a_decision_without_time_is_not_sent(store: RedisStore) -> None:
    with pytest.raises(StoreTimeoutError):
        await _ask(store, charge(counter()), timeout_s=0.0)

    assert await _counted(store) == 0


async def test_what_timed_out_while_it_waited_is_not_sent(
    store: RedisStore, standalone_server: Standalone
) -> None:
    standalone_server.pause()
    sent = asyncio.create_task(_ask(store, charge(counter("sent"))))
    await _start(sent)
    with pytest.raises(StoreTimeoutError):
        await _ask(store, charge(counter("late")), timeout_s=0.05)
    standalone_server.resume()

    assert [outcome.counted for outcome in await sent] == [1]
    assert await _counted(store, "late") == 0


async def test_what_is_cancelled_while_it_waits_is_not_sent(
    store: RedisStore, standalone_server: Standalone
) -> None:
    standalone_server.pause()
    sent = asyncio.create_task(_ask(store, charge(counter("sent"))))
    await _start(sent)
    kept = asyncio.create_task(_ask(store, charge(counter("kept"))))
    cancelled = asyncio.create_task(_ask(store, charge(counter("cancelled"))))
    await _start(kept, cancelled)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    standalone_server.resume()

    assert [outcome.counted for outcome in await kept] == [1]
    assert await _counted(store, "cancelled") == 0


async def test_what_is_cancelled_after_it_was_sent_is_counted(
    store: RedisStore, standalone_server: Standalone
) -> None:
    """F56: the store has it, and the answers of others stay their own."""
    standalone_server.pause()
    cancelled = asyncio.create_task(_ask(store, charge(counter("a"), 5)))
    other = asyncio.create_task(_ask(store, charge(counter("b"), 7)))
    await _start(cancelled, other)
    cancelled.cancel()
    standalone_server.resume()

    assert [outcome.counted for outcome in await other] == [7]
    assert await _counted(store, "a") == 5


async def test_the_queue_is_bounded(
    store: RedisStore, listener: Listener, standalone_server: Standalone
) -> None:
    """F32: past the bound the answer is immediate, and what was taken in is charged."""
    standalone_server.pause()
    size = BATCH_CHARGES
    wide = [charge(counter("a"))] * size
    asks = [asyncio.create_task(_ask(store, *wide))]
    await _start(*asks)
    asks += [
        asyncio.create_task(_ask(store, *wide)) for _ in range(WAITING_CHARGES // BATCH_CHARGES)
    ]
    await _start(*asks)
    with pytest.raises(OverloadedError):
        await _ask(store, charge(counter("b")))
    standalone_server.resume()
    await asyncio.gather(*asks)

    assert await _counted(store, "a") == size + WAITING_CHARGES
    assert await _counted(store, "b") == 0
    assert max(listener.charges) == BATCH_CHARGES


async def test_room_is_free_again_when_what_waited_timed_out(
    store: RedisStore, standalone_server: Standalone
) -> None:
    standalone_server.pause()
    first = asyncio.create_task(_ask(store, charge(counter("first"))))
    await _start(first)
    wide = [charge(counter("a"))] * WAITING_CHARGES
    with pytest.raises(StoreTimeoutError):
        await _ask(store, *wide, timeout_s=0.05)
    second = asyncio.create_task(_ask(store, *wide))
    await _start(second)
    standalone_server.resume()

    assert [outcome.counted for outcome in await second][-1] == WAITING_CHARGES


async def test_an_error_of_a_call_fails_only_its_own_decisions(
    store: RedisStore, listener: Listener, standalone_server: Standalone
) -> None:
    standalone_server.kill()
    with pytest.raises(StoreUnavailableError):
        await _ask(store, charge(counter()), timeout_s=0.5)
    standalone_server.start()

    assert await _counted(store) == 0
    assert listener.charges == [1]


async def test_a_call_that_fails_is_reported(
    standalone_server: Standalone, listener: Listener
) -> None:
    store = _store(listener, standalone_server, timeout_s=0.2)
    assert await _counted(store) == 0
    standalone_server.pause()
    with pytest.raises(StoreTimeoutError):
        await _ask(store, charge(counter()))
    standalone_server.resume()
    standalone_server.execute("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreUnavailableError, match="memory"):
        await _ask(store, charge(counter()))
    standalone_server.execute("CONFIG", "SET", "maxmemory", "0")
    await store.close()

    assert listener.failures == ["timeout", "unavailable"]


async def test_closing_ends_what_waits(store: RedisStore, standalone_server: Standalone) -> None:
    standalone_server.pause()
    sent = asyncio.create_task(_ask(store, charge(counter())))
    await _start(sent)
    waiting = asyncio.create_task(_ask(store, charge(counter())))
    await _start(waiting)
    await store.close()

    for ask in (sent, waiting):
        with pytest.raises(StoreUnavailableError):
            await ask
    with pytest.raises(StoreUnavailableError):
        await _ask(store, charge(counter()))
