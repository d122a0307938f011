"""How to reach the store, from `--store` and the REDIS_* variables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from ratelimit_service.config.environment import Environment
from ratelimit_service.config.settings import (
    Credentials,
    StoreKind,
    StoreSettings,
    StoreTls,
    UnixAddress,
)
from ratelimit_service.config.store_url import (
    StoreTarget,
    parse_credentials,
    parse_host_list,
    parse_store_url,
)
from ratelimit_service.config.values import positive_duration_s
from ratelimit_service.errors import SettingsError

FLAG: Final = "--store"

_KINDS: Final = {
    "single": StoreKind.STANDALONE,
    "sentinel": StoreKind.SENTINEL,
    "cluster": StoreKind.CLUSTER,
}
_TCP_TYPES: Final = ("tcp", "tcp4", "tcp6")


def store_settings(flag: str | None, environment: Environment) -> StoreSettings:
    """Find the store: the flag, else REDIS_URL, else memory.

    What a URL leaves open (credentials, TLS, sizes) the environment says, also beside the flag.
    """
    target = _target(flag, environment)
    defaults = StoreSettings()
    timeout = environment.text("REDIS_TIMEOUT")
    return StoreSettings(
        kind=target.kind,
        addresses=target.addresses,
        database=target.database,
        sentinel_service=target.sentinel_service,
        credentials=target.credentials or _credentials(environment, "REDIS_AUTH"),
        sentinel_credentials=_credentials(environment, "REDIS_SENTINEL_AUTH"),
        tls=_tls(environment, needed=target.tls),
        pool_size=environment.integer("REDIS_POOL_SIZE", defaults.pool_size, range(1, 10_001)),
        timeout_s=positive_duration_s("REDIS_TIMEOUT", timeout) if timeout else defaults.timeout_s,
        key_prefix=environment.text("CACHE_KEY_PREFIX") or defaults.key_prefix,
        near_cache_bytes=environment.integer("LOCAL_CACHE_SIZE_IN_BYTES", 0, range(2**40)),
    )


def _target(flag: str | None, environment: Environment) -> StoreTarget:
    if flag is not None:
        return parse_store_url(FLAG, flag)
    written = environment.text("REDIS_URL")
    kind = _KINDS[environment.choice("REDIS_TYPE", "single", tuple(_KINDS))]
    socket_type = environment.choice(
        "REDIS_SOCKET_TYPE", _socket_type(written), (*_TCP_TYPES, "unix")
    )
    if written is None:
        _refuse_missing_url(environment)
        return StoreTarget(StoreKind.MEMORY)
    if "://" in written:
        return _of_kind(parse_store_url("REDIS_URL", written), kind, environment)
    if socket_type in _TCP_TYPES:
        return parse_host_list("REDIS_URL", written, kind)
    if kind is not StoreKind.STANDALONE:
        raise SettingsError(
            "REDIS_SOCKET_TYPE", "a Unix socket leads to a single server; write tcp"
        )
    return StoreTarget(kind, (UnixAddress(Path(written)),))


def _socket_type(written: str | None) -> str:
    """Tell the kind of socket where REDIS_SOCKET_TYPE is absent: a path is a Unix socket."""
    return "unix" if written is not None and written.startswith("/") else "tcp"


def _refuse_missing_url(environment: Environment) -> None:
    """Do not count in memory where Redis is asked for by name."""
    if environment.text("BACKEND_TYPE") is not None:
        raise SettingsError(
            "BACKEND_TYPE", "asks for Redis, but REDIS_URL is not set; write REDIS_URL=host:6379"
        )


def _of_kind(target: StoreTarget, kind: StoreKind, environment: Environment) -> StoreTarget:
    """Bring a URL and REDIS_TYPE together, or refuse where they contradict each other."""
    if environment.text("REDIS_TYPE") is None or kind is target.kind:
        return target
    if kind is StoreKind.CLUSTER and target.kind is StoreKind.STANDALONE and not target.database:
        return replace(target, kind=kind)
    raise SettingsError(
        "REDIS_TYPE",
        f"says {kind.value}, but REDIS_URL names a {target.kind.value} store; leave REDIS_TYPE out",
    )


def _credentials(environment: Environment, name: str) -> Credentials | None:
    text = environment.text(name)
    return None if text is None else parse_credentials(name, text)


def _tls(environment: Environment, *, needed: bool) -> StoreTls | None:
    wanted = environment.flag("REDIS_TLS") or needed
    certificate = environment.text("REDIS_TLS_CLIENT_CERT")
    key = environment.text("REDIS_TLS_CLIENT_KEY")
    skip = environment.flag("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION")
    if not wanted:
        return None
    if (certificate is None) != (key is None):
        missing = "REDIS_TLS_CLIENT_CERT" if certificate is None else "REDIS_TLS_CLIENT_KEY"
        raise SettingsError(missing, "is absent; a client's certificate and key come together")
    return StoreTls(
        ca=environment.file("REDIS_TLS_CACERT"),
        certificate=environment.file("REDIS_TLS_CLIENT_CERT"),
        key=environment.file("REDIS_TLS_CLIENT_KEY"),
        check_hostname=not skip,
    )
