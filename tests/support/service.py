"""The real service in a process of its own, for tests that look at it from outside."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ratelimit_service.config.settings import TcpAddress
from tests.support.ports import free_port
from tests.support.processes import Process, wait_until

PROGRAM: Final = Path(sys.executable).with_name("ratelimit-service")


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP address of the service answered."""

    status: int
    body: str


class Service:
    """``ratelimit-service serve`` on free ports of loopback, for the time of a ``with``.

    ``rules`` is what --config takes (None: the packaged example), ``flags`` come last and
    win. It may be killed and started again; its addresses stay.
    """

    def __init__(
        self,
        rules: Path | None = None,
        *flags: str,
        store: str = "memory://",
        environment: Mapping[str, str] | None = None,
        command: Sequence[str | Path] = (PROGRAM, "serve"),
    ) -> None:
        self.grpc_address = TcpAddress("127.0.0.1", free_port())
        self.http_address = TcpAddress("127.0.0.1", free_port())
        self.admin_address = TcpAddress("127.0.0.1", free_port())
        arguments = [
            *(("--config", rules) if rules is not None else ()),
            *("--store", store),
            *("--grpc-address", self.grpc_address),
            *("--http-address", self.http_address),
            *("--admin-address", self.admin_address),
            *flags,
        ]
        self.process = Process(
            [str(part) for part in (*command, *arguments)],
            {"DRAIN_DELAY": "0s", **(environment or {})},
        )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.process.output

    def start(self, ready_path: str = "/readyz") -> None:
        """Start, and return when a path of the HTTP address answers 200."""
        self.process.start(lambda: self.answers(ready_path, 200))

    def answers(self, path: str, status: int) -> bool:
        """Tell whether a path of the HTTP address answers with a status just now."""
        try:
            return self.get(path).status == status
        except OSError:
            return False

    def wait_until_answers(self, path: str, status: int) -> None:
        """Return when a path of the HTTP address answers with a status."""
        wait_until(lambda: self.answers(path, status), f"{status} from {path}")

    def get(self, path: str) -> Reply:
        """GET a path of the HTTP address."""
        return _fetch(self.http_address, "GET", path)

    def get_admin(self, path: str) -> Reply:
        """GET a path of the admin address."""
        return _fetch(self.admin_address, "GET", path)

    def post_json(self, document: str) -> Reply:
        """Ask for a decision over /json."""
        return _fetch(self.http_address, "POST", "/json", document)

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return self.get("/metrics").body

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()

    def end(self) -> int:
        """Ask it to end as orchestrators do, and return its exit code."""
        self.process.terminate()
        return self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.__exit__(kind, error, trace)


def _fetch(address: TcpAddress, method: str, path: str, body: str | None = None) -> Reply:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return Reply(response.status, response.read().decode())
    finally:
        connection.close()
