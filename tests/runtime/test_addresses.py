"""Addresses that cannot be had, on each edge: the same words, and nobody is disturbed."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratelimit_service.config.settings import (
    Address,
    GrpcSettings,
    RulesSettings,
    Settings,
    TcpAddress,
    UnixAddress,
)
from ratelimit_service.errors import ListenError
from ratelimit_service.resources import example_rules
from ratelimit_service.runtime.service import running
from tests.support.ports import free_port

FREE = TcpAddress("127.0.0.1", 0)
SETTINGS = Settings(
    RulesSettings(example_rules()), GrpcSettings(FREE), http_address=FREE, admin_address=FREE
)


def _grpc(address: Address) -> Settings:
    return replace(SETTINGS, grpc=GrpcSettings(address))


def _http(address: Address) -> Settings:
    return replace(SETTINGS, http_address=address)


def _admin(address: Address) -> Settings:
    return replace(SETTINGS, admin_address=address)


@pytest.fixture(params=[_grpc, _http, _admin], ids=["grpc", "http", "admin"])
def settings_with(request: pytest.FixtureRequest) -> Callable[[Address], Settings]:
    """Each edge in turn on an address of the test's, the others on free ones."""
    make: Callable[[Address], Settings] = request.param
    return make


async def complaint(settings: Settings) -> str:
    """Return why a service does not start."""
    with pytest.raises(ListenError) as caught:
        async with running(settings):
            pytest.fail("it started")
    return str(caught.value)


@pytest.fixture
def taken() -> Iterator[TcpAddress]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield TcpAddress("127.0.0.1", listener.getsockname()[1])


async def test_a_taken_port(
    settings_with: Callable[[Address], Settings], taken: TcpAddress
) -> None:
    said = await complaint(settings_with(taken))

    assert said == f"cannot listen on {taken}: Address already in use"


async def test_a_host_that_nobody_knows(settings_with: Callable[[Address], Settings]) -> None:
    said = await complaint(settings_with(TcpAddress("no-such-host.invalid", 8081)))

    assert said.startswith("cannot listen on no-such-host.invalid:8081: ")
    assert len(said.splitlines()) == 1


async def test_an_address_of_another_host(settings_with: Callable[[Address], Settings]) -> None:
    address = TcpAddress("192.0.2.1", free_port())

    said = await complaint(settings_with(address))

    assert said == f"cannot listen on {address}: Cannot assign requested address"


async def test_a_socket_in_a_folder_that_is_not_there(
    settings_with: Callable[[Address], Settings], tmp_path: Path
) -> None:
    address = UnixAddress(tmp_path / "missing" / "it.sock")

    said = await complaint(settings_with(address))

    assert said == f"cannot listen on {address}: No such file or directory"


async def test_a_path_that_is_too_long(
    settings_with: Callable[[Address], Settings], tmp_path: Path
) -> None:
    address = UnixAddress(tmp_path / ("x" * 200))

    said = await complaint(settings_with(address))

    assert said.startswith(f"cannot listen on {address}: ")
    assert "too long" in said


async def test_a_socket_that_another_process_serves_is_left_to_it(
    settings_with: Callable[[Address], Settings], tmp_path: Path
) -> None:
    path = tmp_path / "it.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        said = await complaint(settings_with(UnixAddress(path)))
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))

    assert said == f"cannot listen on unix:{path}: Address already in use"


async def test_a_file_that_is_no_socket_is_left_alone(
    settings_with: Callable[[Address], Settings], tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary")

    said = await complaint(settings_with(UnixAddress(path)))

    assert said == f"cannot listen on unix:{path}: Address already in use"
    assert path.read_text() == "dear diary"


async def test_a_socket_that_a_dead_process_left_is_replaced(
    settings_with: Callable[[Address], Settings], tmp_path: Path
) -> None:
    path = tmp_path / "it.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async with running(settings_with(UnixAddress(path))):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))

    assert not path.exists()


async def test_what_had_started_is_stopped_when_a_later_part_cannot(taken: TcpAddress) -> None:
    http = TcpAddress("127.0.0.1", free_port())

    await complaint(replace(_grpc(taken), http_address=http))

    with socket.create_server((http.host, http.port)):
        pass
