"""The life of the process: start, signals, drain, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Final

import structlog
import uvloop

from ratelimit_service.config.settings import Settings
from ratelimit_service.resources import example_rules
from ratelimit_service.runtime.service import Service, running
from ratelimit_service.runtime.try_next import try_next
from ratelimit_service.telemetry.logs import configure_logs

FORCED_EXIT: Final = 1

_log = structlog.get_logger(__name__)


def run_until_signalled(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the process at once.

    Raises what ``running`` raises.
    """
    configure_logs(settings.logs.level, json=settings.logs.json)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    signalled = _catch_signals()
    async with running(settings) as service:
        _announce(settings, service)
        name = await signalled
        _log.info("draining", signal=name, delay_s=settings.drain_delay_s)
        service.health.drain()
        await asyncio.sleep(settings.drain_delay_s)
    _log.info("stopped")


def _catch_signals() -> asyncio.Future[str]:
    """Return a future for the name of the first signal."""
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[str] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if signalled.done():
            os._exit(FORCED_EXIT)
        signalled.set_result(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return signalled


def _announce(settings: Settings, service: Service) -> None:
    for warning in settings.warnings:
        _log.warning(warning)
    _log.info(
        "listening",
        grpc=str(service.grpc_address),
        http=str(service.http_address),
        admin=str(service.admin_address),
        store=settings.store.kind.value,
        rules=str(settings.rules.path),
    )
    # Logs go to standard error; who has them as JSON has no person reading along.
    if settings.rules.path == example_rules() and not settings.logs.json:
        sys.stdout.write(try_next(service))
        sys.stdout.flush()
