"""TLS to the store. The proxy speaks TLS; the server behind it need not be able to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ratelimit_service.config.settings import StoreSettings, StoreTls, TcpAddress
from ratelimit_service.errors import SettingsError, StoreUnavailableError
from ratelimit_service.store.redis.connect import open_link
from tests.store.redis.calls import add, at, linked, run
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.valkey import Standalone, redis_server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


def secured(address: TcpAddress, tls: StoreTls) -> StoreSettings:
    return replace(at(address), tls=tls)


async def test_a_trusted_server_is_used(
    standalone_server: Standalone, authority: Authority
) -> None:
    context = authority.server_context("127.0.0.1")
    async with (
        Proxy(standalone_server.address, context) as proxy,
        linked(secured(proxy.address, StoreTls(authority.certificate))) as link,
    ):
        await link.ping()
        assert await run(link, add("a"), add("a")) == [1, 2]


async def test_a_server_of_another_authority_is_refused(
    standalone_server: Standalone, authority: Authority, tmp_path: Path
) -> None:
    context = Authority(tmp_path / "theirs").server_context("127.0.0.1")
    async with (
        Proxy(standalone_server.address, context) as proxy,
        linked(secured(proxy.address, StoreTls(authority.certificate))) as link,
    ):
        (refused,) = await run(link, add("counter"))
    assert isinstance(refused, StoreUnavailableError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused)
    assert standalone_server.calls("evalsha") == 0


async def test_without_an_authority_of_its_own_this_machine_decides(
    standalone_server: Standalone, authority: Authority
) -> None:
    context = authority.server_context("127.0.0.1")
    async with (
        Proxy(standalone_server.address, context) as proxy,
        linked(secured(proxy.address, StoreTls())) as link,
    ):
        (refused,) = await run(link, add("counter"))
    assert isinstance(refused, StoreUnavailableError)


async def test_the_name_is_checked_unless_told_otherwise(
    standalone_server: Standalone, authority: Authority
) -> None:
    context = authority.server_context("elsewhere.example")
    async with Proxy(standalone_server.address, context) as proxy:
        strict = StoreTls(authority.certificate)
        async with linked(secured(proxy.address, strict)) as link:
            (refused,) = await run(link, add("counter"))
        assert isinstance(refused, StoreUnavailableError)
        lenient = replace(strict, check_hostname=False)
        async with linked(secured(proxy.address, lenient)) as link:
            assert await run(link, add("counter")) == [1]


async def test_without_the_name_the_authority_still_counts(
    standalone_server: Standalone, authority: Authority, tmp_path: Path
) -> None:
    context = Authority(tmp_path / "theirs").server_context("127.0.0.1")
    lenient = StoreTls(authority.certificate, check_hostname=False)
    async with (
        Proxy(standalone_server.address, context) as proxy,
        linked(secured(proxy.address, lenient)) as link,
    ):
        (refused,) = await run(link, add("counter"))
    assert isinstance(refused, StoreUnavailableError)


async def test_a_client_certificate_is_shown(
    standalone_server: Standalone, authority: Authority
) -> None:
    context = authority.server_context("127.0.0.1", client_ca=authority.certificate)
    ours = authority.issue("client@example.org")
    async with Proxy(standalone_server.address, context) as proxy:
        nameless = StoreTls(authority.certificate)
        async with linked(secured(proxy.address, nameless)) as link:
            (refused,) = await run(link, add("counter"))
        assert isinstance(refused, StoreUnavailableError)
        known = replace(nameless, certificate=ours.certificate, key=ours.key)
        async with linked(secured(proxy.address, known)) as link:
            assert await run(link, add("counter")) == [1]


async def test_a_server_without_tls_is_an_error(
    standalone_server: Standalone, authority: Authority
) -> None:
    settings = replace(
        secured(standalone_server.address, StoreTls(authority.certificate)), timeout_s=1
    )
    async with linked(settings) as link:
        (refused,) = await run(link, add("counter"))
    assert isinstance(refused, StoreUnavailableError)


@pytest.mark.parametrize(
    ("tls", "name"),
    [
        (StoreTls(ca=Path("missing.pem")), "REDIS_TLS_CACERT"),
        (StoreTls(certificate=Path("missing.pem"), key=Path("k")), "REDIS_TLS_CLIENT_CERT"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tls: StoreTls, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: missing.pem"):
        open_link(secured(TcpAddress("127.0.0.1", 1), tls))


@pytest.mark.skipif(redis_server() is None, reason="no redis-server on PATH")
async def test_a_server_that_speaks_tls_itself(authority: Authority) -> None:
    ours = authority.issue("127.0.0.1")
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-auth-clients", "yes"),
        *("--tls-ca-cert-file", str(authority.certificate)),
        *("--tls-cert-file", str(ours.certificate), "--tls-key-file", str(ours.key)),
    )
    with Standalone(*options, binary=redis_server() or "") as server:
        tls = StoreTls(authority.certificate, ours.certificate, ours.key)
        async with linked(secured(replace(server.address, port=port), tls)) as link:
            assert await run(link, add("counter")) == [1]
