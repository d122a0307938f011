"""What the service reads of its environment, found out by letting it read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.settings import Settings, TcpAddress

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"


class _Watched(Mapping[str, str]):
    """An environment that notes which variables are asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def read_settings(command: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings of a container; fail for a variable that the service never reads."""
    assert command[0] == "serve"
    pairs = zip(command[1::2], command[2::2], strict=True)
    flags = Flags(**{name.removeprefix("--").replace("-", "_"): value for name, value in pairs})
    watched = _Watched(environment)
    settings = load_settings(flags, watched)
    assert set(environment) <= watched.asked
    assert settings.warnings == ()
    return settings


def ports(settings: Settings) -> set[int]:
    """Return the ports that others than this host may call."""
    addresses = (settings.grpc.address, settings.http_address)
    return {address.port for address in addresses if isinstance(address, TcpAddress)}
