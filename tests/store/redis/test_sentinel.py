"""Scripts on the master that sentinels name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ratelimit_service.config.settings import Credentials, TcpAddress
from ratelimit_service.errors import StoreUnavailableError
from tests.store.redis.calls import add, behind, linked, run, seconds_until_served, until
from tests.support.ports import free_port
from tests.support.sentinels import SENTINEL_SERVICE, Sentinels

# A failover of the test's sentinels takes about three seconds by itself.
LONGEST_FAILOVER_S = 15.0


@pytest.fixture
def own_sentinels() -> Iterator[Sentinels]:
    """A group for one test: after a failover, setting up a new one is the quickest."""
    with Sentinels() as group:
        yield group


async def test_the_master_is_found(sentinel_servers: Sentinels) -> None:
    async with linked(behind(sentinel_servers)) as link:
        await link.ping()
        assert await run(link, add("a"), add("b", 5), add("a")) == [1, 5, 2]
    assert sentinel_servers.master().execute("GET", "a") == b"2"


async def test_one_sentinel_that_answers_is_enough(sentinel_servers: Sentinels) -> None:
    nobody = TcpAddress("127.0.0.1", free_port())
    addresses = (nobody, sentinel_servers.addresses[0], TcpAddress("127.0.0.1", free_port()))
    async with linked(replace(behind(sentinel_servers), addresses=addresses)) as link:
        assert await run(link, add("counter")) == [1]


async def test_f32_a_sentinel_that_stalls_costs_a_second_at_most(
    sentinel_servers: Sentinels,
) -> None:
    for sentinel in sentinel_servers.sentinels[:2]:
        sentinel.pause()
    async with linked(behind(sentinel_servers)) as link, asyncio.timeout(2.0):
        assert await run(link, add("counter")) == [1]


async def test_a_service_that_no_sentinel_knows_is_an_error(sentinel_servers: Sentinels) -> None:
    async with linked(replace(behind(sentinel_servers), sentinel_service="other")) as link:
        (refused,) = await run(link, add("counter"))
        with pytest.raises(StoreUnavailableError):
            await link.ping()
    assert isinstance(refused, StoreUnavailableError)
    assert "No such master" in str(refused)
    assert str(sentinel_servers.addresses[0]) in str(refused)


async def test_f31_without_sentinels_calls_fail_at_once() -> None:
    with Sentinels() as group:
        settings = behind(group)
        for server in (*group.sentinels, *group.data):
            server.stop()
        async with linked(settings) as link, asyncio.timeout(2.0):
            answers = await asyncio.gather(*(run(link, add("counter")) for _ in range(50)))
            assert all(isinstance(answer, StoreUnavailableError) for (answer,) in answers)
            group.data[0].start()
            group.sentinels[0].start()
            assert await run(link, add("counter")) == [1]


@pytest.mark.parametrize("way", ["kill", "pause"])
async def test_f35_a_failover_is_followed(own_sentinels: Sentinels, way: str) -> None:
    settings = replace(behind(own_sentinels), timeout_s=1.0)
    async with linked(settings) as link:
        assert await run(link, add("counter")) == [1]
        former, replica = own_sentinels.master(), own_sentinels.replica()
        await until(lambda: replica.execute("GET", "counter") == b"1")
        getattr(former, way)()
        assert await seconds_until_served(link, add("counter")) < LONGEST_FAILOVER_S
        assert int(replica.execute("GET", "counter")) == 2
        assert await run(link, add("counter"), add("counter")) == [3, 4]


async def test_f35_a_master_that_is_demoted_is_left(own_sentinels: Sentinels) -> None:
    async with linked(behind(own_sentinels)) as link:
        assert await run(link, add("counter")) == [1]
        former, replica = own_sentinels.master(), own_sentinels.replica()
        own_sentinels.sentinels[0].execute("SENTINEL", "FAILOVER", SENTINEL_SERVICE)
        await until(lambda: own_sentinels.master() is replica)
        await asyncio.to_thread(former.execute, "REPLICAOF", "127.0.0.1", replica.address.port)
        assert await run(link, add("after"), add("after")) == [1, 2]
    assert replica.execute("GET", "after") == b"2"


async def test_both_passwords_are_shown() -> None:
    with Sentinels(password="for-data", sentinel_password="for-sentinels") as group:
        settings = replace(
            behind(group),
            credentials=Credentials("for-data"),
            sentinel_credentials=Credentials("for-sentinels"),
        )
        async with linked(settings) as link:
            assert await run(link, add("counter")) == [1]
        async with linked(replace(settings, sentinel_credentials=None)) as link:
            (refused,) = await run(link, add("counter"))
        assert isinstance(refused, StoreUnavailableError)
        assert "Authentication required" in str(refused)
        async with linked(replace(settings, credentials=Credentials("wrong"))) as link:
            (refused,) = await run(link, add("counter"))
        assert isinstance(refused, StoreUnavailableError)
        assert str(group.master().address) in str(refused)
