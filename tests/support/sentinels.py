"""A master with a replica, and the sentinels that watch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ratelimit_service.config.settings import TcpAddress
from tests.support.processes import wait_until
from tests.support.valkey import Standalone

SENTINEL_SERVICE: Final = "limits"
_WHO_IS_MASTER: Final = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SENTINEL_SERVICE)


class Sentinels:
    """A master, its replica and three sentinels that fail over in about two seconds."""

    def __init__(self, password: str | None = None, sentinel_password: str | None = None) -> None:
        self.password = password
        self.sentinel_password = sentinel_password
        self.data = (self._data_server(), self._data_server())
        self.sentinels = tuple(Sentinel(password=sentinel_password) for _ in range(3))

    @property
    def addresses(self) -> tuple[TcpAddress, ...]:
        """The sentinels."""
        return tuple(sentinel.address for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        """The address as ``--store`` takes it."""
        hosts = ",".join(map(str, self.addresses))
        return f"redis+sentinel://{hosts}/{SENTINEL_SERVICE}"

    def start(self) -> Self:
        """Start all five and return when the sentinels could fail over."""
        master, replica = self.data
        master.start()
        replica.start()
        replica.execute("REPLICAOF", master.address.host, master.address.port)
        wait_until(self._replicating, "the replica follows its master")
        for number, sentinel in enumerate(self.sentinels):
            self._write_configuration(number)
            sentinel.start()
        self.wait_until_whole()
        return self

    def master(self) -> Standalone:
        """Return the server that most sentinels call the master."""
        votes = [sentinel.execute(*_WHO_IS_MASTER)[1] for sentinel in self.sentinels]
        port = int(max(votes, key=votes.count))
        return next(server for server in self.data if server.address.port == port)

    def replica(self) -> Standalone:
        """Return the server that is not the master."""
        master = self.master()
        return next(server for server in self.data if server is not master)

    def wait_until_whole(self) -> None:
        """Return when there is a replica in step and every sentinel knows everybody."""
        wait_until(self._whole, "sentinels know each other, and a replica in step", 60.0)

    def ensure_running(self) -> None:
        """Bring every process back and wait until the group could fail over again."""
        for server in (*self.sentinels, *self.data):
            if server.ensure_running() and server in self.data:
                self._follow(server)
        self.wait_until_whole()

    def flush(self) -> None:
        """Forget keys, scripts and statistics."""
        self.master().flush()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in (*self.sentinels, *self.data):
            server.__exit__(kind, error, trace)

    def _data_server(self) -> Standalone:
        options: list[str] = []
        if self.password is not None:
            options = ["--requirepass", self.password, "--masterauth", self.password]
        options += ["--repl-ping-replica-period", "1", "--repl-timeout", "5"]
        return Standalone(*options, password=self.password)

    def _write_configuration(self, number: int) -> None:
        """Tell a sentinel everything it would else take ten seconds to find out."""
        master, replica = self.data
        name = SENTINEL_SERVICE
        lines = [
            f"sentinel myid {number:040x}",
            f"sentinel monitor {name} {master.address.host} {master.address.port} 2",
            f"sentinel down-after-milliseconds {name} 1000",
            f"sentinel failover-timeout {name} 4000",
            f"sentinel known-replica {name} {replica.address.host} {replica.address.port}",
        ]
        if self.password is not None:
            lines.append(f"sentinel auth-pass {name} {self.password}")
        if self.sentinel_password is not None:
            lines.append(f"requirepass {self.sentinel_password}")
            lines.append(f"sentinel sentinel-pass {self.sentinel_password}")
        for other, sentinel in enumerate(self.sentinels):
            if other != number:
                place = f"{sentinel.address.host} {sentinel.address.port}"
                lines.append(f"sentinel known-sentinel {name} {place} {other:040x}")
        text = "\n".join(lines) + "\n"
        self.sentinels[number].configuration.write_text(text, encoding="utf-8")

    def _follow(self, server: Standalone) -> None:
        """Do at once what the sentinels would do with a server that came back."""
        master = self.master()
        if master is not server:
            server.execute("REPLICAOF", master.address.host, master.address.port)

    def _replicating(self) -> bool:
        followers = [server.info("replication") for server in self.data]
        return any(follower.get("master_link_status") == "up" for follower in followers)

    def _whole(self) -> bool:
        return self._replicating() and all(map(_is_settled, self.sentinels))


class Sentinel(Standalone):
    """A server in sentinel mode. It reads its configuration from its folder."""

    @property
    def configuration(self) -> Path:
        """Write this file before the start; the sentinel writes to it too."""
        return self.folder / "sentinel.conf"

    def _arguments(self) -> Sequence[str]:
        return (
            *(str(self.configuration), "--sentinel"),
            *("--bind", self.address.host, "--port", str(self.address.port)),
            *("--dir", str(self.folder)),
        )


def _is_settled(sentinel: Standalone) -> bool:
    state = _pairs(sentinel.execute("SENTINEL", "MASTER", SENTINEL_SERVICE))
    replicas = sentinel.execute("SENTINEL", "REPLICAS", SENTINEL_SERVICE)
    return (
        state["flags"] == "master"
        and state["num-other-sentinels"] == "2"
        and len(replicas) == 1
        and _pairs(replicas[0])["flags"] == "slave"
        and _pairs(replicas[0])["master-link-status"] == "ok"
    )


def _pairs(reply: Sequence[bytes]) -> Mapping[str, str]:
    texts = [item.decode() for item in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))
