"""The real Envoy, running the configurations of ``deploy/envoy`` on free ports."""

from __future__ import annotations

import copy
import http.client
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import yaml

from ratelimit_service.config.settings import TcpAddress
from tests.support.processes import Process

REPOSITORY: Final = Path(__file__).resolve().parents[2]
ENVOY: Final = REPOSITORY / ".venv-envoy" / "bin" / "envoy"
CONFIGS: Final = REPOSITORY / "deploy" / "envoy"

_RATELIMIT_FILTER: Final = "envoy.filters.http.ratelimit"

# A configuration has the shape that Envoy gives it.
Node: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hosts:
    """The servers of a test that stand where a shipped configuration names hosts.

    ``services`` are the replicas of the rate limit service.
    """

    services: tuple[TcpAddress, ...]
    upstream: TcpAddress


class Config:
    """A shipped configuration, and what a test changes in it."""

    def __init__(self, name: str) -> None:
        """``name`` is that of a file in ``deploy/envoy``, without its suffix."""
        text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
        # Aliases become copies, so that a change at one place stays there.
        self.tree: Node = json.loads(json.dumps(yaml.safe_load(text)))

    def at(self, hosts: Hosts) -> Self:
        """Return this configuration with a test's hosts, on ports that are free.

        The decision may take as long as a busy machine needs: a late one would let the
        call pass, and the test would fail for no fault of the service.
        """
        changed = self.on_free_ports()
        changed._point("ratelimit", hosts.services)
        changed._point("upstream", (hosts.upstream,))
        return changed.with_filter(timeout="10s")

    def on_free_ports(self) -> Self:
        """Return this configuration listening on loopback, on ports that are free."""
        changed = copy.deepcopy(self)
        for address in changed._listening():
            address.update(address="127.0.0.1", port_value=0)
        return changed

    def with_filter(self, **fields: object) -> Self:
        """Return this configuration with other fields in its rate limit filter."""
        changed = copy.deepcopy(self)
        changed.ratelimit_filter.update(fields)
        return changed

    def with_routes(self, routes: Sequence[Node]) -> Self:
        """Return this configuration with other routes."""
        changed = copy.deepcopy(self)
        changed._connections()["route_config"]["virtual_hosts"][0]["routes"] = list(routes)
        return changed

    @property
    def ratelimit_filter(self) -> Node:
        """The fields of the filter that asks the service."""
        return self.http_filter(_RATELIMIT_FILTER)

    def http_filter(self, name: str) -> Node:
        """Return the fields of an HTTP filter."""
        filters = self._connections()["http_filters"]
        fields: Node = next(each for each in filters if each["name"] == name)["typed_config"]
        return fields

    @property
    def listener_port(self) -> int:
        """The port that takes calls."""
        (listener,) = self.tree["static_resources"]["listeners"]
        port: int = listener["address"]["socket_address"]["port_value"]
        return port

    def endpoints(self, cluster: str) -> list[TcpAddress]:
        """Return the addresses of a cluster."""
        (group,) = self._cluster(cluster)["load_assignment"]["endpoints"]
        found = [each["endpoint"]["address"]["socket_address"] for each in group["lb_endpoints"]]
        return [TcpAddress(each["address"], each["port_value"]) for each in found]

    def _connections(self) -> Node:
        (listener,) = self.tree["static_resources"]["listeners"]
        fields: Node = listener["filter_chains"][0]["filters"][0]["typed_config"]
        return fields

    def _listening(self) -> Iterator[Node]:
        yield self.tree["admin"]["address"]["socket_address"]
        for listener in self.tree["static_resources"]["listeners"]:
            yield listener["address"]["socket_address"]

    def _cluster(self, name: str) -> Node:
        clusters: list[Node] = self.tree["static_resources"]["clusters"]
        return next(each for each in clusters if each["name"] == name)

    def _point(self, cluster: str, addresses: Sequence[TcpAddress]) -> None:
        self._cluster(cluster)["load_assignment"]["endpoints"] = [
            {"lb_endpoints": [_endpoint(address) for address in addresses]}
        ]


def _endpoint(address: TcpAddress) -> Node:
    socket_address = {"address": address.host, "port_value": address.port}
    return {"endpoint": {"address": {"socket_address": socket_address}}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What Envoy answered. Header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON has no one type
        """Return the body of a JSON answer."""
        return json.loads(self.body)


class Envoy:
    """A running Envoy."""

    def __init__(self, config: Config) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="envoy-")
        folder = Path(self._folder.name)
        file, self._admin_file = folder / "envoy.json", folder / "admin"
        file.write_text(json.dumps(config.tree), encoding="utf-8")
        self._process = Process(
            [
                *(str(ENVOY), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1"),
                *("--admin-address-path", str(self._admin_file), "--log-level", "warning"),
            ]
        )
        self._address = TcpAddress("127.0.0.1", 0)

    @property
    def address(self) -> TcpAddress:
        """Where it takes calls."""
        return self._address

    @property
    def admin_address(self) -> str:
        """Where it tells about itself, as ``host:port``."""
        return self._admin_file.read_text(encoding="utf-8")

    def call(self, path: str = "/", **headers: str) -> Answer:
        """Send a GET on a connection of its own; ``x_user_id`` sends ``x-user-id``."""
        connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("GET", path, headers=sent)
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, received, answer.read())
        finally:
            connection.close()

    def statistic(self, name: str) -> int:
        """Return a counter or a gauge of Envoy's own."""
        lines = self._admin(f"/stats?filter=^{name}$").splitlines()
        return sum(int(line.rpartition(": ")[2]) for line in lines)

    def __enter__(self) -> Self:
        self._process.__enter__()
        self._process.start(self._ready)
        (listener,) = json.loads(self._admin("/listeners?format=json"))["listener_statuses"]
        bound = listener["local_address"]["socket_address"]
        self._address = TcpAddress(bound["address"], bound["port_value"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.__exit__(kind, error, trace)
        self._folder.cleanup()

    def _ready(self) -> bool:
        try:
            return self._admin("/ready").startswith("LIVE")
        except OSError:
            return False

    def _admin(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.admin_address}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
