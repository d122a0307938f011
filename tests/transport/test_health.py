"""What health checks hear over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2

from ratelimit_service.health import RULES, STORE
from tests.transport.health_calls import check, watching
from tests.transport.serving import DEADLINE_S, Setup, build, serving

Status = health_pb2.HealthCheckResponse
NAMES = ["", "ratelimit", "envoy.service.ratelimit.v3.RateLimitService"]


@pytest.mark.parametrize("name", NAMES)
async def test_health_follows_the_service_from_start_to_drain(name: str) -> None:
    """F31, F57, F58: bad until ready, good while the store is away, bad in a drain."""
    served = build(Setup())
    async with (
        served.server,
        grpc.aio.insecure_channel(str(served.server.address)) as channel,
    ):
        watch = watching(channel, name)
        heard = aiter(watch)
        await _hear(heard, Status.NOT_SERVING)

        served.health.working(RULES)
        assert await check(channel, name) == Status.NOT_SERVING
        served.health.working(STORE)
        await _hear(heard, Status.SERVING)
        assert await check(channel, name) == Status.SERVING

        served.health.failing("a task", "failed")
        await _hear(heard, Status.NOT_SERVING)
        served.health.working("a task")
        await _hear(heard, Status.SERVING)

        served.health.failing(STORE, "away")
        assert await check(channel, name) == Status.SERVING

        served.health.drain()
        await _hear(heard, Status.NOT_SERVING)
        watch.cancel()


async def test_a_name_that_is_not_served_is_not_found() -> None:
    async with serving() as served, grpc.aio.insecure_channel(str(served.address)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(channel, "other")

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_who_watches_the_health_does_not_hold_up_the_end() -> None:
    served = build(Setup())
    await served.server.start()
    async with grpc.aio.insecure_channel(str(served.server.address)) as channel:
        heard = aiter(watching(channel))
        await _hear(heard, Status.NOT_SERVING)

        # Far less than the ten seconds that calls under way are waited for.
        async with asyncio.timeout(5):
            await served.server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await anext(heard)


async def _hear(heard: AsyncIterator[health_pb2.HealthCheckResponse], wanted: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await anext(heard)).status != wanted:
            pass
