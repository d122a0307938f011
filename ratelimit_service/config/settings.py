"""How the service runs, from flags and environment, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias

from ratelimit_service.core.modes import Modes
from ratelimit_service.core.terms import Counting


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port to listen on or to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix domain socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address: TypeAlias = TcpAddress | UnixAddress

ALL_INTERFACES: Final = "0.0.0.0"  # noqa: S104 - gateways call from other hosts
DEFAULT_GRPC_ADDRESS: Final = TcpAddress(ALL_INTERFACES, 8081)
DEFAULT_HTTP_ADDRESS: Final = TcpAddress(ALL_INTERFACES, 8080)
DEFAULT_ADMIN_ADDRESS: Final = TcpAddress("127.0.0.1", 6070)
DEFAULT_DRAIN_DELAY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS of the gRPC server. With ``client_ca`` callers must show a certificate.

    With ``client_sans`` that certificate must also carry one of these names.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_sans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """The gRPC server. Ages are in seconds; None never ends a connection for its age."""

    address: Address = DEFAULT_GRPC_ADDRESS
    tls: ServerTls | None = None
    max_connection_age_s: float | None = None
    max_connection_age_grace_s: float | None = None


class StoreKind(Enum):
    """Where counters live."""

    MEMORY = "memory"
    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who to be at a store. The password stays out of every representation."""

    password: str = field(repr=False)
    username: str | None = None


@dataclass(frozen=True, slots=True)
class StoreTls:
    """TLS to the store."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How to reach the store.

    ``addresses`` are the server (standalone), the sentinels or some nodes of the cluster.
    ``timeout_s`` bounds each script call and each connect. ``near_cache_bytes`` 0 keeps no
    near cache.
    """

    kind: StoreKind = StoreKind.MEMORY
    addresses: tuple[Address, ...] = ()
    database: int = 0
    sentinel_service: str = ""
    credentials: Credentials | None = None
    sentinel_credentials: Credentials | None = None
    tls: StoreTls | None = None
    pool_size: int = 10
    timeout_s: float = 5.0
    key_prefix: str = ""
    near_cache_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RulesSettings:
    """Where rule files are: one file, or a folder whose ``*.yaml`` and ``*.yml`` files count.

    With ``with_siblings`` such files beside the folder count too, where their names begin
    with its name and a dot.
    """

    path: Path
    merge_domains: bool = False
    ignore_dotfiles: bool = False
    with_siblings: bool = False


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """Names of the limit headers that are added to every response."""

    limit: str = "RateLimit-Limit"
    remaining: str = "RateLimit-Remaining"
    reset: str = "RateLimit-Reset"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``level`` is a name of the standard library's, in capitals."""

    level: str = "INFO"
    json: bool = False


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """What the health check asks for, beyond background tasks that run."""

    needs_rules: bool = False
    needs_store_connection: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the composition root needs to know.

    ``drain_delay_s`` is how long the service goes on deciding, in seconds, after it was told
    to stop and its health turned bad: time for gateways to notice.
    """

    rules: RulesSettings
    grpc: GrpcSettings = field(default_factory=GrpcSettings)
    http_address: Address = DEFAULT_HTTP_ADDRESS
    admin_address: Address = DEFAULT_ADMIN_ADDRESS
    store: StoreSettings = field(default_factory=StoreSettings)
    modes: Modes = field(default_factory=Modes)
    counting: Counting = Counting.EVERY
    headers: HeaderSettings | None = None
    dynamic_metadata: bool = False
    start_without_rules: bool = False
    health: HealthSettings = field(default_factory=HealthSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    tracing: bool = False
    drain_delay_s: float = DEFAULT_DRAIN_DELAY_S
    warnings: tuple[str, ...] = ()
