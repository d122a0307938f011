"""Reservations over a store: reserve, settle, extend, and look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_hex
from typing import Final, TypeAlias

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.messages import Line, Look, Read, SlotReply, Verdict
from ratelimit_service.core.protocols.answers import (
    Extended,
    NotFound,
    Outdated,
    Replayed,
    Reserved,
    Result,
    Seen,
    Unavailable,
)
from ratelimit_service.core.protocols.extend import extend
from ratelimit_service.core.protocols.find import opened
from ratelimit_service.core.protocols.lines import by_slot, seen_of
from ratelimit_service.core.protocols.reconcile import reconcile
from ratelimit_service.core.protocols.reserve import reserve
from ratelimit_service.core.protocols.steps import Sent
from ratelimit_service.core.protocols.tasks import (
    ExtendTask,
    FreshCap,
    ReconcileTask,
    ReserveTask,
)
from ratelimit_service.core.reservation import Claimant, PlannedLine, Reservation
from ratelimit_service.core.settlement import Amount, Report, Usage
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.base import Store
from ratelimit_service.store.driver import Driver
from ratelimit_service.store.homes import (
    Address,
    Ticket,
    address_in_slot,
    home_address,
    name_of_request,
    new_name,
    new_secret,
    read_id,
    shared_address,
)
from ratelimit_service.store.known_records import KnownRecords
from ratelimit_service.store.memory import wall_clock_us
from ratelimit_service.store.redis.link import CrossSlotError

Plan: TypeAlias = Callable[[int], Sequence[PlannedLine]]
"""Plans for a time, in microseconds since the epoch, and leaves the lines' slots empty."""

_REPLANS: Final = 3
"""No call is planned more often than this; calendars' windows are longer than calls."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants to reserve.

    ``owner`` is a digest of who it is, ``payload`` of what it asks. Without ``request_id``
    nobody can ask for the same again. ``note`` is kept with the reservation.
    """

    owner: str
    domain: str
    payload: str
    plan: Plan
    ttl_us: int
    request_id: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class More:
    """What a caller wants of a reservation that it has; see ExtendTask.

    ``caps`` says what the caps of the reservation's counters are at a time.
    """

    owner: str
    ttl_us: int
    caps: Callable[[Reservation, int], Sequence[FreshCap]]
    amounts: tuple[Amount, ...] = ()
    request: str = ""
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a call that would reserve; the id is empty where nothing is reserved."""

    result: Result
    reservation_id: str = ""


class Reservations:
    """The reservations that a store remembers.

    Every method takes the seconds that its caller waits, and raises StoreTimeoutError once
    they are over, StoreUnavailableError, and OverloadedError; only after that is it certain
    that nothing was done. What was begun goes on to its end.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver | None = None,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        """``now_us`` is about what the store's clock says; what it lacks is learned."""
        self._store = store
        self._driver = driver or Driver(store)
        self._now_us = now_us
        self._ahead_us = 0
        self._known = KnownRecords()
        self._undoing: set[asyncio.Task[Result]] = set()

    def key(self, counter: Counter) -> str:
        """Return the key of a counter."""
        return self._store.key(counter)

    async def find(self, reservation_id: str, owner: str, timeout_s: float) -> Reservation | None:
        """Return the reservation of an id to who made it, as it is now."""
        ticket = read_id(reservation_id)
        if ticket is None:
            return None
        home = ticket.address.home()
        (reply,) = await self._store.deliver((Sent(home.slot, Read(home.name)),), timeout_s)
        if not isinstance(reply, SlotReply):
            raise StoreUnavailableError("the store did not answer a look")
        return opened(reply.record, ticket.secret, owner)

    async def reserve(self, asked: Asked, timeout_s: float) -> Answered:
        """Answer as the protocol does, but Outdated and Unavailable, with the reservation's id.

        Where the caller goes away before it hears the id, and cannot ask again by a
        ``request_id``, the reservation is given back (F56).
        """
        deadline = _deadline(timeout_s)
        for _ in range(_REPLANS):
            try:
                address, task = self._task(asked)
                unheard = partial(self._give_back, asked, address)
                result = await self._driver.run(reserve(task), deadline, unheard)
            except CrossSlotError:
                continue  # now it is known that the server enforces slots
            if not isinstance(result, Outdated):
                break
            self._learn_time(result)
        return self._answered(result, address)

    async def reconcile(
        self, reservation_id: str, owner: str, usage: Usage, timeout_s: float
    ) -> Result:
        """Answer Settled, Mismatch or NotFound."""
        ticket = read_id(reservation_id)
        if ticket is None:
            return NotFound()
        task = ReconcileTask(
            ticket.address.home(),
            ticket.secret,
            owner,
            usage,
            self._known.take(reservation_id),
        )
        return _certain(await self._driver.run(reconcile(task), _deadline(timeout_s)))

    async def extend(self, reservation_id: str, more: More, timeout_s: float) -> Result:
        """Answer Extended, Refused, Mismatch, Closed or NotFound."""
        ticket = read_id(reservation_id)
        if ticket is None:
            return NotFound()
        deadline = _deadline(timeout_s)
        caps: Sequence[FreshCap] = ()
        for _ in range(_REPLANS):
            task = self._extension(ticket, more, caps)
            result = await self._driver.run(extend(task), deadline)
            if not isinstance(result, Outdated):
                break
            self._learn_time(result)
            caps = await self._fresh_caps(ticket, more, deadline)
        if isinstance(result, Extended):
            left_us = result.record.expires_at_us - result.now_us
            self._known.put(reservation_id, result.record, left_us)
        return _certain(result)

    async def look(self, plan: Plan, timeout_s: float) -> tuple[Seen, ...]:
        """Say what each line's counter holds, and what of the line would fit now."""
        deadline = _deadline(timeout_s)
        for _ in range(_REPLANS):
            lines = self._place(plan(self._time_us()))
            groups = by_slot(lines)
            sent = [
                Sent(group.slot, Look(tuple(_looking(lines[i]) for i in group.indices)))
                for group in groups
            ]
            try:
                replies = await self._store.deliver(sent, _left_s(deadline))
            except CrossSlotError:
                continue
            seen: dict[int, Seen] = {}
            for group, reply in zip(groups, replies, strict=True):
                if not isinstance(reply, SlotReply):
                    raise StoreUnavailableError("the store did not answer a look")
                if reply.verdict is Verdict.NEED_BOUNDARIES:
                    self._learn_time(Outdated(reply.now_us))
                    break
                seen.update(zip(group.indices, seen_of(reply), strict=True))
            else:
                return tuple(seen[i] for i in range(len(lines)))
        raise StoreUnavailableError("the store's clock does not stand still")

    async def finish(self) -> None:
        """Return when all that was begun has come to its end."""
        await self._driver.finish()
        while self._undoing:
            await asyncio.wait(self._undoing)

    def _task(self, asked: Asked) -> tuple[Address, ReserveTask]:
        lines = self._place(asked.plan(self._time_us()))
        address = self._address(asked, lines)
        task = ReserveTask(
            address.home(),
            Claimant(asked.payload, new_secret()),
            token_hex(4),
            asked.owner,
            lines,
            asked.ttl_us,
            asked.note,
        )
        return address, task

    def _place(self, lines: Sequence[PlannedLine]) -> tuple[PlannedLine, ...]:
        return tuple(replace(line, slot=self._store.slot(line.key)) for line in lines)

    def _address(self, asked: Asked, lines: Sequence[PlannedLine]) -> Address:
        """Say where the record goes: with its counters where that is possible."""
        name = new_name()
        if asked.request_id:
            name = name_of_request(asked.owner, asked.domain, asked.request_id)
        if not self._store.enforces_slots:
            return shared_address(name)
        slots = {line.slot for line in lines}
        if asked.request_id or len(slots) != 1:
            return home_address(name)
        return address_in_slot(name, slots.pop())

    def _answered(self, result: Result, address: Address) -> Answered:
        if not isinstance(result, Reserved | Replayed):
            return Answered(_certain(result))
        reservation_id = address.reservation_id(result.record.secret)
        if isinstance(result, Reserved):
            left_us = result.record.expires_at_us - result.record.admitted_at_us
            self._known.put(reservation_id, result.record, left_us)
        return Answered(result, reservation_id)

    def _give_back(self, asked: Asked, address: Address, result: Result) -> None:
        if asked.request_id or not isinstance(result, Reserved):
            return
        usage = Usage(Report.RELEASED)
        secret = result.record.secret
        task = ReconcileTask(address.home(), secret, asked.owner, usage, result.record)
        undoing = asyncio.create_task(self._driver.run(reconcile(task), _deadline(_UNDO_S)))
        self._undoing.add(undoing)
        undoing.add_done_callback(self._undone)

    def _undone(self, undoing: asyncio.Task[Result]) -> None:
        self._undoing.discard(undoing)
        if not undoing.cancelled():
            undoing.exception()  # the reservation then ends at its time to live

    def _extension(self, ticket: Ticket, more: More, caps: Sequence[FreshCap]) -> ExtendTask:
        return ExtendTask(
            ticket.address.home(),
            ticket.secret,
            more.owner,
            token_hex(4),
            more.ttl_us,
            more.amounts,
            more.request,
            more.payload,
            tuple(caps),
        )

    async def _fresh_caps(self, ticket: Ticket, more: More, deadline: float) -> Sequence[FreshCap]:
        home = ticket.address.home()
        sent = (Sent(home.slot, Read(home.name)),)
        (reply,) = await self._store.deliver(sent, _left_s(deadline))
        if not isinstance(reply, SlotReply) or reply.record is None:
            return ()
        return more.caps(Reservation.of(reply.record), self._time_us())

    def _time_us(self) -> int:
        return self._now_us() + self._ahead_us

    def _learn_time(self, outdated: Outdated) -> None:
        """Hosts' clocks may differ by minutes; the store's decides (F39)."""
        self._ahead_us = outdated.now_us - self._now_us()


_UNDO_S: Final = 5.0


def _looking(line: PlannedLine) -> Line:
    return Line(line.key, line.cap, line.amount, line.minimum)


def _certain(result: Result) -> Result:
    if isinstance(result, Unavailable | Outdated):
        raise StoreUnavailableError("the store did not decide; the same call finds out")
    return result


def _deadline(timeout_s: float) -> float:
    return asyncio.get_running_loop().time() + timeout_s


def _left_s(deadline: float) -> float:
    return max(0.0, deadline - asyncio.get_running_loop().time())
