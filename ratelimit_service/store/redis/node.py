"""One server: a few connections, and pipelines over them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from ratelimit_service.config.settings import Address
from ratelimit_service.errors import StoreTimeoutError, StoreUnavailableError
from ratelimit_service.store.redis.access import Access
from ratelimit_service.store.redis.link import Reply
from ratelimit_service.store.redis.refusals import (
    ConnectionLostError,
    NotRunError,
    UnreachableError,
    translate,
)

Command: TypeAlias = tuple[str | int, ...]
# What came back for a command: a reply, an error reply, or why nothing came back.
Answer: TypeAlias = "Reply | RedisError | StoreUnavailableError"


class Node:
    """A server at an address. Connections are opened when needed and kept."""

    def __init__(self, address: Address, access: Access) -> None:
        self.address = address
        self._access = access
        self._idle: list[AbstractConnection] = []
        self._permits = asyncio.Semaphore(access.pool_size)
        self._closed = False

    async def exchange(self, commands: Sequence[Command], deadline: float) -> list[Answer]:
        """Send the commands in one pipeline and return what came back for each, in order.

        ``deadline`` is in the time of the event loop. Nothing is sent twice. A connection
        that this leaves in the middle of a reply, also by cancellation, is closed.
        """
        answers: list[Answer] = []
        connection: AbstractConnection | None = None
        failure: StoreUnavailableError | None = None
        try:
            async with asyncio.timeout_at(deadline), self._permits:
                connection = await self._connected()
                await _converse(connection, commands, answers)
        except TimeoutError:
            failure = self._too_late(connection)
        except RedisError as error:
            failure = self._broken(connection, error)
        finally:
            if connection is not None:
                await self._put_back(connection, sound=_sound(answers, len(commands)))
        return [*answers, *[failure] * (len(commands) - len(answers))]

    async def close(self) -> None:
        """Close the idle connections now, and those in use when they are put back."""
        self._closed = True
        await self._drop_idle()

    async def _connected(self) -> AbstractConnection:
        """Return a connection on which nothing is under way, open as far as we can know."""
        while self._idle:
            connection = self._idle.pop()
            if not await _ended(connection):
                return connection
            await connection.disconnect(nowait=True)
        connection = self._access.connection(self.address)
        opened = False
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            opened = True
        finally:
            if not opened:
                await connection.disconnect(nowait=True)
        return connection

    async def _put_back(self, connection: AbstractConnection, *, sound: bool) -> None:
        if sound and not self._closed:
            self._idle.append(connection)
            return
        await connection.disconnect(nowait=True)
        # What ended or stalled one connection has most likely met the others too, and each
        # would cost another call its answer.
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    def _too_late(self, connection: AbstractConnection | None) -> StoreUnavailableError:
        if connection is None:
            return UnreachableError(f"{self.address}: no connection in time")
        return StoreTimeoutError(f"{self.address} did not answer in time")

    def _broken(
        self, connection: AbstractConnection | None, error: RedisError
    ) -> StoreUnavailableError:
        if connection is None:  # a busy server may refuse already when it is greeted
            meaning = translate(self.address, error)
            if isinstance(meaning, NotRunError):
                return meaning
            return UnreachableError(f"cannot connect to {self.address}: {error}")
        return ConnectionLostError(f"{self.address} ended the connection unanswered: {error}")


async def _converse(
    connection: AbstractConnection, commands: Sequence[Command], answers: list[Answer]
) -> None:
    await connection.send_packed_command([_pack(commands)], check_health=False)
    while len(answers) < len(commands):
        answers.append(await _read(connection))


def _pack(commands: Sequence[Command]) -> bytes:
    """Encode a pipeline, several times faster than redis-py's connections do."""
    # The stub of pack_command knows tuples of one item only.
    return b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]


async def _read(connection: AbstractConnection) -> Reply | RedisError:
    try:
        reply: Reply = await connection.read_response(
            disable_decoding=True, disconnect_on_error=False
        )
    except (ResponseError, BusyLoadingError, AuthenticationError) as refusal:
        return refusal
    return reply


async def _ended(connection: AbstractConnection) -> bool:
    """Whether the server closed an idle connection, or sent what nobody asked for."""
    try:
        return bool(await connection.can_read())
    except RedisError:
        return True


def _sound(answers: Sequence[Answer], expected: int) -> bool:
    """Whether a connection is in step and leads to a master.

    Behind one address, a connection to a former master would stay with it.
    """
    return len(answers) == expected and not any(isinstance(a, ReadOnlyError) for a in answers)
