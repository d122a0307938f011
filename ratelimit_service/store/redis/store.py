"""Counters in Redis or Valkey, shared by every replica of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from redis.crc import key_slot

from ratelimit_service.core.counting import select_counted
from ratelimit_service.core.judge import Outcome
from ratelimit_service.core.plan import Charge, Counting
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.keys import KeyEncoder
from ratelimit_service.store.redis.batcher import Lane
from ratelimit_service.store.redis.link import CrossSlotError, Link
from ratelimit_service.store.redis.operation import Operation
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
        try:
            async with asyncio.timeout(timeout_s):
                return await self._charge(charges, counting)
        except TimeoutError as error:
            raise StoreTimeoutError(f"the store has not answered within {timeout_s:g} s") from error

    async def ping(self) -> None:
        """Return when every master answers; raise StoreUnavailableError when one does not."""
        await self._link.ping()

    async def close(self) -> None:
        """End calls under way, and every connection."""
        self._closed = True
        for lane in self._lanes.values():
            await lane.close()
        await self._link.close()

    async def _charge(self, charges: Sequence[Charge], counting: Counting) -> Sequence[Outcome]:
        keys = [self._key(charge.counter) for charge in charges]
        if not self._link.enforces_slots:
            try:
                return await self._ask(Operation(keys, charges, counting, _new_answer()))
            except CrossSlotError:
                # The first that the server says of slots; it did not run the script.
                if not self._link.enforces_slots:
                    raise
        slots = _places_by_slot(keys)
        if len(slots) > 1 and counting is Counting.ONLY_OVER:
            # No one script sees all counters: look first, then count what that says.
            looks = [replace(charge, amount=0) for charge in charges]
            held = await self._charge_slots(looks, keys, slots, Counting.EVERY)
            charges = _only_counted(charges, held)
            counting = Counting.EVERY
        return await self._charge_slots(charges, keys, slots, counting)

    async def _charge_slots(
        self,
        charges: Sequence[Charge],
        keys: Sequence[str],
        slots: Mapping[int, Sequence[int]],
        counting: Counting,
    ) -> Sequence[Outcome]:
        """Charge slot by slot, all at the same time. ``slots`` gives the places in each."""
        operations = [
            Operation(
                [keys[place] for place in places],
                [charges[place] for place in places],
                counting,
                _new_answer(),
                slot,
            )
            for slot, places in slots.items()
        ]
        outcomes = dict[int, Outcome]()
        for places, answer in zip(slots.values(), await self._ask_all(operations), strict=True):
            outcomes.update(zip(places, answer, strict=True))
        return [outcomes[place] for place in range(len(charges))]

    async def _ask(self, operation: Operation) -> Sequence[Outcome]:
        lane = self._lane(operation)
        lane.submit(operation)
        try:
            return await operation.answer
        except asyncio.CancelledError:
            lane.withdraw(operation)
            raise

    async def _ask_all(self, operations: Sequence[Operation]) -> Sequence[Sequence[Outcome]]:
        """Ask for all at once. What is not sent yet when one fails is not sent at all."""
        if len(operations) == 1:
            return [await self._ask(operations[0])]
        lanes = [self._lane(operation) for operation in operations]
        try:
            for lane, operation in zip(lanes, operations, strict=True):
                lane.submit(operation)
            return await asyncio.gather(*(operation.answer for operation in operations))
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


def _new_answer() -> asyncio.Future[Sequence[Outcome]]:
    return asyncio.get_running_loop().create_future()


def _places_by_slot(keys: Sequence[str]) -> Mapping[int, Sequence[int]]:
    slots: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        slots.setdefault(key_slot(key.encode()), []).append(place)
    return slots


def _only_counted(charges: Sequence[Charge], held: Sequence[Outcome]) -> Sequence[Charge]:
    """Turn the charges that ONLY_OVER does not count into looks."""
    counted = {
        charge.counter: outcome.counted for charge, outcome in zip(charges, held, strict=True)
    }
    selected = select_counted(charges, counted, Counting.ONLY_OVER)
    return [
        charge if counts else replace(charge, amount=0)
        for charge, counts in zip(charges, selected, strict=True)
    ]
