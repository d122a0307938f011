"""What arrives while a script call is under way goes together in the next pipeline."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias

from ratelimit_service.errors import OverloadedError, StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.redis.errand import Errand
from ratelimit_service.store.redis.link import CrossSlotError, Link, Reply, ScriptCall
from ratelimit_service.store.redis.operation import Operation, compose, deliver
from ratelimit_service.store.redis.pace import Pace
from ratelimit_service.telemetry.recorder import Recorder

BATCH_CHARGES: Final = 256
"""A pipeline carries no more charges than this, unless one operation alone does."""

WAITING_CHARGES: Final = 16_384
"""More charges than this do not wait for one node."""

LINGER_S: Final = 0.004
"""No operation waits longer than this for others to join it, once it could be sent."""


Item: TypeAlias = Operation | Errand


class Lane:
    """The way to one node: at most one pipeline under way, and the items that wait for it.

    An item that finds the lane idle goes out at once. Its answer gets what its script
    replied, or a StoreUnavailableError. Operations of a slot go in one call, each errand in
    one of its own.
    """

    def __init__(
        self, name: str, link: Link, recorder: Recorder, time_argument: Callable[[], str]
    ) -> None:
        self._name = name
        self._link = link
        self._recorder = recorder
        self._time_argument = time_argument
        self._waiting: OrderedDict[Item, None] = OrderedDict()
        self._waiting_charges = 0
        self._pace = Pace()
        self._first_came = 0.0
        self._last_returned = -LINGER_S
        self._enough: asyncio.Event | None = None
        self._pump: asyncio.Task[None] | None = None

    def require_room(self, weight: int) -> None:
        """Raise OverloadedError when too many wait for items of this weight to join them."""
        if self._waiting and self._waiting_charges + weight > WAITING_CHARGES:
            raise OverloadedError(f"{self._waiting_charges} charges wait for the store already")

    def submit(self, item: Item) -> None:
        """Take an item in. Raises OverloadedError when too many wait."""
        self.require_room(item.weight)
        if not self._waiting:
            self._first_came = perf_counter()
        self._waiting[item] = None
        self._waiting_charges += item.weight
        if self._enough is not None and self._is_enough():
            self._enough.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._send_all())

    def withdraw(self, item: Item) -> None:
        """Forget an item that was not sent yet; nothing happens to others."""
        if item in self._waiting:
            del self._waiting[item]
            self._waiting_charges -= item.weight

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

    def _take(self) -> Sequence[Item]:
        """Take out what fills one batch, in order of arrival, and at least one item."""
        batch: list[Item] = []
        room = BATCH_CHARGES
        while self._waiting:
            item = next(iter(self._waiting))
            room -= item.weight
            if batch and room < 0:
                break
            self.withdraw(item)
            batch.append(item)
        self._first_came = perf_counter()
        return batch

    async def _exchange(self, batch: Sequence[Item]) -> None:
        """Send a batch and answer its items."""
        try:
            await self._run(_parcels(batch, self._time_argument()))
        finally:
            _fail(batch, StoreUnavailableError("the call to the store was broken off"))

    async def _run(self, parcels: Sequence[_Parcel]) -> None:
        started = perf_counter()
        replies = await self._link.run(self._name, [parcel.call for parcel in parcels])
        seconds = perf_counter() - started
        for parcel, reply in zip(parcels, replies, strict=True):
            self._settle(parcel, reply, seconds)

    def _settle(
        self, parcel: _Parcel, reply: Reply | StoreUnavailableError, seconds: float
    ) -> None:
        try:
            if isinstance(reply, StoreUnavailableError):
                raise reply
            parcel.deliver(reply)
        except StoreUnavailableError as error:
            self._recorder.store_failed(_kind(error))
            _fail(parcel.items, error)
        else:
            self._recorder.store_called(sum(item.weight for item in parcel.items), seconds)


@dataclass(slots=True)
class _Parcel:
    """One call, and the items that its reply answers."""

    call: ScriptCall
    items: Sequence[Item]
    deliver: Callable[[Reply], None]


def _parcels(batch: Sequence[Item], time: str) -> list[_Parcel]:
    """Pack a batch: one call for the operations of each slot, and one for each errand."""
    by_slot: dict[tuple[int | None, bool], list[Operation]] = {}
    errands: list[Errand] = []
    for item in batch:
        if isinstance(item, Errand):
            errands.append(item)
        else:
            by_slot.setdefault((item.slot, item.bare), []).append(item)
    parcels = [
        _Parcel(compose(operations, time), operations, partial(deliver, operations))
        for operations in by_slot.values()
    ]
    return parcels + [_Parcel(errand.call, (errand,), errand.deliver) for errand in errands]


def _kind(error: StoreUnavailableError) -> str:
    """Name an error in metrics."""
    if isinstance(error, StoreTimeoutError):
        return "timeout"
    return "cross_slot" if isinstance(error, CrossSlotError) else "unavailable"


def _fail(items: Sequence[Item], error: StoreUnavailableError) -> None:
    """Fail the items that have no answer yet."""
    for item in items:
        if not item.answer.done():
            item.answer.set_exception(error)
