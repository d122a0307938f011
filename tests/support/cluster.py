"""A Valkey cluster of three masters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

from ratelimit_service.config.settings import TcpAddress
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.valkey import Standalone

SLOTS: Final = 16_384
_SIZE: Final = 3


class ClusterNode(Standalone):
    """A server that enforces slots. Alone it must be given slots before it serves keys."""

    def __init__(self, *, persistent: bool = False) -> None:
        self.bus_port = free_port()
        super().__init__(
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
            *("--cluster-require-full-coverage", "no", "--cluster-node-timeout", "5000"),
            persistent=persistent,
        )

    @property
    def id(self) -> str:
        """What the nodes call this one."""
        return str(self.execute("CLUSTER", "MYID").decode())

    @property
    def is_whole(self) -> bool:
        """Whether this node sees every slot served."""
        state = self.execute("CLUSTER", "INFO").decode()
        return "cluster_state:ok" in state and f"cluster_slots_ok:{SLOTS}" in state

    def take(self, slots: range) -> None:
        """Serve these slots; they must be nobody's."""
        self.execute("CLUSTER", "ADDSLOTSRANGE", slots.start, slots.stop - 1)


class Cluster:
    """Three masters without replicas. A dead one takes only its own slots away."""

    def __init__(self, *, persistent: bool = False) -> None:
        self.nodes = tuple(ClusterNode(persistent=persistent) for _ in range(_SIZE))

    @property
    def addresses(self) -> tuple[TcpAddress, ...]:
        """Every node."""
        return tuple(node.address for node in self.nodes)

    @property
    def url(self) -> str:
        """The address as ``--store`` takes it."""
        return "redis+cluster://" + ",".join(map(str, self.addresses))

    def start(self) -> Self:
        """Start the nodes and form the cluster."""
        for node in self.nodes:
            node.start()
        for number, (node, slots) in enumerate(zip(self.nodes, _shares(), strict=True)):
            node.take(slots)
            node.execute("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        first = self.nodes[0]
        for node in self.nodes[1:]:
            node.execute("CLUSTER", "MEET", first.address.host, first.address.port, first.bus_port)
        wait_until(self._formed, "the cluster is formed")
        return self

    def owner(self, slot: int) -> ClusterNode:
        """Return the node that serves a slot, as the first node sees it."""
        for first, last, (_, port, *_), *_ in self.nodes[0].execute("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.address.port == port)
        raise LookupError(f"nobody serves slot {slot}")

    def other(self, node: ClusterNode) -> ClusterNode:
        """Return some node that is not this one."""
        return next(candidate for candidate in self.nodes if candidate is not node)

    def begin_move(self, slot: int, target: ClusterNode) -> None:
        """Open the move of a slot. New keys go to the target from here on."""
        source = self.owner(slot)
        target.execute("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.execute("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, slot: int, target: ClusterNode, at_most: int = 1_000_000) -> None:
        """Carry keys of an open move over."""
        keys = self.owner(slot).execute("CLUSTER", "GETKEYSINSLOT", slot, at_most)
        host, port = target.address.host, target.address.port
        for key in keys:
            self.owner(slot).execute("MIGRATE", host, port, key, 0, 10_000)

    def end_move(self, slot: int, target: ClusterNode) -> None:
        """Hand the slot over; every key must have been carried over."""
        for node in (target, *self.nodes):
            node.execute("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move(self, slot: int, target: ClusterNode) -> None:
        """Move a slot and its keys."""
        self.begin_move(slot, target)
        self.move_keys(slot, target)
        self.end_move(slot, target)

    def ensure_running(self) -> None:
        """Bring every node back, and wait until each sees the whole cluster."""
        for node in self.nodes:
            node.ensure_running()
        wait_until(self._formed, "the cluster is whole")

    def flush(self) -> None:
        """Forget keys, scripts and statistics."""
        for node in self.nodes:
            node.flush()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in self.nodes:
            node.__exit__(kind, error, trace)

    def _formed(self) -> bool:
        return all(node.is_whole and _knows_all(node) for node in self.nodes)


def _shares() -> Sequence[range]:
    bounds = [number * SLOTS // _SIZE for number in range(_SIZE + 1)]
    return [range(first, stop) for first, stop in pairwise(bounds)]


def _knows_all(node: ClusterNode) -> bool:
    lines = node.execute("CLUSTER", "NODES").decode().splitlines()
    return len(lines) == _SIZE and not any("handshake" in line or "fail" in line for line in lines)
