"""Variables of the reference that this service does not act on, and says so."""

from __future__ import annotations

from typing import Final

from ratelimit_service.config.environment import Environment
from ratelimit_service.errors import SettingsError

_STATSD: Final = "StatsD is not sent; metrics are served at /metrics of the HTTP address"
_PROMETHEUS: Final = "metrics are always served at /metrics of the HTTP address"
_PER_SECOND: Final = "limits per second are counted in the same store as the others"
_MEMCACHE: Final = "there is no memcache store"
_PIPELINE: Final = "calls that wait for the store are sent together without this setting"
_POOL: Final = "a call waits for a free connection until its deadline"
_XDS: Final = "rules come from files"
_TRACING: Final = "tracing is set by the OTEL_* variables"

IGNORED: Final = {
    "PROTO": "addresses say whether they are TCP or Unix sockets",
    "EXPIRATION_JITTER_MAX_SECONDS": "counters expire after their windows, without jitter",
    "DESCRIPTOR_KEY_CONFIG_PATH": "keys of descriptors are used as they are",
    "DISABLE_STATS": _PROMETHEUS,
    "USE_PROMETHEUS": _PROMETHEUS,
    "PROMETHEUS_": _PROMETHEUS,
    "USE_STATSD": _STATSD,
    "USE_DOG_STATSD": _STATSD,
    "USE_DOG_STATSD_MOGRIFIERS": _STATSD,
    "STATSD_": _STATSD,
    "STATS_FLUSH_INTERVAL": _STATSD,
    "EXTRA_TAGS": _STATSD,
    "REDIS_PERSECOND": _PER_SECOND,
    "REDIS_PERSECOND_": _PER_SECOND,
    "REDIS_PIPELINE_": _PIPELINE,
    "REDIS_USE_EXPLICIT_PIPELINE": _PIPELINE,
    "REDIS_POOL_ON_EMPTY_": _POOL,
    "MEMCACHE_": _MEMCACHE,
    "CONFIG_GRPC_XDS_": _XDS,
    "XDS_CLIENT_": _XDS,
    "TRACING_SERVICE_": _TRACING,
    "TRACING_EXPORTER_PROTOCOL": _TRACING,
    "TRACING_SAMPLING_RATE": _TRACING,
}
"""Names, or beginnings of names that end with `_`, and what holds instead."""


def refuse_other_systems(environment: Environment) -> None:
    """Raise SettingsError where the reference would count or read rules elsewhere."""
    backend = environment.text("BACKEND_TYPE")
    if backend is not None and backend.lower() != "redis":
        raise SettingsError(
            "BACKEND_TYPE", f"`{backend}` is not supported; write redis, or leave it out"
        )
    config_type = environment.text("CONFIG_TYPE")
    if config_type is not None and config_type.upper() != "FILE":
        raise SettingsError(
            "CONFIG_TYPE", f"`{config_type}` is not supported; write FILE, or leave it out"
        )


def ignored_variables(environment: Environment) -> tuple[str, ...]:
    """Name each variable of the reference that is set without effect, and why."""
    return tuple(
        f"{name} has no effect: {reason}"
        for name in sorted(environment.variables)
        for known, reason in IGNORED.items()
        if environment.text(name) is not None
        and (name == known or (known.endswith("_") and name.startswith(known)))
    )
