"""Everything that runs in the process, put together and taken apart in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ratelimit_service.admin.console import admin_app
from ratelimit_service.admin.rules import RulesReport
from ratelimit_service.admin.server import HttpServer
from ratelimit_service.admin.service import service_app
from ratelimit_service.config.settings import Address, Settings
from ratelimit_service.core.headers import HeaderNames
from ratelimit_service.health import Condition, Health
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.runtime.rules import RulesInForce, require_rules
from ratelimit_service.runtime.store_probe import StoreProbe
from ratelimit_service.runtime.supervisor import Supervisor
from ratelimit_service.store.open import open_store
from ratelimit_service.telemetry.decision_log import DecisionLog
from ratelimit_service.telemetry.prometheus import PrometheusRecorder
from ratelimit_service.telemetry.recorder import Recorder
from ratelimit_service.transport.grpc_server import GrpcServer
from ratelimit_service.transport.json_rls import JsonRateLimit
from ratelimit_service.transport.rls import AnswerOptions, RateLimitEndpoint


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
    recorder = DecisionLog(metrics) if settings.logs.level == "DEBUG" else metrics
    health = Health(settings.health)
    health.listen(lambda condition: _record(recorder, condition))
    async with AsyncExitStack() as stack:
        store = await open_store(settings.store, recorder)
        stack.push_async_callback(store.close)
        limiter = Limiter(store, recorder, LimiterOptions(settings.modes, settings.counting))
        watcher = RulesInForce(limiter, recorder, health).watch(settings)
        await watcher.poll_once()
        endpoint = RateLimitEndpoint(limiter, recorder, _answer_options(settings))
        supervisor = await stack.enter_async_context(Supervisor(health))
        admin = HttpServer(
            settings.admin_address,
            admin_app(
                settings.admin_address,
                lambda: RulesReport(limiter.rules, watcher.status),
                metrics.registry,
            ),
        )
        await stack.enter_async_context(admin)
        http = HttpServer(
            settings.http_address,
            service_app(JsonRateLimit(endpoint).decide_json, health, metrics.registry),
        )
        await stack.enter_async_context(http)
        grpc_server = GrpcServer(settings.grpc, endpoint, health)
        await stack.enter_async_context(grpc_server)
        supervisor.start("rules watcher", watcher.run)
        supervisor.start("store probe", StoreProbe(store, health, settings.store.timeout_s).run)
        yield Service(health, grpc_server.address, http.address, admin.address)


def _record(recorder: Recorder, condition: Condition) -> None:
    recorder.ready_changed(ready=condition.ready)


def _answer_options(settings: Settings) -> AnswerOptions:
    names = settings.headers
    return AnswerOptions(
        header_names=None
        if names is None
        else HeaderNames(names.limit, names.remaining, names.reset),
        dynamic_metadata=settings.dynamic_metadata,
    )
