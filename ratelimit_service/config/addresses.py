"""Addresses, from text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ratelimit_service.config.settings import ALL_INTERFACES, Address, TcpAddress, UnixAddress
from ratelimit_service.errors import SettingsError

MAX_PORT: Final = 65_535

_EXAMPLES: Final = "write host:port, [::1]:port or unix:/path"


def parse_address(name: str, text: str) -> Address:
    """Read an address to listen on or to call; port 0 picks a free one to listen on."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise SettingsError(name, f"`{text}` names no socket; {_EXAMPLES}")
        return UnixAddress(Path(path))
    address = split_host_port(text, lowest_port=0)
    if address is None:
        raise SettingsError(name, f"`{text}` is no address; {_EXAMPLES}")
    return address


def split_host_port(
    text: str, *, default_port: int | None = None, lowest_port: int = 1
) -> TcpAddress | None:
    """Read host:port, or return None where the text is something else."""
    host, colon, port_text = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port_text = text, "" if default_port is None else str(default_port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    if not (port_text.isascii() and port_text.isdigit()):
        return None
    port = int(port_text)
    if not lowest_port <= port <= MAX_PORT or any(character in host for character in "/@ []"):
        return None
    if not host and (lowest_port or not colon):
        return None
    return TcpAddress(host or ALL_INTERFACES, port)
