"""A crowd that races for a limit, and what must be true once all has come to its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.core.protocols.answers import Refused, Replayed, Reserved, Settled
from ratelimit_service.core.protocols.steps import DUE_US
from ratelimit_service.errors import ServiceError
from ratelimit_service.store.driver import Driver
from ratelimit_service.store.homes import HOMES
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.store.reservations import Answered
from ratelimit_service.store.sweeper import Sweeper
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.chaos.mortal import DeadError
from tests.store.reserving import Desk, Want, used
from tests.store.subjects import Clock
from tests.support.cluster import Cluster

TTL_US = 3_000_000_000
"""Longer than any story, so that no hold ends by itself."""

KNOWN = (Reserved, Replayed, Refused)


@asynccontextmanager
async def store_on(cluster: Cluster, clock: Clock) -> AsyncIterator[RedisStore]:
    """Open a store on a cluster, that follows a test's clock."""
    settings = StoreSettings(StoreKind.CLUSTER, cluster.addresses, timeout_s=30.0)
    store = RedisStore(open_link(settings), NullRecorder(), now_us=clock)
    try:
        await store.ping()
        yield store
    finally:
        await store.close()


@dataclass(slots=True)
class Crowd:
    """Callers by their request ids, and what each has heard."""

    wants: Sequence[Want]
    limit: int
    answers: dict[str, Answered] = field(default_factory=dict)

    @property
    def admitted(self) -> dict[str, Answered]:
        """Those who have heard OK, or that they had been admitted before."""
        return {
            request_id: answered
            for request_id, answered in self.answers.items()
            if isinstance(answered.result, Reserved | Replayed)
        }

    async def call(self, desk: Desk, request_id: str) -> None:
        """Ask under an id; whoever hears nothing certain has no answer."""
        try:
            answered = await desk.reserve(*self.wants, request_id=request_id, ttl_us=TTL_US)
        except (ServiceError, DeadError):
            return
        if isinstance(answered.result, KNOWN):
            self.answers[request_id] = answered

    async def repeat(self, desk: Desk, request_ids: Sequence[str]) -> None:
        """Ask again for those who have no answer, until all have one."""
        while missing := [each for each in request_ids if each not in self.answers]:
            await asyncio.gather(*(self.call(desk, request_id) for request_id in missing))


async def sweep_all(store: RedisStore, clock: Clock) -> int:
    """Let what is left undone come due, and sweep every home; return how much was found."""
    clock.now_us += DUE_US + 1
    driver = Driver(store)
    sweeper = Sweeper(store, driver, NullRecorder())
    swept = await asyncio.gather(*(sweeper.sweep(number) for number in range(HOMES)))
    await driver.finish()
    assert all(each is not None and each.found == each.ended for each in swept)
    return sum(each.found for each in swept if each is not None)


async def check(crowd: Crowd, store: RedisStore, clock: Clock, seed: int) -> None:
    """Check that exactly the limit was admitted, and that nothing is left when all is settled."""
    rng, desk = random.Random(seed), Desk(store)
    names = sorted(crowd.admitted)
    assert len(names) == crowd.limit
    await sweep_all(store, clock)
    assert await desk.held(*crowd.wants) == [(crowd.limit, crowd.limit)] * len(crowd.wants)
    actuals = [rng.randrange(4) for _ in names]
    settled = await asyncio.gather(
        *(
            desk.settle(crowd.answers[name], used(actual))
            for name, actual in zip(names, actuals, strict=True)
        )
    )
    assert all(isinstance(result, Settled) for result in settled)
    await desk.reservations.finish()
    assert await sweep_all(store, clock) == 0
    assert await desk.held(*crowd.wants) == [(sum(actuals), 0)] * len(crowd.wants)
