"""Protocols go on to their end, whoever waits for them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from ratelimit_service.core.messages import Read
from ratelimit_service.core.protocols.answers import Result, Swept
from ratelimit_service.core.protocols.steps import (
    Lost,
    Protocol,
    Reply,
    Sent,
    ask_one,
    pause,
    tell,
)
from ratelimit_service.errors import OverloadedError, StoreTimeoutError
from ratelimit_service.store.driver import Driver
from ratelimit_service.store.memory import MemoryStore

LONG_S = 20.0


class SlowStore(MemoryStore):
    """Answers when it is let, or has no room."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.asked = asyncio.Event()
        self.rounds = 0
        self.full_at: set[int] = set()

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        self.rounds += 1
        if self.rounds in self.full_at:
            raise OverloadedError("full")
        self.asked.set()
        await self.open.wait()
        return await super().deliver(sent, timeout_s)


@pytest.fixture
async def store() -> SlowStore:
    return SlowStore()


def two_rounds() -> Protocol:
    """Answer how many of two rounds were lost, and say a third."""
    replies = [(yield from ask_one("", Read("name"))), (yield from ask_one("", Read("name")))]
    yield from tell(Swept(2, sum(isinstance(reply, Lost) for reply in replies)))
    yield from ask_one("", Read("name"))


def in_s(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_the_answer_comes_before_the_tidying_up(store: SlowStore) -> None:
    driver = Driver(store)
    store.open.set()

    assert await driver.run(two_rounds(), in_s(LONG_S)) == Swept(2, 0)
    await driver.finish()
    assert store.rounds == 3


async def test_it_goes_on_when_its_caller_goes_away(store: SlowStore) -> None:
    """F56."""
    driver, unheard = Driver(store), list[Result]()
    call = asyncio.create_task(driver.run(two_rounds(), in_s(LONG_S), unheard.append))
    await store.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert store.rounds == 1
    store.open.set()
    await driver.finish()

    assert store.rounds == 3
    assert unheard == [Swept(2, 0)]


async def test_it_goes_on_when_its_caller_has_no_time(store: SlowStore) -> None:
    """F32: the caller is answered at its deadline."""
    driver, unheard = Driver(store), list[Result]()
    with pytest.raises(StoreTimeoutError):
        await driver.run(two_rounds(), in_s(0.02), unheard.append)
    store.open.set()
    await driver.finish()

    assert unheard == [Swept(2, 0)]


async def test_a_store_without_room_refuses_at_once_but_not_half_way(store: SlowStore) -> None:
    driver = Driver(store)
    store.open.set()
    store.full_at = {1, 3}
    with pytest.raises(OverloadedError):
        await driver.run(two_rounds(), in_s(LONG_S))
    assert store.rounds == 1

    assert await driver.run(two_rounds(), in_s(LONG_S)) == Swept(2, 1)
    await driver.finish()


async def test_a_pause_ends_before_the_deadline(store: SlowStore) -> None:
    def impatient() -> Protocol:
        pauses = 0
        while (yield from pause(20)):
            pauses += 1
        yield from tell(Swept(pauses, pauses))

    started = in_s(0)
    result = await Driver(store, random.Random(1)).run(impatient(), in_s(0.5))

    assert isinstance(result, Swept)
    assert 2 <= result.found <= 5
    assert in_s(0) - started < 0.5


async def test_a_defect_reaches_who_waits(store: SlowStore) -> None:
    def broken() -> Protocol:
        yield from ()
        raise ZeroDivisionError

    def silent() -> Protocol:
        yield from pause(0)

    driver = Driver(store)
    with pytest.raises(ZeroDivisionError):
        await driver.run(broken(), in_s(LONG_S))
    with pytest.raises(RuntimeError, match="no answer"):
        await driver.run(silent(), in_s(LONG_S))
