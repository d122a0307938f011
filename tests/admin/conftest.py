from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import aiohttp
import pytest
from aiohttp import web

from ratelimit_service.admin.server import HttpServer
from ratelimit_service.config.settings import Address, HealthSettings, TcpAddress
from ratelimit_service.health import Health
from ratelimit_service.telemetry.prometheus import PrometheusRecorder

LOOPBACK = TcpAddress("127.0.0.1", 0)

Serve: TypeAlias = Callable[..., Awaitable[str]]


@pytest.fixture
def health() -> Health:
    return Health(HealthSettings())


@pytest.fixture
def recorder() -> PrometheusRecorder:
    return PrometheusRecorder()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve applications until the test ends, and say under which URL."""
    async with AsyncExitStack() as servers:

        async def start(app: web.Application, address: Address = LOOPBACK) -> str:
            server = await servers.enter_async_context(HttpServer(address, app))
            return f"http://{server.address}"

        yield start
