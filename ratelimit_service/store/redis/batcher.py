"""Operations that arrive while a script call is under way go together in the next one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from ratelimit_service.errors import OverloadedError, StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.redis.link import CrossSlotError, Link, Reply
from ratelimit_service.store.redis.operation import Operation, compose, deliver
from ratelimit_service.store.redis.pace import Pace
from ratelimit_service.telemetry.recorder import Recorder

BATCH_CHARGES: Final = 256
"""A pipeline carries no more charges than this, unless one operation alone does."""

WAITING_CHARGES: Final = 16_384
"""More charges than this do not wait for one node."""

LINGER_S: Final = 0.004
"""No operation waits longer than this for others to join it, once it could be sent."""


class Lane:
    """The way to one node: at most one pipeline under way, and the operations that wait for it.

    An operation that finds the lane idle goes out at once. Its answer gets the outcomes, or
    a StoreUnavailableError.
    """

    def __init__(
        self, name: str, link: Link, recorder: Recorder, time_argument: Callable[[], str]
    ) -> None:
        self._name = name
        self._link = link
        self._recorder = recorder
        self._time_argument = time_argument
        self._waiting: OrderedDict[Operation, None] = OrderedDict()
        self._waiting_charges = 0
        self._pace = Pace()
        self._first_came = 0.0
        self._last_returned = -LINGER_S
        self._enough: asyncio.Event | None = None
        self._pump: asyncio.Task[None] | None = None

    def submit(self, operation: Operation) -> None:
        """Take an operation in. Raises OverloadedError when too many wait."""
        charges = len(operation.charges)
        if self._waiting and self._waiting_charges + charges > WAITING_CHARGES:
            raise OverloadedError(f"{self._waiting_charges} charges wait for the store already")
        if not self._waiting:
            self._first_came = perf_counter()
        self._waiting[operation] = None
        self._waiting_charges += charges
        if self._enough is not None and self._is_enough():
            self._enough.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._send_all())

    def withdraw(self, operation: Operation) -> None:
        """Forget an operation that was not sent yet; nothing happens to others."""
        if operation in self._waiting:
            del self._waiting[operation]
            self._waiting_charges -= len(operation.charges)

    async def close(self) -> None:
        """End the call under way; it and what waits fail with StoreUnavailableError."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting_charges = 0
        _fail(waiting, StoreUnavailableError("the store was closed"))
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])

    async def _send_all(self) -> None:
        while self._waiting:
            await self._gather()
            if batch := self._take():  # else all were withdrawn meanwhile
                self._pace.sent(len(batch))
                await self._exchange(batch)
            self._last_returned = perf_counter()

    async def _gather(self) -> None:
        """Wait a moment for more operations where calls follow each other closely."""
        idle_s = perf_counter() - self._last_returned
        rest_s = self._first_came + LINGER_S - perf_counter()
        if self._is_enough() or idle_s > LINGER_S or rest_s <= 0:
            return
        self._enough = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(rest_s, self._enough.set)
        try:
            await self._enough.wait()
        finally:
            timer.cancel()
            self._enough = None

    def _is_enough(self) -> bool:
        return len(self._waiting) >= self._pace.target or self._waiting_charges >= BATCH_CHARGES

    def _take(self) -> Sequence[Operation]:
        """Take out what fills one batch, in order of arrival, and at least one operation."""
        batch: list[Operation] = []
        room = BATCH_CHARGES
        while self._waiting:
            operation = next(iter(self._waiting))
            room -= len(operation.charges)
            if batch and room < 0:
                break
            self.withdraw(operation)
            batch.append(operation)
        self._first_came = perf_counter()
        return batch

    async def _exchange(self, batch: Sequence[Operation]) -> None:
        """Send a batch, one call for each slot, and answer its operations."""
        try:
            await self._run(batch)
        finally:
            _fail(batch, StoreUnavailableError("the call to the store was broken off"))

    async def _run(self, batch: Sequence[Operation]) -> None:
        by_slot: dict[int | None, list[Operation]] = {}
        for operation in batch:
            by_slot.setdefault(operation.slot, []).append(operation)
        time = self._time_argument()
        calls = [compose(operations, time) for operations in by_slot.values()]
        started = perf_counter()
        replies = await self._link.run(self._name, calls)
        seconds = perf_counter() - started
        for operations, reply in zip(by_slot.values(), replies, strict=True):
            self._settle(operations, reply, seconds)

    def _settle(
        self,
        operations: Sequence[Operation],
        reply: Reply | StoreUnavailableError,
        seconds: float,
    ) -> None:
        try:
            if isinstance(reply, StoreUnavailableError):
                raise reply
            deliver(operations, reply)
        except StoreUnavailableError as error:
            self._recorder.store_failed(_kind(error))
            _fail(operations, error)
        else:
            charges = sum(len(operation.charges) for operation in operations)
            self._recorder.store_called(charges, seconds)


def _kind(error: StoreUnavailableError) -> str:
    """Name an error in metrics."""
    if isinstance(error, StoreTimeoutError):
        return "timeout"
    return "cross_slot" if isinstance(error, CrossSlotError) else "unavailable"


def _fail(operations: Sequence[Operation], error: StoreUnavailableError) -> None:
    """Fail the operations that have no answer yet."""
    for operation in operations:
        if not operation.answer.done():
            operation.answer.set_exception(error)
