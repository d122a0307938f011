"""Variables that have no effect beside the other settings, and say so at the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ratelimit_service.config.environment import Environment
from ratelimit_service.config.settings import StoreKind, StoreSettings

_ONLY_TLS: Final = (
    "REDIS_TLS_CACERT",
    "REDIS_TLS_CLIENT_CERT",
    "REDIS_TLS_CLIENT_KEY",
    "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION",
)
_ONLY_REDIS: Final = (
    "CACHE_KEY_PREFIX",
    "LOCAL_CACHE_SIZE_IN_BYTES",
    "REDIS_AUTH",
    "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION",
    "REDIS_POOL_SIZE",
    "REDIS_SENTINEL_AUTH",
    "REDIS_SOCKET_TYPE",
    "REDIS_TIMEOUT",
    "REDIS_TLS",
    "REDIS_TYPE",
    *_ONLY_TLS,
)
_SERVER_TLS: Final = (
    "GRPC_SERVER_TLS_CERT",
    "GRPC_SERVER_TLS_KEY",
    "GRPC_CLIENT_TLS_CACERT",
    "GRPC_CLIENT_TLS_SAN",
)
_RUNTIME_FOLDERS: Final = ("RUNTIME_SUBDIRECTORY", "RUNTIME_APPDIRECTORY", "RUNTIME_WATCH_ROOT")
_HEADER_NAMES: Final = ("LIMIT_LIMIT_HEADER", "LIMIT_REMAINING_HEADER", "LIMIT_RESET_HEADER")


@dataclass(frozen=True, slots=True)
class _Unused:
    """Variables without effect, and why, as ``has no effect`` goes on."""

    names: tuple[str, ...]
    reason: str


def unused_variables(store: StoreSettings, environment: Environment) -> tuple[str, ...]:
    """Name each variable that is set although the settings leave it nothing to do."""
    return tuple(
        f"{name} has no effect{unused.reason}"
        for unused in (*_of_the_store(store), *_of_the_service(environment))
        for name in unused.names
        if environment.text(name) is not None
    )


def _of_the_store(store: StoreSettings) -> Iterator[_Unused]:
    if store.kind is StoreKind.MEMORY:
        yield _Unused(
            _ONLY_REDIS, ": counters are kept in memory; name Redis by --store or REDIS_URL"
        )
        return
    if store.tls is None:
        yield _Unused(_ONLY_TLS, ": the store is reached without TLS; set REDIS_TLS=true")
    if store.kind is not StoreKind.SENTINEL:
        yield _Unused(("REDIS_SENTINEL_AUTH",), ": no sentinels are asked for the store")


def _of_the_service(environment: Environment) -> Iterator[_Unused]:
    if not environment.flag("GRPC_SERVER_USE_TLS"):
        yield _Unused(_SERVER_TLS, " without GRPC_SERVER_USE_TLS=true")
    if environment.text("GRPC_UDS") is not None:
        yield _Unused(("GRPC_HOST", "GRPC_PORT"), " beside GRPC_UDS")
    if environment.duration_s("GRPC_MAX_CONNECTION_AGE") is None:
        yield _Unused(("GRPC_MAX_CONNECTION_AGE_GRACE",), " without GRPC_MAX_CONNECTION_AGE")
    if environment.text("RUNTIME_ROOT") is None:
        yield _Unused(_RUNTIME_FOLDERS, " without RUNTIME_ROOT")
    if not environment.flag("LIMIT_RESPONSE_HEADERS_ENABLED"):
        yield _Unused(_HEADER_NAMES, " without LIMIT_RESPONSE_HEADERS_ENABLED=true")
