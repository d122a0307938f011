"""Drives the protocols of reservations: their messages to a store, their pauses, their answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Final

from ratelimit_service.core.protocols.answers import Result
from ratelimit_service.core.protocols.steps import (
    ROUND_US,
    Answer,
    Given,
    Lost,
    Pause,
    Protocol,
    Replies,
    Resumed,
    Round,
)
from ratelimit_service.errors import OverloadedError, StoreTimeoutError
from ratelimit_service.store.base import Store
from ratelimit_service.store.redis.link import CrossSlotError

ROUND_S: Final = ROUND_US / 1_000_000


class Driver:
    """Runs protocols, each in a task of its own, so that none ends where its caller does.

    A protocol ends soon after its deadline by itself: its rounds are bounded by the store's
    timeout, and its pauses say that no time is left.
    """

    def __init__(self, store: Store, jitter: random.Random | None = None) -> None:
        """``jitter`` says how long pauses are; a seeded one makes a test repeatable."""
        self._store = store
        self._jitter = jitter or random.Random()  # noqa: S311  # only spreads callers in time
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self,
        protocol: Protocol,
        deadline: float,
        unheard: Callable[[Result], None] = lambda _: None,
    ) -> Result:
        """Drive a protocol and return its answer as soon as there is one.

        ``deadline`` is in the time of the event loop. Where the caller is gone before the
        answer comes, by cancellation or for lack of time, the protocol goes on (F56) and
        ``unheard`` is given the answer.

        Raises StoreTimeoutError at the deadline; and, when nothing was done yet,
        OverloadedError and CrossSlotError.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._drive(protocol, deadline, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(partial(_answer_by_end, answer))
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(answer)
        except TimeoutError:
            _hand_over(answer, unheard)
            raise StoreTimeoutError("the reservation was not decided in time") from None
        except asyncio.CancelledError:
            _hand_over(answer, unheard)
            raise

    async def finish(self) -> None:
        """Return when every protocol has come to its end."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _drive(
        self, protocol: Protocol, deadline: float, answer: asyncio.Future[Result]
    ) -> None:
        step = next(protocol)
        begun = False
        while True:
            given: Given = None
            match step:
                case Round():
                    given = await self._round(step, begun=begun)
                    begun = True
                case Pause():
                    given = await self._pause(step, deadline)
                case Answer():
                    answer.set_result(step.result)
            try:
                step = protocol.send(given)
            except StopIteration:
                return

    async def _round(self, asked: Round, *, begun: bool) -> Replies:
        try:
            return Replies(tuple(await self._store.deliver(asked.sent, ROUND_S)))
        except (OverloadedError, CrossSlotError):
            if not begun:
                raise
            return Replies((Lost(),) * len(asked.sent))

    async def _pause(self, asked: Pause, deadline: float) -> Resumed:
        """Pause unless that would leave no time for another try."""
        pause_s = asked.at_most_us / 1_000_000 * self._jitter.uniform(0.5, 1.0)
        if asyncio.get_running_loop().time() + pause_s >= deadline:
            return Resumed(time_left=False)
        await asyncio.sleep(pause_s)
        return Resumed(time_left=True)


def _answer_by_end(answer: asyncio.Future[Result], task: asyncio.Task[None]) -> None:
    """Tell the caller how a protocol ended that gave no answer."""
    if answer.done():
        return
    if task.cancelled():
        answer.cancel()
    else:
        answer.set_exception(task.exception() or RuntimeError("a protocol gave no answer"))


def _hand_over(answer: asyncio.Future[Result], unheard: Callable[[Result], None]) -> None:
    def tell(done: asyncio.Future[Result]) -> None:
        if not done.cancelled() and done.exception() is None:
            unheard(done.result())

    answer.add_done_callback(tell)
