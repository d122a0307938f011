"""What becomes of calls when the one server does not behave."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.exceptions import RedisError

from ratelimit_service.config.settings import TcpAddress
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.redis.link import ScriptCall
from tests.store.redis.calls import ENDLESS, add, at, linked, run, until
from tests.support.ports import free_port
from tests.support.proxy import Fault, Proxy
from tests.support.valkey import Standalone


async def test_f31_a_server_that_comes_up_later_is_used() -> None:
    with Standalone() as server:
        server.stop()
        async with linked(at(server.address)) as link:
            (refused,) = await run(link, add("counter"))
            assert isinstance(refused, StoreUnavailableError)
            assert str(server.address) in str(refused)
            with pytest.raises(StoreUnavailableError):
                await link.ping()
            server.start()
            await link.ping()
            assert await run(link, add("counter")) == [1]


async def test_f35_the_first_call_after_a_restart_succeeds() -> None:
    with Standalone(persistent=True) as server:
        async with linked(at(server.address)) as link:
            await asyncio.gather(*(run(link, add("counter")) for _ in range(8)))
            await asyncio.to_thread(server.kill)
            (lost,) = await run(link, add("counter"))
            assert isinstance(lost, StoreUnavailableError)
            await asyncio.to_thread(server.start)
            assert await run(link, add("counter")) == [9]


async def test_f35_idle_connections_of_before_a_restart_are_not_used() -> None:
    with Standalone(persistent=True) as server:
        async with linked(at(server.address)) as link:
            await asyncio.gather(*(run(link, add("counter")) for _ in range(8)))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert await run(link, add("counter")) == [9]


async def test_f32_calls_to_a_stalled_server_end_in_time(standalone_server: Standalone) -> None:
    settings = replace(at(standalone_server.address), timeout_s=0.3, pool_size=3)
    async with linked(settings) as link:
        await run(link, add("counter"))
        standalone_server.pause()
        started = asyncio.get_running_loop().time()
        async with asyncio.timeout(2.0):
            answers = await asyncio.gather(*(run(link, add("counter")) for _ in range(50)))
        assert asyncio.get_running_loop().time() - started >= 0.3
        assert all(isinstance(answer, StoreUnavailableError) for (answer,) in answers)
        assert isinstance(answers[0][0], StoreTimeoutError)
        standalone_server.resume()
        (after,) = await run(link, add("counter"))
    assert isinstance(after, int)
    assert after <= 5, "more than one call on each connection was sent to a server that stalls"


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SWALLOW])
async def test_f13_a_call_whose_reply_is_lost_is_not_sent_again(
    standalone_server: Standalone, fault: Fault
) -> None:
    async with (
        Proxy(standalone_server.address) as proxy,
        linked(replace(at(proxy.address), timeout_s=0.3)) as link,
    ):
        await run(link, add("counter"))
        standalone_server.execute("CONFIG", "RESETSTAT")
        proxy.fault = fault
        (lost,) = await run(link, add("counter"))
        proxy.fault = Fault.NONE
        assert isinstance(lost, StoreUnavailableError)
        assert isinstance(lost, StoreTimeoutError) == (fault is Fault.SWALLOW)
        assert standalone_server.calls("evalsha") == 1
        assert await run(link, add("counter")) == [3]


async def test_a_busy_server_is_waited_for() -> None:
    with Standalone("--busy-reply-threshold", "1") as server:
        async with linked(at(server.address)) as link:
            endless = asyncio.create_task(run(link, ScriptCall(ENDLESS, (), ())))
            await until(lambda: _refuses(server, "BUSY"))
            call = asyncio.create_task(run(link, add("counter")))
            assert await _is_waiting(call)
            server.execute("SCRIPT", "KILL")
            assert await call == [1]
            (killed,) = await endless
    assert isinstance(killed, StoreUnavailableError)


async def test_f35_a_server_that_loads_its_data_is_waited_for() -> None:
    # Twenty keys, each of which takes 50 ms to load.
    options = (
        *("--key-load-delay", "50000", "--rdbcompression", "no"),
        *("--loading-process-events-interval-bytes", "1024"),
    )
    with Standalone(*options) as server:
        for number in range(20):
            server.execute("SET", f"large{number}", "x" * 5000)
        server.execute("SAVE")
        server.kill()
        start = asyncio.create_task(asyncio.to_thread(server.start))
        async with linked(at(server.address)) as link:
            await until(lambda: _refuses(server, "loading"))
            assert await run(link, add("counter")) == [1]
        await start


async def test_f35_a_server_that_is_a_replica_for_a_while_is_waited_for(
    standalone_server: Standalone,
) -> None:
    async with linked(at(standalone_server.address)) as link:
        await run(link, add("counter"))
        standalone_server.execute("REPLICAOF", "127.0.0.1", free_port())
        call = asyncio.create_task(run(link, add("counter")))
        assert await _is_waiting(call)
        standalone_server.execute("REPLICAOF", "NO", "ONE")
        assert await call == [2]


async def test_f35_a_server_that_stays_a_replica_is_an_error_in_time(
    standalone_server: Standalone,
) -> None:
    async with linked(replace(at(standalone_server.address), timeout_s=0.2)) as link:
        standalone_server.execute("REPLICAOF", "127.0.0.1", free_port())
        (refused,) = await run(link, add("counter"))
        standalone_server.execute("REPLICAOF", "NO", "ONE")
    assert isinstance(refused, StoreUnavailableError)
    assert "replica" in str(refused)


async def test_an_address_that_answers_something_else_is_an_error() -> None:
    async def say_hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say_hello, "127.0.0.1", 0)
    async with server:
        address = TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1])
        async with linked(at(address)) as link:
            (refused,) = await run(link, add("counter"))
    assert isinstance(refused, StoreUnavailableError)


async def _is_waiting(call: asyncio.Task[object]) -> bool:
    """Whether a call is still under way after time enough for several round trips."""
    done, _ = await asyncio.wait([call], timeout=0.1)
    return not done


def _refuses(server: Standalone, reason: str) -> bool:
    try:
        server.execute("PING")
    except RedisError as error:
        return reason in str(error)
    return False
