"""Scripts on the master that the sentinels name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ratelimit_service.config.settings import StoreSettings, TcpAddress
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.redis.access import Access
from ratelimit_service.store.redis.ask import Panel, Search, Statement, ask
from ratelimit_service.store.redis.evaluate import Outcome, evaluate, run_until
from ratelimit_service.store.redis.link import CrossSlotError, ScriptCall
from ratelimit_service.store.redis.node import Node
from ratelimit_service.store.redis.refusals import (
    ConnectionLostError,
    NotMasterError,
    UnreachableError,
)

# A sentinel that stalls must not cost a call all its time.
_LONGEST_SEARCH_S: Final = 1.0
# What a call meets when the master changed, or is about to.
_SIGNS_OF_FAILOVER: Final = (
    ConnectionLostError,
    NotMasterError,
    StoreTimeoutError,
    UnreachableError,
)


class SentinelLink:
    """The master of one service. After a failure the sentinels are asked anew (F35)."""

    def __init__(self, settings: StoreSettings) -> None:
        """Connect to ``settings.addresses``, later. Raises SettingsError for a bad file."""
        self._sentinels = Panel(settings.addresses, Access.to_sentinels(settings))
        self._service = settings.sentinel_service
        self._to_data = Access.to_data(settings)
        self._timeout_s = settings.timeout_s
        self._master: Node | None = None
        self._suspect = True
        self._search = Search(self._find_master)
        self._enforces_slots = False

    @property
    def enforces_slots(self) -> bool:
        """Whether the master has refused a script for keys of several slots."""
        return self._enforces_slots

    def lane(self, key: str) -> str:  # noqa: ARG002  # the master serves every key
        """Name the service."""
        return self._service

    async def run(self, lane: str, calls: Sequence[ScriptCall]) -> Sequence[Outcome]:  # noqa: ARG002  # there is one
        """Run the calls in one pipeline and return a reply or an error for each, in order."""
        deadline = self._deadline()
        outcomes = await run_until(deadline, calls, lambda some: self._attempt(some, deadline))
        if any(isinstance(outcome, CrossSlotError) for outcome in outcomes):
            self._enforces_slots = True
        return outcomes

    async def ping(self) -> None:
        """Return when the master answers; raise StoreUnavailableError when it does not."""
        deadline = self._deadline()
        try:
            await ask(await self._present_master(deadline), ("PING",), deadline)
        except StoreUnavailableError:
            self._suspect = True
            raise

    async def close(self) -> None:
        """Close every connection."""
        await self._search.cancel()
        if self._master is not None:
            await self._master.close()

    async def _attempt(self, calls: Sequence[ScriptCall], deadline: float) -> Sequence[Outcome]:
        try:
            master = await self._present_master(deadline)
        except StoreUnavailableError as error:
            return [error] * len(calls)
        outcomes = await evaluate(master, calls, deadline)
        if master is self._master and any(isinstance(o, _SIGNS_OF_FAILOVER) for o in outcomes):
            self._suspect = True
        if all(isinstance(outcome, UnreachableError) for outcome in outcomes):
            return await self._after_losing(master, outcomes, deadline)
        return outcomes

    async def _after_losing(
        self, master: Node, outcomes: Sequence[Outcome], deadline: float
    ) -> Sequence[Outcome]:
        """Let calls that did not reach the master go to its successor, if there is one now."""
        try:
            successor = await self._present_master(deadline)
        except StoreUnavailableError:
            return outcomes
        if successor is master:
            return outcomes
        return [NotMasterError(f"{successor.address} follows {master.address}") for _ in outcomes]

    async def _present_master(self, deadline: float) -> Node:
        """Return the master, found anew where there is a reason to doubt it."""
        if self._master is not None and not self._suspect:
            return self._master
        return await self._search.result(deadline)

    async def _find_master(self) -> Node:
        address = await self._ask_sentinels()
        former, self._suspect = self._master, False
        if former is not None and former.address == address:
            return former
        self._master = master = Node(address, self._to_data)
        if former is not None:
            await former.close()
        return master

    async def _ask_sentinels(self) -> TcpAddress:
        """Return what the newest configuration says that a majority of sentinels knows."""
        patience_s = min(_LONGEST_SEARCH_S, self._timeout_s / 2)
        statements = await self._sentinels.ask(
            ("SENTINEL", "MASTER", self._service),
            enough=len(self._sentinels.addresses) // 2 + 1,
            deadline=asyncio.get_running_loop().time() + patience_s,
        )
        newest = max((_configuration(said) for said in statements), key=lambda it: it.epoch)
        return newest.master

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_s


@dataclass(frozen=True, slots=True)
class _Configuration:
    """Who the master is. Each failover has a higher epoch."""

    epoch: int
    master: TcpAddress


def _configuration(said: Statement) -> _Configuration:
    """Read a reply to SENTINEL MASTER: names and values in turn."""
    items = said.reply if isinstance(said.reply, list) else []
    texts = [item.decode() for item in items if isinstance(item, bytes)]
    fields = dict(zip(texts[::2], texts[1::2], strict=False))
    try:
        master = TcpAddress(fields["ip"], int(fields["port"]))
        return _Configuration(int(fields["config-epoch"]), master)
    except (KeyError, ValueError) as error:
        raise StoreUnavailableError(f"{said.source} is no sentinel: no usable {error}") from error
