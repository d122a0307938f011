from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.settings import (
    HeaderSettings,
    HealthSettings,
    LogSettings,
    RulesSettings,
    ServerTls,
    Settings,
    StoreKind,
    StoreTls,
    TcpAddress,
    UnixAddress,
)
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import SettingsError
from ratelimit_service.resources import example_rules


def settings(environ: Mapping[str, str] | None = None, flags: Flags | None = None) -> Settings:
    return load_settings(flags or Flags(), environ or {})


def test_without_anything_the_defaults_hold() -> None:
    assert settings() == Settings(RulesSettings(example_rules()))


def test_variables_that_are_empty_count_as_absent() -> None:
    names = ("HOST", "PORT", "REDIS_URL", "REDIS_TLS", "REDIS_TIMEOUT", "NEAR_LIMIT_RATIO")

    assert settings(dict.fromkeys(names, "")) == settings()


def test_addresses() -> None:
    found = settings(
        {"GRPC_HOST": "::", "GRPC_PORT": "1", "HOST": "h", "PORT": "2", "DEBUG_PORT": "3"}
    )

    assert found.grpc.address == TcpAddress("::", 1)
    assert found.http_address == TcpAddress("h", 2)
    assert found.admin_address == TcpAddress("127.0.0.1", 3)


def test_a_unix_socket_beats_host_and_port() -> None:
    found = settings({"GRPC_UDS": "/run/rl.sock", "GRPC_PORT": "1"})

    assert found.grpc.address == UnixAddress(Path("/run/rl.sock"))


def test_flags_beat_the_environment() -> None:
    environ = {
        "GRPC_UDS": "/run/rl.sock",
        "PORT": "1",
        "DEBUG_PORT": "1",
        "REDIS_URL": "redis://elsewhere",
        "REDIS_TYPE": "cluster",
        "RUNTIME_ROOT": "/elsewhere",
    }
    flags = Flags(
        config="/rules",
        store="memory://",
        grpc_address="[::1]:0",
        http_address="unix:/run/http.sock",
        admin_address="localhost:9",
    )

    found = settings(environ, flags)

    assert found.grpc.address == TcpAddress("::1", 0)
    assert found.http_address == UnixAddress(Path("/run/http.sock"))
    assert found.admin_address == TcpAddress("localhost", 9)
    assert found.store.kind is StoreKind.MEMORY
    assert found.rules.path == Path("/rules")


@pytest.mark.parametrize(
    ("environ", "path", "with_siblings"),
    [
        ({"RUNTIME_ROOT": "/data"}, "/data/config", True),
        ({"RUNTIME_ROOT": "/data", "RUNTIME_SUBDIRECTORY": "rl"}, "/data/rl/config", True),
        (
            {"RUNTIME_ROOT": "/data", "RUNTIME_APPDIRECTORY": "x", "RUNTIME_WATCH_ROOT": "false"},
            "/data/x",
            False,
        ),
    ],
)
def test_rules_are_found_where_the_reference_finds_them(
    environ: dict[str, str], path: str, *, with_siblings: bool
) -> None:
    rules = settings(environ).rules

    assert (rules.path, rules.with_siblings) == (Path(path), with_siblings)


def test_rules_files_may_be_merged_and_dotfiles_left_out() -> None:
    rules = settings({"MERGE_DOMAIN_CONFIG": "1", "RUNTIME_IGNOREDOTFILES": "T"}).rules

    assert rules == RulesSettings(example_rules(), merge_domains=True, ignore_dotfiles=True)


def test_behaviour() -> None:
    found = settings(
        {
            "SHADOW_MODE": "true",
            "QUOTA_MODE": "TRUE",
            "NEAR_LIMIT_RATIO": "0.5",
            "STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT": "t",
            "RESPONSE_DYNAMIC_METADATA": "1",
            "FORCE_START_WITHOUT_INITIAL_CONFIG": "True",
            "HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED": "true",
            "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION": "true",
            "TRACING_ENABLED": "true",
            "LOG_LEVEL": "Warn",
            "LOG_FORMAT": "JSON",
            "GRPC_MAX_CONNECTION_AGE": "1h30m",
            "GRPC_MAX_CONNECTION_AGE_GRACE": "0",
        }
    )

    assert found.modes == Modes(shadow=True, quota=True, near_limit_ratio=0.5)
    assert found.counting is Counting.ONLY_OVER
    assert found.dynamic_metadata
    assert found.start_without_rules
    assert found.health == HealthSettings(needs_rules=True, needs_store_connection=True)
    assert found.tracing
    assert found.logs == LogSettings("WARNING", json=True)
    assert found.grpc.max_connection_age_s == 5400
    assert found.grpc.max_connection_age_grace_s is None


def test_headers_are_named_where_they_are_enabled() -> None:
    enabled = {"LIMIT_RESPONSE_HEADERS_ENABLED": "true"}
    names = {
        "LIMIT_LIMIT_HEADER": "x-limit",
        "LIMIT_REMAINING_HEADER": "x-left",
        "LIMIT_RESET_HEADER": "x-reset",
    }

    assert settings(names).headers is None
    assert settings(enabled).headers == HeaderSettings(
        limit="RateLimit-Limit", remaining="RateLimit-Remaining", reset="RateLimit-Reset"
    )
    assert settings({**names, **enabled}).headers == HeaderSettings("x-limit", "x-left", "x-reset")


def test_server_tls(tmp_path: Path) -> None:
    pem = tmp_path / "any.pem"
    pem.touch()
    environ = {
        "GRPC_SERVER_USE_TLS": "true",
        "GRPC_SERVER_TLS_CERT": str(pem),
        "GRPC_SERVER_TLS_KEY": str(pem),
        "GRPC_CLIENT_TLS_CACERT": str(pem),
        "GRPC_CLIENT_TLS_SAN": "gateway.test",
    }

    assert settings(environ).grpc.tls == ServerTls(pem, pem, pem, ("gateway.test",))


def test_store_details_come_from_the_environment(tmp_path: Path) -> None:
    pem = tmp_path / "any.pem"
    pem.touch()
    environ = {
        "REDIS_URL": "redis.test:7000",
        "REDIS_AUTH": "app:s3cret",
        "REDIS_SENTINEL_AUTH": "other",
        "REDIS_POOL_SIZE": "3",
        "REDIS_TIMEOUT": "150us",
        "CACHE_KEY_PREFIX": "rl:",
        "LOCAL_CACHE_SIZE_IN_BYTES": "1048576",
        "REDIS_TLS": "true",
        "REDIS_TLS_CACERT": str(pem),
        "REDIS_TLS_CLIENT_CERT": str(pem),
        "REDIS_TLS_CLIENT_KEY": str(pem),
        "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION": "true",
    }

    store = settings(environ).store

    assert store.addresses == (TcpAddress("redis.test", 7000),)
    assert store.credentials is not None
    assert (store.credentials.username, store.credentials.password) == ("app", "s3cret")
    assert store.sentinel_credentials is not None
    assert store.sentinel_credentials.password == "other"
    assert (store.pool_size, store.key_prefix) == (3, "rl:")
    assert store.timeout_s == pytest.approx(0.00015)
    assert store.near_cache_bytes == 1048576
    assert store.tls == StoreTls(pem, pem, pem, check_hostname=False)
    assert "s3cret" not in repr(store)


def test_the_environment_completes_the_store_flag() -> None:
    store = settings({"REDIS_AUTH": "pw"}, Flags(store="redis://h")).store

    assert store.credentials is not None
    assert store.credentials.password == "pw"


WRONG = {
    "PORT": ("99999", "`99999` is not a whole number from 0 to 65535; write for example 8080"),
    "GRPC_PORT": ("x", "`x` is not a whole number"),
    "DEBUG_PORT": ("-1", "`-1` is not a whole number"),
    "REDIS_POOL_SIZE": ("0", "`0` is not a whole number from 1 to 10000; write for example 10"),
    "LOCAL_CACHE_SIZE_IN_BYTES": ("1MB", "`1MB` is not a whole number"),
    "REDIS_TIMEOUT": ("10", "`10` is not a duration; write 150us, 10ms, 10s, 1m30s, 24h"),
    "GRPC_MAX_CONNECTION_AGE": ("-1s", "`-1s` is not a duration"),
    "GRPC_MAX_CONNECTION_AGE_GRACE": ("1d", "`1d` is not a duration"),
    "SHADOW_MODE": ("yes", "`yes` is not a boolean; write true or false"),
    "NEAR_LIMIT_RATIO": ("1.5", "`1.5` is not a number above 0 and up to 1; write 0.8"),
    "LOG_LEVEL": ("loud", "`loud` is not known; write trace or debug or info"),
    "LOG_FORMAT": ("xml", "`xml` is not known; write text or json"),
    "LIMIT_LIMIT_HEADER": ("a b", "`a b` is no header name"),
    "BACKEND_TYPE": ("memcache", "`memcache` is not supported; write redis"),
    "CONFIG_TYPE": ("GRPC_XDS_SOTW", "`GRPC_XDS_SOTW` is not supported; write FILE"),
    "REDIS_TYPE": ("double", "`double` is not known; write single or sentinel or cluster"),
    "REDIS_SOCKET_TYPE": ("udp", "`udp` is not known; write tcp or"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_with_a_right_one(name: str) -> None:
    value, reason = WRONG[name]

    with pytest.raises(SettingsError) as raised:
        settings({name: value})

    assert str(raised.value).startswith(f"{name}: {reason}")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"REDIS_URL": "h", "REDIS_TIMEOUT": "0s"}, "REDIS_TIMEOUT: must be longer than 0"),
        ({"GRPC_SERVER_USE_TLS": "true"}, "GRPC_SERVER_TLS_CERT: is absent, but"),
        (
            {"GRPC_SERVER_USE_TLS": "true", "GRPC_SERVER_TLS_CERT": "/gone"},
            "GRPC_SERVER_TLS_CERT: /gone cannot be read: No such file",
        ),
        (
            {"GRPC_SERVER_USE_TLS": "true", "GRPC_CLIENT_TLS_SAN": "x"},
            "GRPC_CLIENT_TLS_SAN: needs GRPC_CLIENT_TLS_CACERT",
        ),
        (
            {"REDIS_URL": "h", "REDIS_TLS": "true", "REDIS_TLS_CACERT": "/gone"},
            "REDIS_TLS_CACERT: /gone cannot be read",
        ),
        (
            {"REDIS_URL": "h", "REDIS_TLS": "true", "REDIS_TLS_CLIENT_CERT": "/gone"},
            "REDIS_TLS_CLIENT_KEY: is absent",
        ),
        ({"BACKEND_TYPE": "redis"}, "BACKEND_TYPE: asks for Redis, but REDIS_URL is not set"),
        ({"REDIS_URL": "h", "REDIS_AUTH": "user:"}, "REDIS_AUTH: the password is empty"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    environ: dict[str, str], expected: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(environ)

    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize(
    "address", ["", "8081", "host", "h:70000", "::1:80", "h:x", "unix:", "[::1]"]
)
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=r"--grpc-address: .* host:port, \[::1\]:port or unix:"):
        settings(flags=Flags(grpc_address=address))


def test_what_has_no_effect_is_said() -> None:
    environ = {
        "STATSD_HOST": "statsd.test",
        "USE_PROMETHEUS": "true",
        "REDIS_PERSECOND": "true",
        "REDIS_PERSECOND_AUTH": "s3cret",
        "CONFIG_GRPC_XDS_NODE_ID": "x",
        "MEMCACHE_HOST_PORT": "",
        "RUNTIME_SUBDIRECTORY": "x",
        "REDIS_AUTH": "s3cret",
        "GRPC_SERVER_TLS_CERT": "/gone",
        "HOME": "/root",
    }

    warnings = settings(environ).warnings

    assert [warning.split(" ")[0] for warning in warnings] == [
        "CONFIG_GRPC_XDS_NODE_ID",
        "REDIS_PERSECOND",
        "REDIS_PERSECOND_AUTH",
        "STATSD_HOST",
        "USE_PROMETHEUS",
        "REDIS_AUTH",
        "GRPC_SERVER_TLS_CERT",
        "RUNTIME_SUBDIRECTORY",
    ]
    assert all("has no effect" in warning for warning in warnings)
    assert not any("s3cret" in warning for warning in warnings)


UNUSED = {
    "REDIS_TLS_CACERT": ({"REDIS_URL": "h"}, ": the store is reached without TLS; set REDIS_TLS"),
    "REDIS_SENTINEL_AUTH": ({"REDIS_URL": "h"}, ": no sentinels are asked for the store"),
    "CACHE_KEY_PREFIX": ({}, ": counters are kept in memory; name Redis by --store or REDIS_URL"),
    "LOCAL_CACHE_SIZE_IN_BYTES": ({}, ": counters are kept in memory"),
    "REDIS_POOL_SIZE": ({}, ": counters are kept in memory"),
    "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION": ({}, ": counters are kept in memory"),
    "GRPC_PORT": ({"GRPC_UDS": "/run/rl.sock"}, " beside GRPC_UDS"),
    "GRPC_MAX_CONNECTION_AGE_GRACE": ({}, " without GRPC_MAX_CONNECTION_AGE"),
    "RUNTIME_WATCH_ROOT": ({}, " without RUNTIME_ROOT"),
    "LIMIT_REMAINING_HEADER": ({}, " without LIMIT_RESPONSE_HEADERS_ENABLED=true"),
}
USABLE = {"RUNTIME_WATCH_ROOT": "1", "GRPC_MAX_CONNECTION_AGE_GRACE": "1s"}


@pytest.mark.parametrize("name", UNUSED)
def test_what_other_settings_leave_nothing_to_do_is_said(name: str) -> None:
    others, reason = UNUSED[name]

    (warning,) = settings({name: USABLE.get(name, "1"), **others}).warnings

    assert warning.startswith(f"{name} has no effect{reason}")


def test_what_has_an_effect_is_not_warned_of() -> None:
    environ = {
        "REDIS_URL": "mymaster,h:1",
        "REDIS_TYPE": "sentinel",
        "REDIS_SENTINEL_AUTH": "pw",
        "REDIS_POOL_SIZE": "1",
        "CACHE_KEY_PREFIX": "x",
        "LOCAL_CACHE_SIZE_IN_BYTES": "1",
        "GRPC_PORT": "1",
        "GRPC_MAX_CONNECTION_AGE": "1h",
        "GRPC_MAX_CONNECTION_AGE_GRACE": "1s",
        "RUNTIME_ROOT": "/x",
        "RUNTIME_WATCH_ROOT": "1",
        "LIMIT_RESPONSE_HEADERS_ENABLED": "1",
        "LIMIT_REMAINING_HEADER": "x",
    }

    assert settings(environ).warnings == ()
