"""Who calls, when a call is over, and what a call of reservations shares with all others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

import grpc
import pytest

from ratelimit_service.config.load import load_rules
from ratelimit_service.config.settings import GrpcSettings, RulesSettings, ServerTls
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.errors import OverloadedError, StoreTimeoutError
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import decision_pb2_grpc
from ratelimit_service.pb.decision_pb2_grpc import DecisionServiceStub
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.transport.callers import caller_of
from tests.support.certificates import Authority
from tests.transport.reserving import failing, team
from tests.transport.serving import LOOPBACK, NOON_US, Served, Setup, build, serving, until
from tests.transport.test_reflection import buf_curl
from tests.transport.test_tls import tls_channel

SERVICE = "ratelimit.v1.DecisionService"


@pytest.fixture
def rules(tmp_path: Path) -> RuleSet:
    path = tmp_path / "rules.yaml"
    text = """
    domain: d
    descriptors:
      - {key: team, limits: [{name: tpm, measure: tokens, amount: 100, window: 1h}]}
    """
    path.write_text(dedent(text), encoding="utf-8")
    return load_rules(RulesSettings(path))


def asking(request_id: str = "") -> pb.CheckAndIncrementByNRequest:
    return pb.CheckAndIncrementByNRequest(
        domain="d", descriptors=[team()], amounts={"tokens": 10}, request_id=request_id
    )


async def held(service: decision_pb2_grpc.DecisionServiceAsyncStub) -> int:
    answer = await service.GetUsage(pb.GetUsageRequest(domain="d", descriptors=[team()]))
    return answer.statuses[0].limits[0].held


class StoppedStore(MemoryStore):
    """A store that answers no message until the gate opens, and notes how long it was given."""

    def __init__(self) -> None:
        super().__init__(lambda: NOON_US)
        self.gate = asyncio.Event()
        self.waiting = 0

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().deliver(sent, timeout_s)


class FailingStore(MemoryStore):
    """A store that ends every round of messages with an error, while there is one."""

    def __init__(self, error: Exception) -> None:
        super().__init__(lambda: NOON_US)
        self.error: Exception | None = error

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        if self.error is not None:
            raise self.error
        return await super().deliver(sent, timeout_s)


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[decision_pb2_grpc.DecisionServiceAsyncStub]:
    async with grpc.aio.insecure_channel(str(served.address)) as channel:
        yield DecisionServiceStub(channel)


# --- identity -------------------------------------------------------------------------------


async def test_a_caller_cannot_settle_what_another_reserved(tmp_path: Path, rules: RuleSet) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.issue("localhost", "127.0.0.1")
    ann, bob = authority.issue("ann.example.org"), authority.issue("bob.example.org")
    tls = ServerTls(server.certificate, server.key, authority.certificate)
    setup = Setup(rules, grpc=GrpcSettings(LOOPBACK, tls))
    async with (
        serving(setup) as served,
        tls_channel(served.address, authority, ann) as by_ann,
        tls_channel(served.address, authority, bob) as by_bob,
    ):
        anns, bobs = DecisionServiceStub(by_ann), DecisionServiceStub(by_bob)
        reserved = await anns.CheckAndIncrementByN(asking("r"))
        released = pb.ReconcileRequest(
            reservation_id=reserved.reservation_id, released=pb.Released()
        )
        code, text = await failing(bobs.Reconcile(released))
        assert code is grpc.StatusCode.NOT_FOUND
        unknown = pb.ReconcileRequest(reservation_id="x" * 47, released=pb.Released())
        assert await failing(bobs.Reconcile(unknown)) == (code, text)
        extension = pb.ExtendRequest(reservation_id=reserved.reservation_id)
        assert await failing(bobs.Extend(extension)) == (code, text)
        assert await held(anns) == 10

        # The same request id is another one's own.
        other = await bobs.CheckAndIncrementByN(asking("r"))
        assert other.reservation_id != reserved.reservation_id
        assert await held(anns) == 20
        assert (await anns.Reconcile(released)).state == pb.SETTLED
        assert await held(anns) == 10


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ({}, ""),
        ({"transport_security_type": [b"insecure"]}, ""),
        ({"x509_common_name": [b"ann"]}, "cn:ann"),
        ({"x509_common_name": [b"ann"], "x509_subject_alternative_name": [b"b", b"c"]}, "san:b"),
        ({"x509_common_name": [b"\xff"]}, "cn:\udcff"),
    ],
)
def test_a_caller_is_who_its_certificate_says(context: dict[str, list[bytes]], name: str) -> None:
    assert caller_of(context) == name


# --- bounds ---------------------------------------------------------------------------------


async def test_calls_of_both_apis_share_one_bound(rules: RuleSet) -> None:
    store = StoppedStore()
    setup = Setup(rules, store, max_under_way=1)
    async with serving(setup) as served, connected(served) as service:
        first = asyncio.ensure_future(_answer(service))
        await until(lambda: store.waiting == 1)
        code, text = await failing(service.CheckAndIncrementByN(asking()))
        assert (code, text) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "too many calls under way",
        )
        store.gate.set()
        assert (await first).overall_code == pb.OK


async def test_a_call_ends_within_its_deadline_f32(rules: RuleSet) -> None:
    store = StoppedStore()
    async with serving(Setup(rules, store)) as served, connected(served) as service:
        call = service.CheckAndIncrementByN(asking(), timeout=0.2)
        code, _ = await failing(call)
        # Whoever is faster says it: the caller's library, or the service.
        assert code in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
        store.gate.set()
        # What was begun goes on, and is given back, since nobody knows its id (F56).
        async with asyncio.timeout(10):
            while await held(service):  # noqa: ASYNC110 - what is waited for raises no event
                await asyncio.sleep(0.01)


async def test_a_drain_waits_for_reservations_f57(rules: RuleSet) -> None:
    store = StoppedStore()
    served = build(Setup(rules, store))
    await served.server.start()
    async with connected(served) as service:
        call = asyncio.ensure_future(_answer(service))
        await until(lambda: store.waiting == 1)
        stopping = asyncio.ensure_future(served.server.stop())
        store.gate.set()
        assert (await call).overall_code == pb.OK
        await stopping


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (StoreTimeoutError("late"), grpc.StatusCode.UNAVAILABLE, "late"),
        (OverloadedError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "full"),
        (ZeroDivisionError("a secret"), grpc.StatusCode.INTERNAL, "internal error"),
    ],
)
async def test_an_error_of_one_call_touches_no_other(
    rules: RuleSet, error: Exception, code: grpc.StatusCode, told: str
) -> None:
    store = FailingStore(error)
    async with serving(Setup(rules, store)) as served, connected(served) as service:
        assert await failing(service.CheckAndIncrementByN(asking())) == (code, told)
        assert served.errors(code.name) == 1
        store.error = None
        assert (await service.CheckAndIncrementByN(asking())).overall_code == pb.OK


@pytest.mark.parametrize("method", ["CheckAndIncrementByN", "Reconcile", "Extend", "GetUsage"])
async def test_bytes_that_are_no_message_are_told_so(rules: RuleSet, method: str) -> None:
    async with (
        serving(Setup(rules)) as served,
        grpc.aio.insecure_channel(str(served.address)) as channel,
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{SERVICE}/{method}"
        )
        code, text = await failing(call(b"\x0a\x01\xff"))  # half a character
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert text == f"the bytes are no {method}Request"
        assert served.errors("INVALID_ARGUMENT") == 1


async def test_without_rules_nothing_is_reserved() -> None:
    async with serving(Setup(rules=None)) as served, connected(served) as service:
        code, text = await failing(service.CheckAndIncrementByN(asking()))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert text == "no rate limit configuration loaded"


# --- reflection and metrics -----------------------------------------------------------------


async def test_a_reservation_needs_no_proto_files(rules: RuleSet) -> None:
    request = {
        "domain": "d",
        "descriptors": [{"entries": [{"key": "team", "value": "a"}]}],
        "amounts": {"tokens": 10},
        "ttl": "30s",
    }
    async with serving(Setup(rules)) as served:
        address = f"http://{served.address}/{SERVICE}"
        methods = await buf_curl("--list-methods", f"http://{served.address}")
        reserved = json.loads(
            await buf_curl("--data", json.dumps(request), f"{address}/CheckAndIncrementByN")
        )
        settling = {
            "reservationId": reserved["reservationId"],
            "actual": {"amounts": {"tokens": 0}},
        }
        settled = json.loads(await buf_curl("--data", json.dumps(settling), f"{address}/Reconcile"))
    for method in ("CheckAndIncrementByN", "Reconcile", "Extend", "GetUsage"):
        assert f"{SERVICE}/{method}" in methods.split()
    assert (reserved["overallCode"], reserved["state"]) == ("OK", "OPEN")
    assert settled["state"] == "SETTLED"


async def test_what_became_of_reservations_is_counted(rules: RuleSet) -> None:
    async with serving(Setup(rules)) as served, connected(served) as service:
        reserved = await service.CheckAndIncrementByN(asking("r"))
        await service.CheckAndIncrementByN(asking("r"))
        over = pb.CheckAndIncrementByNRequest(
            domain="d", descriptors=[team()], amounts={"tokens": 91}
        )
        await service.CheckAndIncrementByN(over)
        for _ in range(2):
            await service.Reconcile(
                pb.ReconcileRequest(
                    reservation_id=reserved.reservation_id, usage_unknown=pb.UsageUnknown()
                )
            )
        sample = served.metrics.registry.get_sample_value
        results = {
            result: sample("ratelimit_reservations_total", {"domain": "d", "result": result})
            for result in ("granted", "repeated", "over_limit")
        }
        assert results == {"granted": 1, "repeated": 1, "over_limit": 1}
        assert sample("ratelimit_settlements_total", {"result": "in_time"}) == 1
        assert sample("ratelimit_settlements_total", {"result": "repeated"}) == 1
        assert sample("ratelimit_reserved_amount_total", {"measure": "tokens"}) == 10


async def _answer(
    service: decision_pb2_grpc.DecisionServiceAsyncStub,
) -> pb.CheckAndIncrementByNResponse:
    answer: pb.CheckAndIncrementByNResponse = await service.CheckAndIncrementByN(asking())
    return answer
