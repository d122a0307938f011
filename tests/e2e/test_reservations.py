"""Reservations over real processes that share a store, and that die."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb.decision_pb2_grpc import DecisionServiceStub
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.service import Service

RULES = """
    domain: e2e
    descriptors:
      - key: user
        limits:
          - {name: tokens, measure: tokens, amount: 100, window: 30d, on_expiry: release}
          - {name: parallel, measure: concurrency, amount: 2}
      - key: model
        limits: [{name: all, measure: tokens, amount: 1000000, window: 30d, on_expiry: release}]
    """


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(dedent(RULES), encoding="utf-8")
    return path


class Replica:
    """A process of the service, and a connection to it."""

    def __init__(self, rules: Path, store: str) -> None:
        self.service = Service(rules, store=store)
        self.service.start()
        options = [("grpc.max_reconnect_backoff_ms", 200)]
        self._channel = grpc.insecure_channel(str(self.service.grpc_address), options)
        self._stub = DecisionServiceStub(self._channel)

    def reserve(self, user: str, tokens: int, **fields: object) -> pb.CheckAndIncrementByNResponse:
        """Reserve for a user and for the model that all use."""
        entries = [pb.Entry(key="user", value=user)], [pb.Entry(key="model", value=user)]
        message = pb.CheckAndIncrementByNRequest(
            domain="e2e",
            descriptors=[pb.Descriptor(entries=each) for each in entries],
            amounts={"tokens": tokens},
            request_id=str(fields.get("request_id", "")),
            ttl=Duration(seconds=int(str(fields.get("ttl", 60)))),
        )
        answer: pb.CheckAndIncrementByNResponse = self._stub.CheckAndIncrementByN(
            message, timeout=10, wait_for_ready=True
        )
        return answer

    def settle(self, reservation_id: str, tokens: int) -> pb.ReconcileResponse:
        """Settle to so many tokens."""
        actual = pb.Actual(amounts={"tokens": tokens})
        message = pb.ReconcileRequest(reservation_id=reservation_id, actual=actual)
        answer: pb.ReconcileResponse = self._stub.Reconcile(
            message, timeout=10, wait_for_ready=True
        )
        return answer

    def counted(self, user: str) -> dict[str, tuple[int, int]]:
        """Return what each limit of a user has used and holds."""
        message = pb.GetUsageRequest(
            domain="e2e", descriptors=[pb.Descriptor(entries=[pb.Entry(key="user", value=user)])]
        )
        answer: pb.GetUsageResponse = self._stub.GetUsage(message, timeout=10, wait_for_ready=True)
        return {limit.name: (limit.used, limit.held) for limit in answer.statuses[0].limits}

    def ensure_running(self) -> None:
        """Start it again if a test has killed it."""
        if not self.service.process.running:
            self.service.start()

    def close(self) -> None:
        """End both."""
        self._channel.close()
        self.service.__exit__(None, None, None)


@pytest.fixture(scope="module", params=["standalone", "cluster"])
def shared_store(request: pytest.FixtureRequest) -> str:
    """Each kind of store that replicas can share."""
    if request.param == "standalone":
        url: str = request.getfixturevalue("valkey_url")
        return url
    cluster: Cluster = request.getfixturevalue("_cluster")
    cluster.ensure_running()
    return "redis+cluster://" + ",".join(str(address) for address in cluster.addresses)


@pytest.fixture(scope="module")
def _replicas(rules: Path, shared_store: str) -> Iterator[tuple[Replica, Replica]]:
    one, other = Replica(rules, shared_store), Replica(rules, shared_store)
    yield one, other
    one.close()
    other.close()


@pytest.fixture
def replicas(_replicas: tuple[Replica, Replica]) -> tuple[Replica, Replica]:
    """Two processes that run. Tests keep apart by their users, not by empty stores."""
    for replica in _replicas:
        replica.ensure_running()
    return _replicas


def test_reserved_here_and_settled_there(replicas: tuple[Replica, Replica], user: str) -> None:
    """F17: the very next decision on either replica sees the difference."""
    one, other = replicas
    reserved = one.reserve(user, 90)
    assert reserved.overall_code == pb.OK
    assert other.reserve(user, 20).overall_code == pb.OVER_LIMIT
    other.settle(reserved.reservation_id, 10)
    assert one.counted(user) == {"tokens": (10, 0), "parallel": (0, 0)}
    assert one.reserve(user, 45).overall_code == pb.OK
    assert other.reserve(user, 45).overall_code == pb.OK
    assert one.reserve(user, 1).overall_code == pb.OVER_LIMIT


def test_the_replica_that_reserved_may_die(replicas: tuple[Replica, Replica], user: str) -> None:
    """F57, F11: nothing of a reservation is in the process that made it."""
    one, other = replicas
    reserved = one.reserve(user, 60, request_id="r")
    one.service.kill()
    again = other.reserve(user, 60, request_id="r")
    assert (again.reservation_id, again.state) == (reserved.reservation_id, pb.OPEN)
    for _ in range(2):
        assert other.settle(reserved.reservation_id, 25).state == pb.SETTLED
    assert other.counted(user) == {"tokens": (25, 0), "parallel": (0, 0)}


def test_who_dies_frees_what_it_held(replicas: tuple[Replica, Replica], user: str) -> None:
    """F14, F29: a hold ends at its ttl, and a late settlement still counts (F15)."""
    one, other = replicas
    dead = [one.reserve(user, 50, ttl=1) for _ in range(2)]
    one.service.kill()
    assert other.reserve(user, 1).overall_code == pb.OVER_LIMIT
    wait_until(
        lambda: other.counted(user) == {"tokens": (0, 0), "parallel": (0, 0)}, "holds have ended"
    )
    other.settle(dead[0].reservation_id, 30)
    assert other.counted(user)["tokens"] == (30, 0)


async def test_replicas_never_admit_more_than_there_is(
    replicas: tuple[Replica, Replica], user: str
) -> None:
    """F1, F2: sixty callers at two replicas want two slots."""
    calls = (
        asyncio.to_thread(replicas[number % 2].reserve, user, 1, request_id=str(number))
        for number in range(60)
    )
    answers = await asyncio.gather(*calls)
    assert [answer.overall_code for answer in answers].count(pb.OK) == 2
    assert replicas[0].counted(user) == {"tokens": (0, 2), "parallel": (0, 2)}
