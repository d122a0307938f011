"""Questions to servers about themselves and about each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from redis.exceptions import RedisError

from ratelimit_service.config.settings import Address
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.access import Access
from ratelimit_service.store.redis.link import Reply
from ratelimit_service.store.redis.node import Command, Node
from ratelimit_service.store.redis.refusals import UnreachableError, translate

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a server said."""

    source: Address
    reply: Reply


async def ask(node: Node, command: Command, deadline: float) -> Statement:
    """Return what the server replies; raise StoreUnavailableError when it does not."""
    (answer,) = await node.exchange([command], deadline)
    if isinstance(answer, RedisError):
        raise translate(node.address, answer)
    if isinstance(answer, StoreUnavailableError):
        raise answer
    return Statement(node.address, answer)


@dataclass(frozen=True, slots=True)
class Panel:
    """Servers that can all answer the same question, on connections for this alone."""

    addresses: Sequence[Address]
    access: Access

    async def ask(self, command: Command, enough: int, deadline: float) -> list[Statement]:
        """Ask all at once. Return when ``enough`` have replied, or all that will.

        Raises UnreachableError, with every server's reason, when none replies.
        """
        tasks = [
            asyncio.create_task(self._ask_one(address, command, deadline))
            for address in self.addresses
        ]
        statements: list[Statement] = []
        reasons: list[str] = []
        try:
            for answer in asyncio.as_completed(tasks):
                try:
                    statements.append(await answer)
                except StoreUnavailableError as error:
                    reasons.append(str(error))
                if len(statements) == enough:
                    break
        finally:
            await _end(tasks)
        if not statements:
            raise UnreachableError("; ".join(reasons))
        return statements

    async def _ask_one(self, address: Address, command: Command, deadline: float) -> Statement:
        node = Node(address, self.access)
        try:
            return await ask(node, command, deadline)
        finally:
            await node.close()


class Search(Generic[T]):
    """One search at a time, shared by all who wait for its result."""

    def __init__(self, find: Callable[[], Awaitable[T]]) -> None:
        """``find`` raises nothing but StoreUnavailableError."""
        self._find = find
        self._task: asyncio.Task[T] | None = None

    def start(self) -> asyncio.Task[T]:
        """Search unless that is under way; the result need not be fetched."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(_ignore_failure)
        return self._task

    async def result(self, deadline: float) -> T:
        """Return what is found; raise StoreUnavailableError when nothing is, in time."""
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self.start())
        except TimeoutError as error:
            raise UnreachableError("the servers of the store were not found in time") from error

    async def cancel(self) -> None:
        """End a search that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> T:
        return await self._find()


def _ignore_failure(task: asyncio.Task[T]) -> None:
    """Keep asyncio from reporting a failure that nobody waited for."""
    if not task.cancelled():
        task.exception()


async def _end(tasks: Sequence[asyncio.Task[Statement]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
