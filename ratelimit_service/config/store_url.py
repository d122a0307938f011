"""Where the store is, from a URL or from the reference's shorter forms.

No message repeats any part of what was written: a password with an unescaped
character can end up in every part of a URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from ratelimit_service.config.addresses import split_host_port
from ratelimit_service.config.settings import (
    Address,
    Credentials,
    StoreKind,
    TcpAddress,
    UnixAddress,
)
from ratelimit_service.errors import SettingsError

FORMS: Final = (
    "memory://, redis://host:port/db, rediss://host:port/db, redis+sentinel://h1:p,h2:p/name, "
    "redis+cluster://h1:p,h2:p or unix:///path"
)
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26_379
_MAX_DATABASE: Final = 2**31 - 1

_SCHEMES: Final = {
    "redis": (StoreKind.STANDALONE, False),
    "rediss": (StoreKind.STANDALONE, True),
    "redis+sentinel": (StoreKind.SENTINEL, False),
    "rediss+sentinel": (StoreKind.SENTINEL, True),
    "redis+cluster": (StoreKind.CLUSTER, False),
    "rediss+cluster": (StoreKind.CLUSTER, True),
}


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """What a URL says of the store; the rest is said by other settings."""

    kind: StoreKind
    addresses: tuple[Address, ...] = ()
    database: int = 0
    sentinel_service: str = ""
    credentials: Credentials | None = None
    tls: bool = False


@dataclass(frozen=True, slots=True)
class _Parts:
    """A URL, taken apart: what stands before the hosts, the hosts, and what follows them."""

    scheme: str
    credentials: Credentials | None
    hosts: str
    path: str


def parse_store_url(name: str, url: str) -> StoreTarget:
    """Read one of the forms of FORMS. Raises SettingsError under the given name."""
    parts = _split(name, url)
    if parts.scheme == "memory":
        if parts.hosts or parts.path:
            raise SettingsError(name, "the memory store has no address; write memory://")
        return StoreTarget(StoreKind.MEMORY)
    if parts.scheme == "unix":
        return _unix(name, parts)
    if parts.scheme not in _SCHEMES:
        raise SettingsError(name, f"unknown kind of store; write {FORMS}")
    kind, tls = _SCHEMES[parts.scheme]
    addresses = _addresses(name, parts.hosts, kind)
    service, database = (
        _sentinel_path(name, parts.path)
        if kind is StoreKind.SENTINEL
        else (
            "",
            _database(name, parts.path, kind),
        )
    )
    return StoreTarget(kind, addresses, database, service, parts.credentials, tls)


def parse_host_list(name: str, text: str, kind: StoreKind) -> StoreTarget:
    """Read the reference's forms: host:port; master,host:port,...; host:port,host:port."""
    if kind is StoreKind.SENTINEL:
        service, _, hosts = text.partition(",")
        if ":" in service or not service or not hosts:
            raise SettingsError(name, "write mymaster,host1:26379,host2:26379")
        return StoreTarget(kind, _addresses(name, hosts, kind), sentinel_service=service)
    return StoreTarget(kind, _addresses(name, text, kind))


def parse_credentials(name: str, text: str) -> Credentials:
    """Read `password` or `user:password`."""
    username, colon, password = text.partition(":")
    if not colon:
        return Credentials(password=text)
    if not password:
        raise SettingsError(name, "the password is empty; write password or user:password")
    return Credentials(password=password, username=username or None)


def _split(name: str, url: str) -> _Parts:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise SettingsError(name, f"not a URL; write {FORMS}")
    if "?" in rest or "#" in rest:
        raise SettingsError(
            name, "options after ? or # are not known; in passwords write %3F for ? and %23 for #"
        )
    before, at, after = rest.rpartition("@")
    credentials = _url_credentials(name, before) if at else None
    hosts, slash, path = after.partition("/")
    return _Parts(scheme.lower(), credentials, hosts, f"{slash}{path}")


def _url_credentials(name: str, text: str) -> Credentials:
    username, colon, password = text.partition(":")
    if not colon or not password:
        raise SettingsError(name, "write user:password@ or :password@ before the host")
    return Credentials(password=unquote(password), username=unquote(username) or None)


def _unix(name: str, parts: _Parts) -> StoreTarget:
    path = unquote(f"{parts.hosts}{parts.path}")
    if not path:
        raise SettingsError(name, "names no socket; write unix:///run/redis.sock")
    address = UnixAddress(Path(path))
    return StoreTarget(StoreKind.STANDALONE, (address,), credentials=parts.credentials)


def _addresses(name: str, hosts: str, kind: StoreKind) -> tuple[TcpAddress, ...]:
    default_port = _SENTINEL_PORT if kind is StoreKind.SENTINEL else _PORT
    found: list[TcpAddress] = []
    for part in hosts.split(","):
        address = split_host_port(part.strip(), default_port=default_port)
        if address is None:
            raise SettingsError(
                name,
                f"a host or port is wrong; write host:{default_port}, with ports from 1 to 65535 "
                "(in a URL's password, %-escape its special characters)",
            )
        found.append(address)
    if kind is StoreKind.STANDALONE and len(found) > 1:
        raise SettingsError(
            name, "several hosts need redis+cluster:// or redis+sentinel://, or REDIS_TYPE"
        )
    return tuple(found)


def _sentinel_path(name: str, path: str) -> tuple[str, int]:
    service, _, database = path.removeprefix("/").partition("/")
    if not service:
        raise SettingsError(
            name, "names no service; write redis+sentinel://host1:26379,host2:26379/mymaster"
        )
    return unquote(service), _database(name, database, StoreKind.SENTINEL)


def _database(name: str, path: str, kind: StoreKind) -> int:
    text = path.removeprefix("/")
    if not text:
        return 0
    if kind is StoreKind.CLUSTER:
        raise SettingsError(name, "a cluster has no databases; end the URL after the hosts")
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_DATABASE):
        raise SettingsError(name, "the database is no number; write for example /0")
    return int(text)
