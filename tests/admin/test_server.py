from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ratelimit_service.admin.server import HttpServer
from ratelimit_service.config.settings import Address, TcpAddress, UnixAddress
from ratelimit_service.errors import ListenError
from tests.admin.conftest import LOOPBACK, Serve
from tests.support.ports import free_port


def _app() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def _get_over(path: Path) -> str:
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get("http://any/") as answer,
    ):
        return await answer.text()


async def _raw(server: HttpServer, data: bytes) -> bytes:
    assert isinstance(server.address, TcpAddress)
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_serves_on_the_port_that_was_asked_for(http: aiohttp.ClientSession) -> None:
    address = TcpAddress("127.0.0.1", free_port())
    async with HttpServer(address, _app()) as server:
        assert server.address == address
        async with http.get(f"http://{address}/") as answer:
            assert await answer.text() == "hello"
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(f"http://{address}/")


async def test_serves_on_a_unix_socket_and_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    async with HttpServer(UnixAddress(path), _app()):
        assert await _get_over(path) == "hello"
    assert not path.exists()


async def test_replaces_the_socket_of_a_process_that_died(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with HttpServer(UnixAddress(path), _app()):
        assert await _get_over(path) == "hello"


async def test_leaves_the_socket_of_a_process_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    async with HttpServer(UnixAddress(path), _app()):
        with pytest.raises(ListenError, match=r"unix:.*: Address already in use"):
            await HttpServer(UnixAddress(path), _app()).start()
        assert await _get_over(path) == "hello"


async def test_a_taken_port_is_one_clear_line() -> None:
    async with HttpServer(LOOPBACK, _app()) as first:
        second = HttpServer(first.address, _app())
        with pytest.raises(ListenError) as caught:
            await second.start()
        await second.stop()
        assert str(caught.value) == f"cannot listen on {first.address}: Address already in use"


@pytest.mark.parametrize(
    "address",
    [
        TcpAddress("192.0.2.1", 8080),
        TcpAddress("256.0.0.1", 8080),
        UnixAddress(Path("/nowhere/http.sock")),
        UnixAddress(Path("/" + "long" * 50)),
    ],
)
async def test_an_impossible_address_is_one_clear_line(address: Address) -> None:
    with pytest.raises(ListenError) as caught:
        await HttpServer(address, _app()).start()
    assert str(caught.value).startswith(f"cannot listen on {address}: ")
    assert "\n" not in str(caught.value)


async def test_answers_under_way_are_sent_before_the_server_stops_f57() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_get("/", slow)
    server = HttpServer(LOOPBACK, app)
    await server.start()
    async with aiohttp.ClientSession() as http:
        request = asyncio.ensure_future(http.get(f"http://{server.address}/"))
        await arrived.wait()
        stopping = asyncio.ensure_future(server.stop())
        while not await _refuses(server.address):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert not stopping.done()
        go_on.set()
        assert await (await request).text() == "done"
        await stopping


async def _refuses(address: Address) -> bool:
    assert isinstance(address, TcpAddress)
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except ConnectionError:
        return True
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return False


@pytest.mark.parametrize(
    "data",
    [
        b"caller-secret is no HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Key: " + b"caller-secret" * 1_000 + b"\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_get_a_400_and_leave_no_trace_in_the_log(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with HttpServer(LOOPBACK, _app()) as server:
        answer = await _raw(server, data)
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"Traceback" not in answer
    assert not caplog.records


async def test_a_defect_is_logged_and_answered_without_a_traceback(
    serve: Serve, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: web.Request) -> web.Response:
        raise ZeroDivisionError

    app = web.Application()
    app.router.add_get("/", broken)
    async with http.get(f"{await serve(app)}/") as answer:
        assert answer.status == 500
        assert "ZeroDivisionError" not in await answer.text()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
