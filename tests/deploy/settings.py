"""Settings, as the files under deploy/ make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.settings import Settings, TcpAddress
from tests.support.environment import WatchedEnvironment

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"


def read_settings(command: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings of a container; fail for a variable that the service never reads."""
    assert command[0] == "serve"
    pairs = zip(command[1::2], command[2::2], strict=True)
    flags = Flags(**{name.removeprefix("--").replace("-", "_"): value for name, value in pairs})
    watched = WatchedEnvironment(environment)
    settings = load_settings(flags, watched)
    assert set(environment) <= watched.asked
    assert settings.warnings == ()
    return settings


def ports(settings: Settings) -> set[int]:
    """Return the ports that others than this host may call."""
    addresses = (settings.grpc.address, settings.http_address)
    return {address.port for address in addresses if isinstance(address, TcpAddress)}
