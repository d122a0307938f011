"""What callers send stays out of the log, whatever becomes of their calls."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest

from ratelimit_service.admin.server import HttpServer
from ratelimit_service.admin.service import service_app
from ratelimit_service.config.load import load_rules
from ratelimit_service.config.settings import (
    GrpcSettings,
    HealthSettings,
    RulesSettings,
    TcpAddress,
)
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import StoreTimeoutError
from ratelimit_service.health import Health
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from ratelimit_service.pb.ratelimit_descriptor_pb2 import RateLimitDescriptor
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.telemetry.logs import configure_logs
from ratelimit_service.telemetry.prometheus import PrometheusRecorder
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.grpc_server import Endpoints, GrpcServer
from ratelimit_service.transport.json_rls import JsonRateLimit
from ratelimit_service.transport.rls import AnswerOptions, RateLimitEndpoint
from tests.transport.serving import reserver_over

VALUE = "recognisable"

pytestmark = pytest.mark.usefixtures("_own_logging")


class _FailingStore(MemoryStore):
    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        """Fail as a store that is away does, or as a defect would."""
        if any("defect" in step.value for charge in charges for step in charge.counter.path):
            raise ZeroDivisionError
        if any("away" in step.value for charge in charges for step in charge.counter.path):
            raise StoreTimeoutError("the store did not answer in 5 s")
        return await super().charge(charges, counting, timeout_s)


@dataclass(frozen=True)
class _Service:
    grpc: str
    http: str
    log: io.StringIO


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[_Service]:
    """Both edges over one limiter, with the log of both."""
    log = io.StringIO()
    configure_logs("INFO", log, json=True)
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "domain: shop\n"
        "descriptors: [{key: user, rate_limit: {unit: minute, requests_per_unit: 1}}]\n"
    )
    recorder, health = PrometheusRecorder(), Health(HealthSettings())
    limiter = Limiter(_FailingStore(), recorder, LimiterOptions())
    limiter.apply(load_rules(RulesSettings(rules)))
    calls = Calls(recorder)
    endpoint = RateLimitEndpoint(limiter, calls, AnswerOptions())
    endpoints = Endpoints(calls, endpoint, reserver_over(_FailingStore(), limiter, recorder))
    app = service_app(JsonRateLimit(endpoint).decide_json, health, recorder.registry)
    loopback = TcpAddress("127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        server = GrpcServer(GrpcSettings(loopback), endpoints, health)
        await server.start()
        stack.push_async_callback(server.stop)
        http = await stack.enter_async_context(HttpServer(loopback, app))
        yield _Service(str(server.address), f"http://{http.address}", log)


def _message(domain: str, key: str, value: str) -> rls_pb2.RateLimitRequest:
    entry = RateLimitDescriptor.Entry(key=key, value=value)
    return rls_pb2.RateLimitRequest(
        domain=domain, descriptors=[RateLimitDescriptor(entries=[entry])]
    )


async def _call_over_grpc(service: _Service) -> set[str]:
    messages = [
        _message("shop", "user", VALUE),
        _message("shop", "user", VALUE),
        _message(VALUE, VALUE, VALUE),
        _message("", VALUE, VALUE),
        _message("shop", "user", f"{VALUE} away"),
        _message("shop", "user", f"{VALUE} defect"),
    ]
    seen: set[str] = set()
    async with grpc.aio.insecure_channel(service.grpc) as channel:
        stub = rls_pb2_grpc.RateLimitServiceStub(channel)
        for message in messages:
            try:
                response = await stub.ShouldRateLimit(message, metadata=[("x-caller", VALUE)])
                seen.add(rls_pb2.RateLimitResponse.Code.Name(response.overall_code))
            except grpc.aio.AioRpcError as error:
                seen.add(error.code().name)
        name = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(name)
        with suppress(grpc.aio.AioRpcError):
            await method(VALUE.encode())
    return seen


async def _call_over_http(service: _Service) -> set[int]:
    entries = f'{{"entries": [{{"key": "user", "value": "{VALUE} $"}}]}}'
    bodies = [
        f'{{"domain": "shop", "descriptors": [{entries}]}}',
        f'{{"domain": "shop", "descriptors": [{entries.replace("$", "away")}]}}',
        f'{{"domain": "shop", "descriptors": [{entries.replace("$", "defect")}]}}',
        f'{{"domain": "{VALUE}", "no_such_field": "{VALUE}"}}',
        VALUE,
    ]
    seen: set[int] = set()
    async with aiohttp.ClientSession(headers={"X-Caller": VALUE}) as http:
        for body in [*bodies, bodies[0]]:
            async with http.post(f"{service.http}/json", data=body) as answer:
                seen.add(answer.status)
        for path in (f"/{VALUE}", f"/json?{VALUE}=1"):
            async with http.get(f"{service.http}{path}") as answer:
                seen.add(answer.status)
    return seen


async def test_no_value_of_a_caller_is_in_the_log_at_info(service: _Service) -> None:
    codes = await _call_over_grpc(service)
    assert codes >= {"OK", "OVER_LIMIT", "INVALID_ARGUMENT", "UNAVAILABLE", "INTERNAL"}
    assert await _call_over_http(service) >= {200, 429, 400, 503, 500, 404, 405}
    assert "defect" in service.log.getvalue()
    assert VALUE not in service.log.getvalue()
