from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ratelimit_service.config.settings import GrpcSettings, HealthSettings, TcpAddress
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Descriptor, Entry, RateLimitRequest
from ratelimit_service.core.requests import (
    Described,
    ExtendRequest,
    ReconcileRequest,
    ReserveRequest,
    UsageRequest,
    Wish,
)
from ratelimit_service.core.rules import Node, Rule, RuleSet
from ratelimit_service.core.settlement import Report, Usage
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import InvalidRequestError, Place
from ratelimit_service.health import Health
from ratelimit_service.limiter import LimiterOptions
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from ratelimit_service.pb.ratelimit_descriptor_pb2 import RateLimitDescriptor
from ratelimit_service.reserver import Caller, ReserverOptions
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.reservations import Reservations
from ratelimit_service.telemetry.recorder import NullRecorder
from ratelimit_service.telemetry.tracing import Tracing, open_tracing
from ratelimit_service.traced import TracedLimiter, TracedOptions, TracedReserver
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.grpc_server import Endpoints, GrpcServer
from ratelimit_service.transport.rls import AnswerOptions, RateLimitEndpoint
from ratelimit_service.transport.trace_context import TraceContext
from tests.transport.serving import reserver_over

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"


class _Collector(TraceServiceServicer):
    """Keeps what arrives, as a collector would."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    def Export(  # noqa: N802 - the method's name on the wire
        self,
        request: ExportTraceServiceRequest,
        context: object,  # noqa: ARG002 - gRPC passes it
    ) -> ExportTraceServiceResponse:
        self.requests.append(request)
        return ExportTraceServiceResponse()

    def spans(self) -> dict[str, Span]:
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def resource(self) -> dict[str, str]:
        attributes = self.requests[0].resource_spans[0].resource.attributes
        return {attribute.key: attribute.value.string_value for attribute in attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Collector]:
    collector = _Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    # The generated code has no types.
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield collector
    server.stop(None).wait()


@pytest.fixture
async def tracing(collector: _Collector) -> AsyncIterator[Tracing]:
    assert not collector.requests
    tracing = open_tracing()
    yield tracing
    await tracing.close()


def _limiter(tracing: Tracing) -> TracedLimiter:
    rule = Rule("shop.user", Place("rules.yaml"), (Limit.per(5, Unit.YEAR),))
    limiter = TracedLimiter(MemoryStore(), NullRecorder(), LimiterOptions(), tracing)
    limiter.apply(RuleSet({"shop": Node(by_key={"user": Node(rule=rule)})}))
    return limiter


def _request(domain: str = "shop") -> RateLimitRequest:
    descriptors = tuple(Descriptor((Entry(key, "ann"),)) for key in ("user", "path"))
    return RateLimitRequest(domain, descriptors)


def _attributes(span: Span) -> dict[str, object]:
    return {
        attribute.key: attribute.value.string_value
        or attribute.value.int_value
        or [item.string_value for item in attribute.value.array_value.values]
        for attribute in span.attributes
    }


async def test_a_decision_is_a_span_and_its_store_call_one_within(
    collector: _Collector, tracing: Tracing
) -> None:
    await _limiter(tracing).should_rate_limit(_request())
    await tracing.close()
    spans = collector.spans()
    decision, charge = spans["ShouldRateLimit"], spans["store.charge"]
    assert charge.parent_span_id == decision.span_id
    assert charge.trace_id == decision.trace_id
    assert not decision.parent_span_id
    assert _attributes(decision) == {
        "ratelimit.domain": "shop",
        "ratelimit.descriptors": 2,
        "ratelimit.code": "OK",
        "ratelimit.results": ["within", "unmatched"],
    }
    assert _attributes(charge) == {"ratelimit.charges": 1}
    assert decision.start_time_unix_nano <= charge.start_time_unix_nano
    assert charge.end_time_unix_nano <= decision.end_time_unix_nano


async def test_an_error_marks_the_span(collector: _Collector, tracing: Tracing) -> None:
    with pytest.raises(InvalidRequestError):
        await _limiter(tracing).should_rate_limit(_request(domain=""))
    await tracing.close()
    assert collector.spans()["ShouldRateLimit"].status.code == Status.STATUS_CODE_ERROR


async def test_a_caller_s_trace_goes_on_and_each_call_keeps_its_own(
    collector: _Collector, tracing: Tracing
) -> None:
    limiter = _limiter(tracing)

    async def call(metadata: list[tuple[str, str | bytes]]) -> None:
        tracing.continue_from(metadata)
        await limiter.should_rate_limit(_request())

    traceparent = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")
    await asyncio.gather(call([traceparent, ("key-bin", b"\x00")]), call([]))
    await tracing.close()
    spans = [
        span
        for request in collector.requests
        for span in request.resource_spans[0].scope_spans[0].spans
        if span.name == "ShouldRateLimit"
    ]
    assert len(spans) == 2
    parents = {(span.trace_id.hex() == TRACE_ID, span.parent_span_id.hex()) for span in spans}
    assert parents == {(True, PARENT_ID), (False, "")}


async def test_each_call_of_reservations_is_a_span(collector: _Collector, tracing: Tracing) -> None:
    how = TracedOptions(ReserverOptions(), tracing)
    limiter = _limiter(tracing)
    reserver = TracedReserver(limiter, Reservations(MemoryStore()), NullRecorder(), how)
    described = (Described((Entry("user", "ann"),)),)
    admission = await reserver.check_and_increment(
        ReserveRequest(Wish("shop", described)), Caller()
    )
    assert admission.standing is not None
    reservation_id = admission.standing.reservation_id
    await reserver.extend(ExtendRequest(reservation_id), Caller())
    await reserver.reconcile(ReconcileRequest(reservation_id, Usage(Report.RELEASED)), Caller())
    await reserver.get_usage(UsageRequest("shop", described), Caller())
    await tracing.close()
    spans = collector.spans()
    assert set(spans) == {"CheckAndIncrementByN", "Extend", "Reconcile", "GetUsage"}
    assert _attributes(spans["CheckAndIncrementByN"]) == {
        "ratelimit.domain": "shop",
        "ratelimit.descriptors": 1,
        "ratelimit.code": "OK",
    }


async def test_the_trace_of_a_grpc_call_goes_on(collector: _Collector, tracing: Tracing) -> None:
    limiter, calls = _limiter(tracing), Calls(NullRecorder())
    endpoint = RateLimitEndpoint(limiter, calls, AnswerOptions())
    reserver = reserver_over(MemoryStore(), limiter, NullRecorder())
    endpoints = Endpoints(calls, endpoint, reserver)
    address = GrpcSettings(TcpAddress("127.0.0.1", 0))
    server = GrpcServer(address, endpoints, Health(HealthSettings()), [TraceContext(tracing)])
    await server.start()
    entries = [RateLimitDescriptor.Entry(key="user", value="ann")]
    message = rls_pb2.RateLimitRequest(
        domain="shop", descriptors=[RateLimitDescriptor(entries=entries)]
    )
    async with grpc.aio.insecure_channel(str(server.address)) as channel:
        call = rls_pb2_grpc.RateLimitServiceStub(channel).ShouldRateLimit
        await call(message, metadata=[("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")])
    await server.stop()
    await tracing.close()
    decision = collector.spans()["ShouldRateLimit"]
    assert (decision.trace_id.hex(), decision.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{'0' * 32}-{PARENT_ID}-01", "ü"])
async def test_a_malformed_parent_is_ignored(
    collector: _Collector, tracing: Tracing, traceparent: str
) -> None:
    tracing.continue_from([("traceparent", traceparent)])
    await _limiter(tracing).should_rate_limit(_request())
    await tracing.close()
    assert not collector.spans()["ShouldRateLimit"].parent_span_id


async def test_the_standard_variables_name_the_service(
    collector: _Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resource() -> dict[str, str]:
        collector.requests.clear()
        tracing = open_tracing()
        with tracing.span("any", {}):
            pass
        await tracing.close()
        return collector.resource()

    assert (await resource())["service.name"] == "ratelimit-service"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "limits-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    named = await resource()
    assert named["service.name"] == "limits-eu"
    assert named["deployment.environment.name"] == "test"


def test_without_opentelemetry_the_error_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from ratelimit_service import traced\n"
        "from ratelimit_service.telemetry.tracing import open_tracing\n"
        "from ratelimit_service.errors import SettingsError\n"
        "try:\n"
        "    open_tracing()\n"
        "except SettingsError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert run.stdout.startswith("TRACING_ENABLED: needs OpenTelemetry")
    assert "pip install 'ratelimit-service[tracing]'" in run.stdout


def test_opentelemetry_is_not_imported_unless_tracing_is_on() -> None:
    program = (
        "import sys, ratelimit_service.traced, ratelimit_service.telemetry.tracing\n"
        "print(any(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
