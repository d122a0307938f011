"""Counters in Redis or Valkey, shared by every replica of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.protocols.steps import Lost, Reply, Sent
from ratelimit_service.core.terms import Counting
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.homes import record_key
from ratelimit_service.store.keys import KeyEncoder
from ratelimit_service.store.redis.batcher import Lane
from ratelimit_service.store.redis.errand import Errand
from ratelimit_service.store.redis.link import CrossSlotError, Link
from ratelimit_service.store.redis.messages import encode
from ratelimit_service.store.redis.operation import BARE, HoldsNeededError, Operation
from ratelimit_service.store.redis.slots import count_over, join, look_first, places_by_slot, split
from ratelimit_service.store.redis.topology import slot_of
from ratelimit_service.telemetry.recorder import Recorder

_MOST_WITH_HOLDS: Final = 8_192


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
        self._encoder = KeyEncoder(key_prefix)
        self._record_key = partial(record_key, self._encoder.prefix)
        self._now_us = now_us
        self._lanes: dict[str, Lane] = {}
        self._with_holds: set[str] = set()
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
        keys = [self.key(charge.counter) for charge in charges]
        operation = Operation(keys, charges, counting, bare=self._may_be_bare(keys, charges))
        if not self._link.enforces_slots:
            try:
                return await self._ask(operation, deadline)
            except CrossSlotError:
                # The first that the server says of slots; it did not run the script.
                if not self._link.enforces_slots:
                    raise
        return await self._charge_by_slot(operation, deadline)

    @property
    def enforces_slots(self) -> bool:
        """Whether a message may touch the keys of one slot only."""
        return self._link.enforces_slots

    def key(self, counter: Counter) -> str:
        """Return the key of a counter."""
        return self._encoder.key(counter)

    def slot(self, key: str) -> str:
        """Name the slot of a key by its number; the empty name where all keys share one."""
        return str(slot_of(key)) if self._link.enforces_slots else ""

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        """Say messages to slots, each by one script call; see Store.deliver."""
        time = self._time_argument()
        errands = [Errand(encode(item.message, self._record_key, time)) for item in sent]
        if errands and not self._closed:
            await self._run(errands, timeout_s)
        return [_reply(errand) for errand in errands]

    async def ping(self) -> None:
        """Return when every master answers; raise StoreUnavailableError when one does not."""
        await self._link.ping()

    async def close(self) -> None:
        """End calls under way, and every connection."""
        self._closed = True
        for lane in self._lanes.values():
            await lane.close()
        await self._link.close()

    async def _run(self, errands: Sequence[Errand], timeout_s: float) -> None:
        """Send errands, and return when each has its answer or the time is over."""
        lanes = [self._lane(errand.call.keys[0]) for errand in errands]
        for lane, weight in _weights(lanes, errands).items():
            lane.require_room(weight)
        try:
            for lane, errand in zip(lanes, errands, strict=True):
                lane.submit(errand)
            await asyncio.wait([errand.answer for errand in errands], timeout=timeout_s)
        finally:
            for lane, errand in zip(lanes, errands, strict=True):
                lane.withdraw(errand)
                errand.answer.cancel()  # nobody waits for it any more

    async def _charge_by_slot(self, operation: Operation, deadline: float) -> Sequence[Outcome]:
        slots = places_by_slot(operation.keys)
        if operation.counting is Counting.STRICT and len(slots) > 1:
            raise CrossSlotError("no script can touch all counters of a strict call")
        if operation.counting is Counting.ONLY_OVER and len(slots) > 1:
            # No one script sees all counters, so it takes two rounds.
            looks = split(look_first(operation), slots)
            held = join(slots, await self._ask_all(looks, deadline))
            operation = count_over(operation, held)
        parts = split(operation, slots)
        return join(slots, await self._ask_all(parts, deadline))

    async def _ask(self, operation: Operation, deadline: float) -> Sequence[Outcome]:
        lane = self._lane(operation.keys[0])
        lane.submit(operation)
        # A sixth of what asyncio.timeout costs, and every decision passes here.
        timer = asyncio.get_running_loop().call_at(deadline, _expire, operation)
        try:
            return await operation.answer
        except HoldsNeededError:
            return await self._ask(self._with_its_holds(operation), deadline)
        finally:
            timer.cancel()
            lane.withdraw(operation)

    def _may_be_bare(self, keys: Sequence[str], charges: Sequence[Charge]) -> bool:
        """Tell whether it is likely that no holds matter to the charges."""
        return all(charge.counter.algorithm in BARE for charge in charges) and (
            not self._with_holds or self._with_holds.isdisjoint(keys)
        )

    def _with_its_holds(self, operation: Operation) -> Operation:
        """Return an operation that gives its holds, and remember that for a while."""
        if len(self._with_holds) > _MOST_WITH_HOLDS:
            self._with_holds.clear()
        self._with_holds.update(operation.keys)
        return Operation(operation.keys, operation.charges, operation.counting, operation.slot)

    async def _answer(self, operation: Operation, deadline: float) -> Sequence[Outcome]:
        try:
            return await operation.answer
        except HoldsNeededError:
            return await self._ask(self._with_its_holds(operation), deadline)

    async def _ask_all(
        self, operations: Sequence[Operation], deadline: float
    ) -> Sequence[Sequence[Outcome]]:
        """Ask for all at once. What is not sent yet when one fails is not sent at all."""
        if len(operations) == 1:
            return [await self._ask(operations[0], deadline)]
        lanes = [self._lane(operation.keys[0]) for operation in operations]
        try:
            for lane, operation in zip(lanes, operations, strict=True):
                lane.submit(operation)
            async with asyncio.timeout_at(deadline):
                return await asyncio.gather(
                    *(self._answer(operation, deadline) for operation in operations)
                )
        except TimeoutError as error:
            raise _too_late() from error
        finally:
            for lane, operation in zip(lanes, operations, strict=True):
                lane.withdraw(operation)

    def _lane(self, key: str) -> Lane:
        name = self._link.lane(key)
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


def _weights(lanes: Sequence[Lane], errands: Sequence[Errand]) -> Mapping[Lane, int]:
    weights: dict[Lane, int] = {}
    for lane, errand in zip(lanes, errands, strict=True):
        weights[lane] = weights.get(lane, 0) + errand.weight
    return weights


def _reply(errand: Errand) -> Reply:
    """Return the reply of an errand that nobody waits for any more."""
    if not errand.answer.done() or errand.answer.cancelled():
        return Lost()
    error = errand.answer.exception()
    if isinstance(error, CrossSlotError):
        raise error
    return Lost() if error is not None else errand.answer.result()


def _too_late() -> StoreTimeoutError:
    return StoreTimeoutError("the store has not answered in time")
