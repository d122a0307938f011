"""A real gRPC server on loopback over a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from ratelimit_service.config.settings import Address, GrpcSettings, HealthSettings, TcpAddress
from ratelimit_service.core.headers import HeaderNames
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.terms import Counting
from ratelimit_service.health import RULES, STORE, Health
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.pb import ratelimit_descriptor_pb2, rls_pb2, rls_pb2_grpc
from ratelimit_service.reserver import Reserver, ReserverOptions
from ratelimit_service.store.base import Store
from ratelimit_service.store.memory import MemoryStore, wall_clock_us
from ratelimit_service.store.reservations import Reservations
from ratelimit_service.telemetry.prometheus import PrometheusRecorder
from ratelimit_service.telemetry.recorder import Recorder
from ratelimit_service.transport.calls import DEFAULT_MAX_UNDER_WAY, Calls
from ratelimit_service.transport.grpc_server import Endpoints, GrpcServer
from ratelimit_service.transport.rls import AnswerOptions, RateLimitEndpoint
from tests.core.rulesets import DOMAIN, limited, rule_set

LOOPBACK: Final = TcpAddress("127.0.0.1", 0)
NOON_US: Final = 1_700_000_000_000_000
DEADLINE_S: Final = 20.0


class GatedStore(MemoryStore):
    """A store whose answers wait until the gate opens, and that notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(lambda: NOON_US)
        self.gate = asyncio.Event()
        self.waiting = 0
        self.timeouts_s: list[float] = []

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        self.timeouts_s.append(timeout_s)
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().charge(charges, counting, timeout_s)


class BrokenStore(MemoryStore):
    """A store that ends every charge with an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(lambda: NOON_US)
        self.error: Exception | None = error

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        if self.error is not None:
            raise self.error
        return await super().charge(charges, counting, timeout_s)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a server under test is made of. The clock of its store stands still."""

    rules: RuleSet | None = field(default_factory=lambda: rule_set(k=limited(2)))
    store: Store = field(default_factory=lambda: MemoryStore(lambda: NOON_US))
    grpc: GrpcSettings = field(default_factory=lambda: GrpcSettings(LOOPBACK))
    answers: AnswerOptions = field(default_factory=AnswerOptions)
    max_under_way: int = DEFAULT_MAX_UNDER_WAY
    clock: Callable[[], int] = lambda: NOON_US


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and what it reports to."""

    server: GrpcServer
    endpoint: RateLimitEndpoint
    health: Health
    metrics: PrometheusRecorder

    @property
    def address(self) -> Address:
        return self.server.address

    def errors(self, code: str) -> float:
        """Return how many calls ended with an error."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "ratelimit_errors_total" and sample.labels["code"] == code
        )


def build(setup: Setup) -> Served:
    """Put a server together without starting it."""
    metrics = PrometheusRecorder()
    limiter = Limiter(setup.store, metrics, LimiterOptions())
    if setup.rules is not None:
        limiter.apply(setup.rules)
        metrics.rules_loaded(setup.rules)
    calls = Calls(metrics, setup.max_under_way)
    endpoint = RateLimitEndpoint(limiter, calls, setup.answers)
    health = Health(HealthSettings())
    reserver = reserver_over(setup.store, limiter, metrics, setup.clock)
    server = GrpcServer(setup.grpc, Endpoints(calls, endpoint, reserver), health)
    return Served(server, endpoint, health, metrics)


def reserver_over(
    store: Store, limiter: Limiter, recorder: Recorder, now_us: Callable[[], int] = wall_clock_us
) -> Reserver:
    """Reservations over a store."""
    names = HeaderNames("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    reservations = Reservations(store, now_us=now_us)
    return Reserver(limiter, reservations, recorder, ReserverOptions(names, now_us=now_us))


@asynccontextmanager
async def serving(setup: Setup | None = None) -> AsyncIterator[Served]:
    """Run a server that is ready."""
    served = build(setup or Setup())
    served.health.working(RULES)
    served.health.working(STORE)
    async with served.server:
        yield served


@asynccontextmanager
async def calling(served: Served) -> AsyncIterator[rls_pb2_grpc.RateLimitServiceAsyncStub]:
    """Open a connection to a server without TLS."""
    async with grpc.aio.insecure_channel(str(served.address)) as channel:
        yield rls_pb2_grpc.RateLimitServiceStub(channel)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for raises no event
            await asyncio.sleep(0.005)


def request(
    *descriptors: ratelimit_descriptor_pb2.RateLimitDescriptor,
    domain: str = DOMAIN,
    hits_addend: int = 0,
) -> rls_pb2.RateLimitRequest:
    """A request, by default one that asks for the key ``k``."""
    return rls_pb2.RateLimitRequest(
        domain=domain, descriptors=descriptors or (asking(),), hits_addend=hits_addend
    )


def asking(key: str = "k", value: str = "v") -> ratelimit_descriptor_pb2.RateLimitDescriptor:
    """A descriptor of one entry."""
    return ratelimit_descriptor_pb2.RateLimitDescriptor(
        entries=[ratelimit_descriptor_pb2.RateLimitDescriptor.Entry(key=key, value=value)]
    )
