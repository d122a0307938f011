"""The service as a process that outlives a test, and can start again where it was."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ratelimit_service.config.settings import TcpAddress
from tests.support.ports import free_port
from tests.support.processes import Process

PROGRAM: Final = Path(sys.executable).with_name("ratelimit-service")


class Service:
    """``ratelimit-service serve`` on addresses that stay the same over restarts."""

    def __init__(
        self, rules: Path, store: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """``rules`` and ``store`` are what ``--config`` and ``--store`` take."""
        self.grpc_address = TcpAddress("127.0.0.1", free_port())
        self._http_address = TcpAddress("127.0.0.1", free_port())
        self._process = Process(
            [
                *(str(PROGRAM), "serve", "--config", str(rules), "--store", store),
                *("--grpc-address", str(self.grpc_address)),
                *("--http-address", str(self._http_address)),
                *("--admin-address", str(TcpAddress("127.0.0.1", free_port()))),
            ],
            environment,
        )

    def start(self) -> None:
        """Start, and return when it can decide."""
        self._process.start(self._ready)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to drain and end."""
        self._process.terminate()

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        return self._process.wait()

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return self._get("/metrics")

    def __enter__(self) -> Self:
        self._process.__enter__()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Nothing is in flight when a test is over: no need to wait for a drain.
        self._process.kill()
        self._process.__exit__(kind, error, trace)

    def _ready(self) -> bool:
        try:
            self._get("/readyz")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self._http_address}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
