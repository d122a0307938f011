"""A closed loop of ShouldRateLimit calls: each worker sends its next when it has an answer.

Usage: python -m tests.bench.load PORT IN_FLIGHT SECONDS, prints a Measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Final

import grpc.aio
import uvloop

from ratelimit_service.pb import ratelimit_descriptor_pb2, rls_pb2

METHOD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
DOMAIN: Final = "bench"
USERS: Final = 1_000
WARM_UP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Calls answered with OK in the counted time, and their latency in milliseconds."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.calls / self.seconds


def requests() -> list[bytes]:
    """Serialize requests of two descriptors each, one shared by ten users and one a user's own."""
    return [_request(f"team-{user // 10}", f"user-{user}") for user in range(USERS)]


def _request(team: str, user: str) -> bytes:
    descriptor = ratelimit_descriptor_pb2.RateLimitDescriptor
    entry = descriptor.Entry
    return rls_pb2.RateLimitRequest(
        domain=DOMAIN,
        descriptors=[
            descriptor(entries=[entry(key="team", value=team)]),
            descriptor(entries=[entry(key="team", value=team), entry(key="user", value=user)]),
        ],
    ).SerializeToString()


async def measure(port: int, in_flight: int, seconds: float) -> Measured:
    """Keep calls in flight for a while and measure those after the warm-up."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        bodies = requests()
        counted_from = perf_counter() + WARM_UP_S
        until = counted_from + seconds
        latencies: list[float] = []

        async def work(worker: int) -> None:
            index = worker
            while (started := perf_counter()) < until:
                await call(bodies[index % USERS], timeout=5.0)
                index += in_flight
                if started >= counted_from:
                    latencies.append(perf_counter() - started)

        await asyncio.gather(*(work(worker) for worker in range(in_flight)))
        elapsed = perf_counter() - counted_from
    latencies.sort()
    return Measured(
        len(latencies),
        elapsed,
        latencies[len(latencies) // 2] * 1000,
        latencies[len(latencies) * 99 // 100] * 1000,
    )


if __name__ == "__main__":
    found = uvloop.run(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(json.dumps(asdict(found)))
