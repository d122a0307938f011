"""Ports that nothing else on this machine takes while the tests run."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

# Below the ports that systems give to outgoing connections, so that a server that is
# stopped and started again finds its port free.
_RANGE: Final = range(20_000, 32_000)
_LOCKS: Final = Path(tempfile.gettempdir()) / "ratelimit-service-test-ports"

# Locks end with this process. They keep parallel test processes off each other's ports.
_held: Final[dict[int, IO[bytes]]] = {}


def free_port() -> int:
    """Return a port on loopback that is free now and reserved for this process."""
    _LOCKS.mkdir(exist_ok=True)
    for port in random.sample(_RANGE, len(_RANGE)):
        if port not in _held and _reserve(port):
            return port
    raise RuntimeError(f"no free port between {_RANGE.start} and {_RANGE.stop}")


def _reserve(port: int) -> bool:
    lock = (_LOCKS / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return False
    _held[port] = lock
    return True
