"""A TCP proxy that misbehaves when told to, and can speak TLS in front of what cannot."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Final, Self

from ratelimit_service.config.settings import TcpAddress

_CHUNK: Final = 65_536


class Fault(Enum):
    """What the proxy does to what the server sends."""

    NONE = "pass it on"
    SWALLOW = "drop it and keep the connection"
    CUT = "drop it and end the connection"


class Proxy:
    """Passes connections on to a server. Requests always arrive there."""

    def __init__(self, target: TcpAddress, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.fault = Fault.NONE
        self.delay_s = 0.0
        self.accepted = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> TcpAddress:
        """Where the proxy listens."""
        assert self._server is not None
        return TcpAddress("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """End every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(
                self.target.host, self.target.port
            )
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.create_task(self._pass_requests(reader, far_writer)),
            asyncio.create_task(self._pass_replies(far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, far_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()

    async def _pass_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            await asyncio.sleep(self.delay_s)
            if self.fault is Fault.CUT:
                return
            if self.fault is Fault.NONE:
                writer.write(data)
                await writer.drain()
