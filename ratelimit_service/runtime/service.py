"""Everything that runs in the process, put together and taken apart in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ratelimit_service.admin.console import admin_app
from ratelimit_service.admin.rules import RulesReport
from ratelimit_service.admin.server import HttpServer
from ratelimit_service.admin.service import service_app
from ratelimit_service.config.settings import Address, HeaderSettings, Settings
from ratelimit_service.config.watch import RulesWatcher
from ratelimit_service.core.headers import HeaderNames
from ratelimit_service.health import Health
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.reserver import Reserver, ReserverOptions
from ratelimit_service.runtime.rules import RulesInForce, require_rules
from ratelimit_service.runtime.store_probe import StoreProbe
from ratelimit_service.runtime.supervisor import Supervisor
from ratelimit_service.store.base import Store
from ratelimit_service.store.driver import Driver
from ratelimit_service.store.open import open_store
from ratelimit_service.store.reservations import Reservations
from ratelimit_service.store.sweeper import Sweeper
from ratelimit_service.telemetry.decision_log import DecisionLog
from ratelimit_service.telemetry.prometheus import PrometheusRecorder
from ratelimit_service.telemetry.recorder import Recorder
from ratelimit_service.telemetry.tracing import Tracing, open_tracing
from ratelimit_service.traced import TracedLimiter, TracedOptions, TracedReserver
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.grpc_server import Endpoints, GrpcServer
from ratelimit_service.transport.json_rls import JsonRateLimit
from ratelimit_service.transport.rls import AnswerOptions, RateLimitEndpoint
from ratelimit_service.transport.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs, and where it listens."""

    health: Health
    grpc_address: Address
    http_address: Address
    admin_address: Address


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """Run the service for the time of an ``async with``; at its end calls under way finish.

    Raises StartError for rule files that are wrong, ListenError for an address that cannot
    be had and SettingsError for certificates that cannot be read. A store that is away is
    waited for in the background (F31).
    """
    require_rules(settings)
    metrics = PrometheusRecorder()
    health = Health(settings.health)
    health.listen(lambda condition: metrics.ready_changed(ready=condition.ready))
    recorder = DecisionLog(metrics) if settings.logs.level == "DEBUG" else metrics
    async with AsyncExitStack() as stack:
        tracing = await _open_tracing(settings, stack)
        store = await open_store(settings.store, recorder)
        stack.push_async_callback(store.close)
        driver = Driver(store)
        reservations = Reservations(store, driver)
        stack.push_async_callback(reservations.finish)
        limiter = _limiter(settings, store, recorder, tracing)
        watcher = RulesInForce(limiter, recorder, health).watch(settings)
        await watcher.poll_once()
        calls = Calls(recorder)
        endpoint = RateLimitEndpoint(limiter, calls, _answer_options(settings))
        supervisor = await stack.enter_async_context(Supervisor(health))
        view = partial(_report, limiter, watcher)
        app = admin_app(settings.admin_address, view, metrics.registry)
        admin = await stack.enter_async_context(HttpServer(settings.admin_address, app))
        app = service_app(JsonRateLimit(endpoint).decide_json, health, metrics.registry)
        http = await stack.enter_async_context(HttpServer(settings.http_address, app))
        interceptors = () if tracing is None else (TraceContext(tracing),)
        reserver = _reserver(settings, limiter, reservations, recorder, tracing)
        endpoints = Endpoints(calls, endpoint, reserver)
        grpc_server = GrpcServer(settings.grpc, endpoints, health, interceptors)
        await stack.enter_async_context(grpc_server)
        supervisor.start("rules watcher", watcher.run)
        supervisor.start("sweeper", Sweeper(store, driver, recorder).run)
        supervisor.start("store probe", StoreProbe(store, health, settings.store.timeout_s).run)
        yield Service(health, grpc_server.address, http.address, admin.address)


async def _open_tracing(settings: Settings, stack: AsyncExitStack) -> Tracing | None:
    if not settings.tracing:
        return None
    tracing = open_tracing()
    stack.push_async_callback(tracing.close)
    return tracing


def _limiter(
    settings: Settings, store: Store, recorder: Recorder, tracing: Tracing | None
) -> Limiter:
    options = LimiterOptions(settings.modes, settings.counting)
    if tracing is None:
        return Limiter(store, recorder, options)
    return TracedLimiter(store, recorder, options, tracing)


def _report(limiter: Limiter, watcher: RulesWatcher) -> RulesReport:
    return RulesReport(limiter.rules, watcher.status)


def _reserver(
    settings: Settings,
    limiter: Limiter,
    reservations: Reservations,
    recorder: Recorder,
    tracing: Tracing | None,
) -> Reserver:
    given = settings.headers or HeaderSettings()  # reservations always have limit headers
    options = ReserverOptions(HeaderNames(given.limit, given.remaining, given.reset))
    if tracing is None:
        return Reserver(limiter, reservations, recorder, options)
    return TracedReserver(limiter, reservations, recorder, TracedOptions(options, tracing))


def _answer_options(settings: Settings) -> AnswerOptions:
    given = settings.headers
    names = None if given is None else HeaderNames(given.limit, given.remaining, given.reset)
    return AnswerOptions(header_names=names, dynamic_metadata=settings.dynamic_metadata)
