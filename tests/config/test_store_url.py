from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.settings import (
    Address,
    StoreKind,
    StoreSettings,
    TcpAddress,
    UnixAddress,
)
from ratelimit_service.errors import SettingsError


def from_flag(url: str) -> StoreSettings:
    return load_settings(Flags(store=url), {}).store


def from_environment(**environ: str) -> StoreSettings:
    return load_settings(Flags(), environ).store


ONE = (TcpAddress("h", 6379),)
SENTINELS = (TcpAddress("h1", 1), TcpAddress("h2", 26379))
NODES = (TcpAddress("h1", 1), TcpAddress("::1", 2))


@pytest.mark.parametrize(
    ("url", "kind", "addresses", "database", "service", "tls"),
    [
        ("memory://", StoreKind.MEMORY, (), 0, "", False),
        ("redis://h", StoreKind.STANDALONE, ONE, 0, "", False),
        ("redis://h:6379/", StoreKind.STANDALONE, ONE, 0, "", False),
        ("REDIS://h:6379/3", StoreKind.STANDALONE, ONE, 3, "", False),
        ("rediss://h/1", StoreKind.STANDALONE, ONE, 1, "", True),
        ("redis://[::1]:7", StoreKind.STANDALONE, (TcpAddress("::1", 7),), 0, "", False),
        ("redis+sentinel://h1:1,h2/name", StoreKind.SENTINEL, SENTINELS, 0, "name", False),
        ("redis+sentinel://h1:1,h2/name/4", StoreKind.SENTINEL, SENTINELS, 4, "name", False),
        ("redis+cluster://h1:1,[::1]:2", StoreKind.CLUSTER, NODES, 0, "", False),
        ("rediss+cluster://h1:1,[::1]:2", StoreKind.CLUSTER, NODES, 0, "", True),
        (
            "unix:///run/r.sock",
            StoreKind.STANDALONE,
            (UnixAddress(Path("/run/r.sock")),),
            0,
            "",
            False,
        ),
        ("unix://r.sock", StoreKind.STANDALONE, (UnixAddress(Path("r.sock")),), 0, "", False),
    ],
)
def test_forms_of_the_flag(
    url: str,
    kind: StoreKind,
    addresses: tuple[Address, ...],
    database: int,
    service: str,
    *,
    tls: bool,
) -> None:
    store = from_flag(url)

    assert store.kind is kind
    assert store.addresses == addresses
    assert store.database == database
    assert store.sentinel_service == service
    assert (store.tls is not None) is tls


@pytest.mark.parametrize(
    ("url", "username", "password"),
    [
        ("redis://app:pw@h", "app", "pw"),
        ("redis://:pw@h", None, "pw"),
        ("redis://app:p%40%2F%3A@h", "app", "p@/:"),
        ("redis://app:a@b@h", "app", "a@b"),
        ("unix://app:pw@/run/r.sock", "app", "pw"),
    ],
)
def test_credentials_in_a_url(url: str, username: str | None, password: str) -> None:
    credentials = from_flag(url).credentials

    assert credentials is not None
    assert (credentials.username, credentials.password) == (username, password)


@pytest.mark.parametrize(
    ("environ", "kind", "addresses"),
    [
        ({"REDIS_URL": "h:6379"}, StoreKind.STANDALONE, ONE),
        ({"REDIS_URL": "h:6379", "REDIS_SOCKET_TYPE": "TCP"}, StoreKind.STANDALONE, ONE),
        ({"REDIS_URL": "redis://h:6379", "REDIS_TYPE": "single"}, StoreKind.STANDALONE, ONE),
        (
            {"REDIS_URL": "/r.sock", "REDIS_SOCKET_TYPE": "unix"},
            StoreKind.STANDALONE,
            (UnixAddress(Path("/r.sock")),),
        ),
        ({"REDIS_URL": "/r.sock"}, StoreKind.STANDALONE, (UnixAddress(Path("/r.sock")),)),
        ({"REDIS_URL": "m,h1:1,h2:26379", "REDIS_TYPE": "SENTINEL"}, StoreKind.SENTINEL, SENTINELS),
        ({"REDIS_URL": "h1:1,[::1]:2", "REDIS_TYPE": "cluster"}, StoreKind.CLUSTER, NODES),
        ({"REDIS_URL": "redis://h", "REDIS_TYPE": "CLUSTER"}, StoreKind.CLUSTER, ONE),
        ({"REDIS_URL": "redis+cluster://h"}, StoreKind.CLUSTER, ONE),
    ],
)
def test_forms_of_the_environment(
    environ: dict[str, str], kind: StoreKind, addresses: tuple[Address, ...]
) -> None:
    store = from_environment(**environ)

    assert (store.kind, store.addresses) == (kind, addresses)
    assert store.sentinel_service == ("m" if kind is StoreKind.SENTINEL else "")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"REDIS_URL": "h1:1,h2:2"}, "REDIS_URL"),
        ({"REDIS_URL": "h:0"}, "REDIS_URL"),
        ({"REDIS_URL": "h:65536"}, "REDIS_URL"),
        ({"REDIS_URL": "h1:1,h2:2", "REDIS_TYPE": "sentinel"}, "REDIS_URL"),
        ({"REDIS_URL": "m", "REDIS_TYPE": "sentinel"}, "REDIS_URL"),
        ({"REDIS_URL": "h1:1,,h2:2", "REDIS_TYPE": "cluster"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://h", "REDIS_TYPE": "sentinel"}, "REDIS_TYPE"),
        ({"REDIS_URL": "redis+cluster://h", "REDIS_TYPE": "single"}, "REDIS_TYPE"),
        ({"REDIS_URL": "/r.sock", "REDIS_TYPE": "cluster"}, "REDIS_SOCKET_TYPE"),
    ],
)
def test_contradictions_in_the_environment_are_refused(environ: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment(**environ)

    assert raised.value.name == name


@pytest.mark.parametrize(
    "url",
    [
        "h:6379",
        "http://h",
        "memory://h",
        "redis://",
        "redis://h:x",
        "redis://h:6379/x",
        "redis://h1,h2",
        "redis://h?db=1",
        "redis://user@h",
        "redis://user:@h",
        "redis+sentinel://h1:1",
        "redis+cluster://h1:1/2",
        "unix://",
    ],
)
def test_a_wrong_url_is_refused_with_a_right_one(url: str) -> None:
    with pytest.raises(SettingsError, match=r"--store: .*(write|need|end|known)"):
        from_flag(url)


def told(url: str) -> str:
    """Return all that logs could show of a URL."""
    try:
        return repr(from_flag(url))
    except SettingsError as error:
        return str(error)


@given(
    st.sampled_from(["redis", "rediss", "redis+sentinel", "redis+cluster", "unix", "http", "x"]),
    st.text(alphabet="/@:?#,[]%. ", max_size=6),
    st.text(alphabet="/@:?#,[]%. ", max_size=6),
)
def test_no_message_repeats_a_password(scheme: str, before: str, after: str) -> None:
    assert "hunter2" not in told(f"{scheme}://u:{before}hunter2{after}@h:6379/0")
