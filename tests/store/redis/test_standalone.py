"""Scripts over one server, and what happens to them when the server does not behave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ratelimit_service.config.settings import Credentials, UnixAddress
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.link import CrossSlotError, ScriptCall
from tests.store.redis.calls import ADD_TO_ALL, FAIL, add, at, linked, run, until
from tests.support.cluster import SLOTS, ClusterNode
from tests.support.proxy import Proxy
from tests.support.valkey import Standalone


async def test_replies_come_in_the_order_of_the_calls(standalone_server: Standalone) -> None:
    async with linked(at(standalone_server.address)) as link:
        replies = await run(link, *(add("counter", amount) for amount in (1, 10, 100)))
    assert replies == [1, 11, 111]


async def test_a_call_that_fails_leaves_the_others(standalone_server: Standalone) -> None:
    async with linked(at(standalone_server.address)) as link:
        first, failed, last = await run(
            link, add("counter"), ScriptCall(FAIL, ("counter",), ()), add("counter")
        )
    assert (first, last) == (1, 2)
    assert isinstance(failed, StoreUnavailableError)
    assert str(standalone_server.address) in str(failed)


async def test_f36_flushed_scripts_are_loaded_once(standalone_server: Standalone) -> None:
    async with linked(at(standalone_server.address)) as link:
        await run(link, add("counter"))
        standalone_server.execute("SCRIPT", "FLUSH")
        standalone_server.execute("CONFIG", "RESETSTAT")
        assert await run(link, add("counter"), add("counter")) == [2, 3]
        assert standalone_server.calls("script|load") == 1
        assert await run(link, add("counter")) == [4]
        assert standalone_server.calls("script|load") == 1


async def test_connections_are_bounded(standalone_server: Standalone) -> None:
    async with Proxy(standalone_server.address) as proxy:
        proxy.delay_s = 0.01
        async with linked(replace(at(proxy.address), pool_size=4)) as link:
            replies = await asyncio.gather(*(run(link, add("counter")) for _ in range(40)))
        assert sorted(int(str(reply)) for (reply,) in replies) == list(range(1, 41))
        assert proxy.accepted == 4


async def test_a_cancelled_call_leaves_no_reply_behind_for_the_next(
    standalone_server: Standalone,
) -> None:
    async with linked(replace(at(standalone_server.address), pool_size=1)) as link:
        for number in range(200):
            cancelled = asyncio.create_task(run(link, add("cancelled")))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            cancelled.cancel()
            assert await run(link, add(f"{number}", number)) == [number]


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with Standalone("--unixsocket", str(path)):
        async with linked(at(UnixAddress(path))) as link:
            assert await run(link, add("counter")) == [1]


async def test_a_database_is_selected(standalone_server: Standalone) -> None:
    async with linked(replace(at(standalone_server.address), database=3)) as link:
        await run(link, add("counter"))
    assert standalone_server.info("keyspace")["db3"]["keys"] == 1


async def test_connections_carry_a_name(standalone_server: Standalone) -> None:
    async with linked(at(standalone_server.address)) as link:
        await link.ping()
        assert "ratelimit-service" in standalone_server.client_names()


@contextmanager
def guarded() -> Iterator[Standalone]:
    """A server with a password for everybody, and one for a user of its own."""
    with Standalone("--requirepass", "other", password="other") as server:
        server.execute("ACL", "SETUSER", "limits", "on", ">secret", "+@all", "~*")
        yield server


async def test_credentials_are_shown() -> None:
    with guarded() as server:
        credentials = Credentials("secret", "limits")
        async with linked(replace(at(server.address), credentials=credentials)) as link:
            assert await run(link, add("counter")) == [1]
        async with linked(replace(at(server.address), credentials=Credentials("other"))) as link:
            assert await run(link, add("counter")) == [2]


@pytest.mark.parametrize(
    "credentials", [None, Credentials("wrong"), Credentials("wrong", "limits")]
)
async def test_wrong_credentials_are_a_clear_error(credentials: Credentials | None) -> None:
    with guarded() as server:
        async with linked(replace(at(server.address), credentials=credentials)) as link:
            (refused,) = await run(link, add("counter"))
            with pytest.raises(StoreUnavailableError, match=str(server.address)):
                await link.ping()
    assert isinstance(refused, StoreUnavailableError)
    assert str(server.address) in str(refused)
    assert "password" in str(refused) or "Authentication required" in str(refused)
    assert "wrong" not in str(refused)


async def test_f6_slots_that_one_server_enforces_are_noticed() -> None:
    with ClusterNode() as node:
        node.take(range(SLOTS))
        await until(lambda: node.is_whole)
        async with linked(at(node.address)) as link:
            assert not link.enforces_slots
            together = ScriptCall(ADD_TO_ALL, ("a", "b"), ())
            first, refused = await run(link, add("a"), together)
            assert first == 1
            assert isinstance(refused, CrossSlotError)
            assert link.enforces_slots
            assert await run(link, add("a"), add("b")) == [2, 1]


async def test_after_closing_nothing_is_connected(standalone_server: Standalone) -> None:
    async with linked(at(standalone_server.address)) as link:
        await asyncio.gather(*(run(link, add("counter")) for _ in range(4)))
    await until(lambda: "ratelimit-service" not in standalone_server.client_names())
