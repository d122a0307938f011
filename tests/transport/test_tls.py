"""TLS at the gRPC edge, with and without certificates of callers."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from ratelimit_service.config.settings import Address, GrpcSettings, ServerTls
from ratelimit_service.errors import SettingsError
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from tests.core.rulesets import limited, rule_set
from tests.support.certificates import Authority, KeyPair
from tests.transport.health_calls import check, watching
from tests.transport.serving import LOOPBACK, Setup, build, request, serving

OK = rls_pb2.RateLimitResponse.OK
"""A handshake that fails looks like this to gRPC."""
NO_CONNECTION = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Chains:
    """A server's certificate, and the authorities of server and callers."""

    server: KeyPair
    server_ca: Authority
    client_ca: Authority


@pytest.fixture
def chains(tmp_path: Path) -> Chains:
    server_ca, client_ca = Authority(tmp_path / "server"), Authority(tmp_path / "clients")
    return Chains(server_ca.issue("localhost", "127.0.0.1"), server_ca, client_ca)


def tls_setup(chains: Chains, client_ca: Path | None = None, *names: str) -> Setup:
    tls = ServerTls(chains.server.certificate, chains.server.key, client_ca, names)
    return Setup(rule_set(k=limited(1000)), grpc=GrpcSettings(LOOPBACK, tls))


@asynccontextmanager
async def tls_channel(
    address: Address, authority: Authority, client: KeyPair | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(),
        None if client is None else client.key.read_bytes(),
        None if client is None else client.certificate.read_bytes(),
    )
    async with grpc.aio.secure_channel(str(address), credentials) as channel:
        yield channel


async def code_of(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """Return how a call ends; a handshake that fails must not be repeated for long."""
    stub = rls_pb2_grpc.RateLimitServiceStub(channel)
    try:
        answer = await stub.ShouldRateLimit(request(), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    assert answer.overall_code == OK
    return grpc.StatusCode.OK


async def test_calls_are_answered_over_tls_only(chains: Chains) -> None:
    async with serving(tls_setup(chains)) as served:
        async with tls_channel(served.address, chains.server_ca) as channel:
            assert await code_of(channel) is grpc.StatusCode.OK
        async with tls_channel(served.address, chains.client_ca) as stranger:
            assert await code_of(stranger) is NO_CONNECTION
        async with grpc.aio.insecure_channel(str(served.address)) as plain:
            assert await code_of(plain) is NO_CONNECTION


async def test_callers_without_a_certificate_of_the_authority_are_refused(chains: Chains) -> None:
    setup = tls_setup(chains, chains.client_ca.certificate)
    known = chains.client_ca.issue("gateway.test")
    stranger = chains.server_ca.issue("gateway.test")
    async with serving(setup) as served:
        for client, code in (
            (known, grpc.StatusCode.OK),
            (stranger, NO_CONNECTION),
            (None, NO_CONNECTION),
        ):
            async with tls_channel(served.address, chains.server_ca, client) as channel:
                assert await code_of(channel) is code


async def test_only_the_named_callers_are_answered(chains: Chains) -> None:
    setup = tls_setup(chains, chains.client_ca.certificate, "gateway.test", "other.test")
    async with serving(setup) as served:
        for name, code in (
            ("gateway.test", grpc.StatusCode.OK),
            ("other.test", grpc.StatusCode.OK),
            ("gateway.test.evil", grpc.StatusCode.UNAUTHENTICATED),
            ("*.test", grpc.StatusCode.UNAUTHENTICATED),
        ):
            client = chains.client_ca.issue(name)
            async with tls_channel(served.address, chains.server_ca, client) as channel:
                assert await code_of(channel) is code, name


async def test_health_streams_pass_for_callers_of_the_authority(chains: Chains) -> None:
    setup = tls_setup(chains, chains.client_ca.certificate, "gateway.test")
    client = chains.client_ca.issue("balancer.test")
    async with (
        serving(setup) as served,
        tls_channel(served.address, chains.server_ca, client) as channel,
    ):
        watch = watching(channel)
        assert (await anext(aiter(watch))).status in {1, 2}
        watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError):
            await check(channel)


async def test_new_connections_see_a_renewed_certificate(chains: Chains, tmp_path: Path) -> None:
    renewed_ca = Authority(tmp_path / "renewed")
    renewed = renewed_ca.issue("localhost", "127.0.0.1")
    async with serving(tls_setup(chains)) as served:
        async with tls_channel(served.address, chains.server_ca) as old:
            assert await code_of(old) is grpc.StatusCode.OK
            _replace(chains.server, renewed)
            assert await code_of(old) is grpc.StatusCode.OK
        async with tls_channel(served.address, renewed_ca) as new:
            assert await code_of(new) is grpc.StatusCode.OK
        async with tls_channel(served.address, chains.server_ca) as outdated:
            assert await code_of(outdated) is NO_CONNECTION


def _no_key(chains: Chains) -> None:
    chains.server.key.write_text("no key")


def _missing_key(chains: Chains) -> None:
    chains.server.key.unlink()


def _key_of_another(chains: Chains) -> None:
    shutil.copy(chains.client_ca.issue("other.test").key, chains.server.key)


@pytest.mark.parametrize("spoil", [_no_key, _missing_key, _key_of_another])
async def test_files_that_cannot_be_used_are_named_at_start(
    chains: Chains, spoil: Callable[[Chains], None]
) -> None:
    spoil(chains)

    with pytest.raises(SettingsError, match=f"{chains.server.key} cannot be used: "):
        await build(tls_setup(chains)).server.start()


@pytest.mark.parametrize("spoil", [_no_key, _missing_key, _key_of_another])
async def test_files_that_are_spoiled_later_leave_the_old_certificate_in_use(
    chains: Chains, spoil: Callable[[Chains], None]
) -> None:
    async with serving(tls_setup(chains)) as served:
        spoil(chains)
        async with tls_channel(served.address, chains.server_ca) as channel:
            assert await code_of(channel) is grpc.StatusCode.OK


def _replace(old: KeyPair, new: KeyPair) -> None:
    """Swap both files as a renewal does: written aside, then moved into place."""
    for path, source in ((old.key, new.key), (old.certificate, new.certificate)):
        aside = path.with_suffix(".new")
        shutil.copy(source, aside)
        aside.replace(path)
