"""One HTTP server on one address."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ratelimit_service.config.settings import Address, TcpAddress, UnixAddress
from ratelimit_service.errors import ListenError
from ratelimit_service.listening import check_free

DRAIN_S: Final = 10.0
"""How long stop() waits for answers under way, in seconds."""

_LOGGER: Final = logging.getLogger(__name__)


class HttpServer:
    """Serves an application from start() to stop(), or for the time of an ``async with``."""

    def __init__(self, address: Address, app: web.Application, drain_s: float = DRAIN_S) -> None:
        self._address = address
        self._runner = web.AppRunner(app, access_log=None, logger=_LOGGER, shutdown_timeout=drain_s)

    @property
    def address(self) -> Address:
        """Where the server listens; a port 0 became a real one with start()."""
        return self._address

    async def start(self) -> None:
        """Listen. Raises ListenError when the address cannot be had."""
        address = self._address
        check_free(address)
        await self._runner.setup()
        try:
            if isinstance(address, UnixAddress):
                await web.UnixSite(self._runner, address.path).start()
            else:
                await web.TCPSite(self._runner, address.host, address.port).start()
                port: int = self._runner.addresses[0][1]
                self._address = TcpAddress(address.host, port)
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(str(address), "another process was faster") from error

    async def stop(self) -> None:
        """Take no more connections, and return when answers under way are sent."""
        listening = bool(self._runner.addresses)
        await self._runner.cleanup()
        if listening and isinstance(self._address, UnixAddress):
            self._address.path.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


def _is_ours(record: logging.LogRecord) -> bool:
    """Keep what went wrong here; bytes that are no HTTP are the sender's, who gets a 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_LOGGER.addFilter(_is_ours)
