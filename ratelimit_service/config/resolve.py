"""From flags and environment to the settings of the service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ratelimit_service.config.addresses import MAX_PORT, parse_address
from ratelimit_service.config.environment import Environment
from ratelimit_service.config.flags import Flags
from ratelimit_service.config.settings import (
    DEFAULT_ADMIN_ADDRESS,
    DEFAULT_DRAIN_DELAY_S,
    DEFAULT_GRPC_ADDRESS,
    DEFAULT_HTTP_ADDRESS,
    Address,
    GrpcSettings,
    HeaderSettings,
    HealthSettings,
    LogSettings,
    RulesSettings,
    ServerTls,
    Settings,
    TcpAddress,
    UnixAddress,
)
from ratelimit_service.config.store_settings import store_settings
from ratelimit_service.config.unsupported import ignored_variables, refuse_other_systems
from ratelimit_service.config.unused import unused_variables
from ratelimit_service.config.values import duration_s, header_name, ratio
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import SettingsError
from ratelimit_service.resources import example_rules

_LEVELS: Final = {
    "trace": "DEBUG",
    "debug": "DEBUG",
    "info": "INFO",
    "warn": "WARNING",
    "warning": "WARNING",
    "error": "ERROR",
    "fatal": "CRITICAL",
    "panic": "CRITICAL",
}


def load_settings(flags: Flags, environ: Mapping[str, str]) -> Settings:
    """Read all settings; a flag beats the environment, and both beat the defaults.

    Raises SettingsError, which names the flag or variable and shows a right value, for
    the first that cannot be used.
    """
    environment = Environment(environ)
    refuse_other_systems(environment)
    store = store_settings(flags.store, environment)
    stop_when_over = environment.flag("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT")
    return Settings(
        rules=rules_settings(flags.config, environ),
        grpc=_grpc(flags, environment),
        http_address=_http_address(flags, environment),
        admin_address=_admin_address(flags, environment),
        store=store,
        modes=_modes(environment),
        counting=Counting.ONLY_OVER if stop_when_over else Counting.EVERY,
        headers=_headers(environment),
        dynamic_metadata=environment.flag("RESPONSE_DYNAMIC_METADATA"),
        start_without_rules=environment.flag("FORCE_START_WITHOUT_INITIAL_CONFIG"),
        health=_health(environment),
        logs=_logs(environment),
        tracing=environment.flag("TRACING_ENABLED"),
        drain_delay_s=_drain_delay_s(environment),
        warnings=(*ignored_variables(environment), *unused_variables(store, environment)),
    )


def rules_settings(config: str | None, environ: Mapping[str, str]) -> RulesSettings:
    """Find the rule files: `--config`, else the reference's runtime folders, else the example."""
    environment = Environment(environ)
    merge = environment.flag("MERGE_DOMAIN_CONFIG")
    ignore_dotfiles = environment.flag("RUNTIME_IGNOREDOTFILES")
    with_siblings = environment.flag("RUNTIME_WATCH_ROOT", default=True)
    root = environment.text("RUNTIME_ROOT")
    subdirectory = environment.text("RUNTIME_SUBDIRECTORY") or ""
    folder = environment.text("RUNTIME_APPDIRECTORY") or "config"
    if config is not None:
        return RulesSettings(Path(config), merge, ignore_dotfiles)
    if root is None:
        return RulesSettings(example_rules(), merge, ignore_dotfiles)
    return RulesSettings(
        Path(root) / subdirectory / folder, merge, ignore_dotfiles, with_siblings=with_siblings
    )


def _grpc(flags: Flags, environment: Environment) -> GrpcSettings:
    return GrpcSettings(
        address=_grpc_address(flags, environment),
        tls=_server_tls(environment),
        max_connection_age_s=environment.duration_s("GRPC_MAX_CONNECTION_AGE"),
        max_connection_age_grace_s=environment.duration_s("GRPC_MAX_CONNECTION_AGE_GRACE"),
    )


def _grpc_address(flags: Flags, environment: Environment) -> Address:
    socket = environment.text("GRPC_UDS")
    tcp = _tcp_address(environment, "GRPC_HOST", "GRPC_PORT", DEFAULT_GRPC_ADDRESS)
    if flags.grpc_address is not None:
        return parse_address("--grpc-address", flags.grpc_address)
    return tcp if socket is None else UnixAddress(Path(socket))


def _http_address(flags: Flags, environment: Environment) -> Address:
    tcp = _tcp_address(environment, "HOST", "PORT", DEFAULT_HTTP_ADDRESS)
    if flags.http_address is not None:
        return parse_address("--http-address", flags.http_address)
    return tcp


def _admin_address(flags: Flags, environment: Environment) -> Address:
    tcp = _tcp_address(environment, "DEBUG_HOST", "DEBUG_PORT", DEFAULT_ADMIN_ADDRESS)
    if flags.admin_address is not None:
        return parse_address("--admin-address", flags.admin_address)
    return tcp


def _tcp_address(
    environment: Environment, host_name: str, port_name: str, default: TcpAddress
) -> TcpAddress:
    host = environment.text(host_name) or default.host
    return TcpAddress(host, environment.integer(port_name, default.port, range(MAX_PORT + 1)))


def _server_tls(environment: Environment) -> ServerTls | None:
    if not environment.flag("GRPC_SERVER_USE_TLS"):
        return None
    sans = environment.text("GRPC_CLIENT_TLS_SAN")
    client_ca = environment.file("GRPC_CLIENT_TLS_CACERT")
    if sans is not None and client_ca is None:
        raise SettingsError(
            "GRPC_CLIENT_TLS_SAN", "needs GRPC_CLIENT_TLS_CACERT, the CA of clients' certificates"
        )
    return ServerTls(
        certificate=_needed_file(environment, "GRPC_SERVER_TLS_CERT"),
        key=_needed_file(environment, "GRPC_SERVER_TLS_KEY"),
        client_ca=client_ca,
        client_sans=() if sans is None else (sans,),
    )


def _needed_file(environment: Environment, name: str) -> Path:
    path = environment.file(name)
    if path is None:
        raise SettingsError(name, "is absent, but GRPC_SERVER_USE_TLS is true; name a PEM file")
    return path


def _modes(environment: Environment) -> Modes:
    near = environment.text("NEAR_LIMIT_RATIO")
    shadow, quota = environment.flag("SHADOW_MODE"), environment.flag("QUOTA_MODE")
    if near is None:
        return Modes(shadow=shadow, quota=quota)
    return Modes(shadow=shadow, quota=quota, near_limit_ratio=ratio("NEAR_LIMIT_RATIO", near))


def _headers(environment: Environment) -> HeaderSettings | None:
    defaults = HeaderSettings()
    names = HeaderSettings(
        limit=_header(environment, "LIMIT_LIMIT_HEADER", defaults.limit),
        remaining=_header(environment, "LIMIT_REMAINING_HEADER", defaults.remaining),
        reset=_header(environment, "LIMIT_RESET_HEADER", defaults.reset),
    )
    return names if environment.flag("LIMIT_RESPONSE_HEADERS_ENABLED") else None


def _header(environment: Environment, name: str, default: str) -> str:
    return header_name(name, environment.text(name) or default)


def _health(environment: Environment) -> HealthSettings:
    return HealthSettings(
        needs_rules=environment.flag("HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED"),
        needs_store_connection=environment.flag("REDIS_HEALTH_CHECK_ACTIVE_CONNECTION"),
    )


def _logs(environment: Environment) -> LogSettings:
    level = environment.choice("LOG_LEVEL", LogSettings().level, tuple(_LEVELS))
    layout = environment.choice("LOG_FORMAT", "text", ("text", "json"))
    return LogSettings(_LEVELS[level], json=layout == "json")


def _drain_delay_s(environment: Environment) -> float:
    text = environment.text("DRAIN_DELAY")
    return DEFAULT_DRAIN_DELAY_S if text is None else duration_s("DRAIN_DELAY", text)
