"""Counters in Redis or Valkey, shared by every replica of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ratelimit_service.core.judge import Outcome
from ratelimit_service.core.plan import Charge, Counting
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.keys import KeyEncoder
from ratelimit_service.store.redis.batcher import Lane
from ratelimit_service.store.redis.link import CrossSlotError, Link
from ratelimit_service.store.redis.operation import Operation
from ratelimit_service.store.redis.slots import count_over, join, look_first, places_by_slot, split
from ratelimit_service.telemetry.recorder import Recorder


class RedisStore:
    """Charges counters by scripts, many decisions in one call; the server's clock decides."""

    def __init__(
        self,
        link: Link,
        recorder: Recorder,
        *,
        key_prefix: str = "",
        now_us: Callable[[], int] | None = None,
    ) -> None:
        """``now_us`` replaces the server's clock: microseconds since the epoch, for tests."""
        self._link = link
        self._recorder = recorder
        self._key = KeyEncoder(key_prefix).key
        self._now_us = now_us
        self._lanes: dict[str, Lane] = {}
        self._closed = False

    async def charge(
        self, charges: Sequence[Charge], counting: Counting, timeout_s: float
    ) -> Sequence[Outcome]:
        """Charge the counters of one request; see Store.charge."""
        if not charges:
            return ()
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        if timeout_s <= 0:
            raise _too_late()
        deadline = asyncio.get_running_loop().time() + timeout_s
        keys = [self._key(charge.counter) for charge in charges]
        operation = Operation(keys, charges, counting)
        if not self._link.enforces_slots:
            try:
                return await self._ask(operation, deadline)
            except CrossSlotError:
                # The first that the server says of slots; it did not run the script.
                if not self._link.enforces_slots:
                    raise
        return await self._charge_by_slot(operation, deadline)

    async def ping(self) -> None:
        """Return when every master answers; raise StoreUnavailableError when one does not."""
        await self._link.ping()

    async def close(self) -> None:
        """End calls under way, and every connection."""
        self._closed = True
        for lane in self._lanes.values():
            await lane.close()
        await self._link.close()

    async def _charge_by_slot(self, operation: Operation, deadline: float) -> Sequence[Outcome]:
        slots = places_by_slot(operation.keys)
        if operation.counting is Counting.ONLY_OVER and len(slots) > 1:
            # No one script sees all counters, so it takes two rounds.
            looks = split(look_first(operation), slots)
            held = join(slots, await self._ask_all(looks, deadline))
            operation = count_over(operation, held)
        parts = split(operation, slots)
        return join(slots, await self._ask_all(parts, deadline))

    async def _ask(self, operation: Operation, deadline: float) -> Sequence[Outcome]:
        lane = self._lane(operation)
        lane.submit(operation)
        # A sixth of what asyncio.timeout costs, and every decision passes here.
        timer = asyncio.get_running_loop().call_at(deadline, _expire, operation)
        try:
            return await operation.answer
        finally:
            timer.cancel()
            lane.withdraw(operation)

    async def _ask_all(
        self, operations: Sequence[Operation], deadline: float
    ) -> Sequence[Sequence[Outcome]]:
        """Ask for all at once. What is not sent yet when one fails is not sent at all."""
        if len(operations) == 1:
            return [await self._ask(operations[0], deadline)]
        lanes = [self._lane(operation) for operation in operations]
        try:
            for lane, operation in zip(lanes, operations, strict=True):
                lane.submit(operation)
            async with asyncio.timeout_at(deadline):
                return await asyncio.gather(*(operation.answer for operation in operations))
        except TimeoutError as error:
            raise _too_late() from error
        finally:
            for lane, operation in zip(lanes, operations, strict=True):
                lane.withdraw(operation)

    def _lane(self, operation: Operation) -> Lane:
        name = self._link.lane(operation.keys[0])
        lane = self._lanes.get(name)
        if lane is None:
            lane = Lane(name, self._link, self._recorder, self._time_argument)
            self._lanes[name] = lane
        return lane

    def _time_argument(self) -> str:
        return "" if self._now_us is None else str(self._now_us())


def _expire(operation: Operation) -> None:
    if not operation.answer.done():
        operation.answer.set_exception(_too_late())


def _too_late() -> StoreTimeoutError:
    return StoreTimeoutError("the store has not answered in time")
