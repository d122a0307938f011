"""Small scripts to send over a link, and links to send them over."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from ratelimit_service.config.settings import Address, StoreKind, StoreSettings
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.link import Link, Reply, Script, ScriptCall
from tests.support.cluster import Cluster
from tests.support.sentinels import SENTINEL_SERVICE, Sentinels


def script(source: str) -> Script:
    return Script("test", source, hashlib.sha1(source.encode()).hexdigest())  # noqa: S324  # as servers name scripts


ADD = script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
ADD_TO_ALL = script("for _, key in ipairs(KEYS) do redis.call('INCR', key) end return #KEYS")
FAIL = script("return redis.call('HGET', KEYS[1])")
ENDLESS = script("while true do end")


def add(key: str, amount: int = 1) -> ScriptCall:
    return ScriptCall(ADD, (key,), (amount,))


def at(*addresses: Address) -> StoreSettings:
    return StoreSettings(StoreKind.STANDALONE, addresses, timeout_s=5.0)


def behind(sentinels: Sentinels) -> StoreSettings:
    return replace(
        at(*sentinels.addresses), kind=StoreKind.SENTINEL, sentinel_service=SENTINEL_SERVICE
    )


def throughout(cluster: Cluster) -> StoreSettings:
    return replace(at(*cluster.addresses), kind=StoreKind.CLUSTER)


@asynccontextmanager
async def linked(settings: StoreSettings) -> AsyncIterator[Link]:
    link = open_link(settings)
    try:
        yield link
    finally:
        await link.close()


async def run(link: Link, *calls: ScriptCall) -> Sequence[Reply | StoreUnavailableError]:
    return await link.run(link.lane("".join(calls[0].keys[:1])), calls)


async def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    """Return when the condition holds, checked beside everything else that runs."""
    async with asyncio.timeout(deadline_s):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # servers send no events
            await asyncio.sleep(0.01)


async def seconds_until_served(link: Link, call: ScriptCall, deadline_s: float = 30.0) -> float:
    """Send a call again and again until it runs; say how long that took."""
    clock = asyncio.get_running_loop().time
    started = clock()
    async with asyncio.timeout(deadline_s):
        while isinstance((await run(link, call))[0], StoreUnavailableError):  # noqa: ASYNC110  # the same
            await asyncio.sleep(0.05)
    return clock() - started
