"""The reservation API over real gRPC connections, on each kind of store."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration

from ratelimit_service.config.load import load_rules
from ratelimit_service.config.settings import GrpcSettings, RulesSettings
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import decision_pb2_grpc, rls_pb2_grpc
from ratelimit_service.store.base import Store
from tests.store.subjects import Clock
from tests.transport.serving import LOOPBACK, Served, Setup, serving

SECOND_US: Final = 1_000_000
OK: Final = pb.OK
OVER_LIMIT: Final = pb.OVER_LIMIT
_files = itertools.count()

Fields: TypeAlias = Any
"""Fields of a message, by name, as its constructor takes them."""


NOBODY: Final = pb.Descriptor(entries=[pb.Entry(key="nobody", value="x")])

TOKENS: Final = """
    domain: d
    enforcement: strict
    descriptors:
      - key: team
        hits_measure: tokens
        limits: [{name: tpm, measure: tokens, amount: 100, window: 1h}]
      - key: user
        limits: [{name: rpm, measure: requests, amount: 3, window: 1h}]
    """
"""Rules with a limit of tokens for each team, and one of requests for each user."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where reservations are kept, at a time that the test sets, and where rule files may be."""

    store: Store
    clock: Clock
    folder: Path

    def rules(self, text: str) -> Path:
        """Write a rule file."""
        path = self.folder / f"rules{next(_files)}.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return path


@dataclass(frozen=True, slots=True)
class Desk:
    """One replica of the service, and a connection to it."""

    served: Served
    service: decision_pb2_grpc.DecisionServiceAsyncStub
    rate_limit: rls_pb2_grpc.RateLimitServiceAsyncStub
    clock: Clock

    async def reserve(
        self, *descriptors: pb.Descriptor, **fields: Fields
    ) -> pb.CheckAndIncrementByNResponse:
        """Reserve for descriptors, by default for ``team=a``."""
        fields = {"domain": "d", "descriptors": descriptors or (team(),), **fields}
        return await self.service.CheckAndIncrementByN(pb.CheckAndIncrementByNRequest(**fields))

    async def settle(self, reservation_id: str, **amounts: int) -> pb.ReconcileResponse:
        """Settle to these amounts."""
        actual = pb.Actual(amounts=amounts)
        message = pb.ReconcileRequest(reservation_id=reservation_id, actual=actual)
        return await self.service.Reconcile(message)

    async def release(self, reservation_id: str) -> pb.ReconcileResponse:
        """Settle to nothing."""
        message = pb.ReconcileRequest(reservation_id=reservation_id, released=pb.Released())
        return await self.service.Reconcile(message)

    async def keep(self, reservation_id: str) -> pb.ReconcileResponse:
        """Settle to what was reserved."""
        unknown = pb.UsageUnknown()
        message = pb.ReconcileRequest(reservation_id=reservation_id, usage_unknown=unknown)
        return await self.service.Reconcile(message)

    async def extend(self, reservation_id: str, **fields: Fields) -> pb.ExtendResponse:
        """Extend."""
        return await self.service.Extend(pb.ExtendRequest(reservation_id=reservation_id, **fields))

    async def usage(self, *descriptors: pb.Descriptor) -> pb.GetUsageResponse:
        """Look, by default at ``team=a``."""
        message = pb.GetUsageRequest(domain="d", descriptors=descriptors or (team(),))
        return await self.service.GetUsage(message)

    async def counted(self, limit: str = "", *descriptors: pb.Descriptor) -> tuple[int, int]:
        """Return what a limit of the first descriptor has used, and what it holds."""
        found = one_limit((await self.usage(*descriptors)).statuses[0], limit)
        return found.used, found.held

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now_us += round(seconds * SECOND_US)


def one_limit(status: pb.DescriptorStatus, name: str = "") -> pb.LimitStatus:
    """Return a limit's status by its name; without one, of the only limit."""
    (found,) = [limit for limit in status.limits if not name or limit.name == name]
    return found


def team(name: str = "a", **fields: Fields) -> pb.Descriptor:
    """A descriptor of one entry."""
    return pb.Descriptor(entries=[pb.Entry(key="team", value=name)], **fields)


def user(name: str = "u", **fields: Fields) -> pb.Descriptor:
    """A descriptor of one entry, of another key."""
    return pb.Descriptor(entries=[pb.Entry(key="user", value=name)], **fields)


def seconds(number: float) -> Duration:
    """A duration."""
    return Duration(seconds=int(number), nanos=round(number % 1 * 1e9))


def problem(response: pb.CheckAndIncrementByNResponse) -> dict[str, str | int]:
    """Return the body of a refusal."""
    body: dict[str, str | int] = json.loads(response.http_body)
    return body


@asynccontextmanager
async def desk(place: Place, rules: str) -> AsyncIterator[Desk]:
    """Run a replica with rules, and connect to it."""
    path = place.rules(rules)
    setup = Setup(
        load_rules(RulesSettings(path)), place.store, GrpcSettings(LOOPBACK), clock=place.clock
    )
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(setup))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(str(served.address)))
        yield Desk(
            served,
            decision_pb2_grpc.DecisionServiceStub(channel),
            rls_pb2_grpc.RateLimitServiceStub(channel),
            place.clock,
        )


@asynccontextmanager
async def two_desks(place: Place, rules: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two replicas over the same store."""
    async with desk(place, rules) as one, desk(place, rules) as other:
        yield one, other


async def failing(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """Return how a call ends that is answered with an error."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"expected an error, not {answer}")
