"""Whether a server can have an address, and why not, in the same words for every edge.

gRPC says only that it failed, and it takes over a Unix socket that another process serves,
as the event loop does for HTTP. So the address is tried beforehand.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from ratelimit_service.config.settings import Address, UnixAddress
from ratelimit_service.errors import ListenError


def check_free(address: Address) -> None:
    """Raise ListenError unless a server can listen; removes the socket of a dead one."""
    try:
        if isinstance(address, UnixAddress):
            _check_path(address.path)
        else:
            _check_port(address.host, address.port)
    except OSError as error:
        raise ListenError(str(address), _reason(error)) from error


def _check_port(host: str, port: int) -> None:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, name in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(name)


def _check_path(path: Path) -> None:
    if path.is_socket():
        _check_dead(path)
        path.unlink()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind(os.fspath(path))
    path.unlink()


def _check_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionRefusedError):
        probe.connect(os.fspath(path))
        raise FileExistsError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host is not known ({error.strerror})"
    return os.strerror(error.errno) if error.errno else str(error)
