"""How to open a connection, the same for every server of a store."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final, Self

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ratelimit_service.config.settings import (
    Address,
    Credentials,
    StoreSettings,
    StoreTls,
    UnixAddress,
)
from ratelimit_service.errors import SettingsError

_CLIENT_NAME: Final = "ratelimit-service"


@dataclass(frozen=True, slots=True)
class Access:
    """Who we are at a server, and how long and how often we may connect to it."""

    credentials: Credentials | None
    tls: ssl.SSLContext | None
    database: int
    pool_size: int
    timeout_s: float

    @classmethod
    def to_data(cls, settings: StoreSettings) -> Self:
        """Return the access to servers that keep counters.

        Raises SettingsError when a certificate or a key cannot be used.
        """
        return cls(
            credentials=settings.credentials,
            tls=None if settings.tls is None else _context(settings.tls),
            database=settings.database,
            pool_size=settings.pool_size,
            timeout_s=settings.timeout_s,
        )

    @classmethod
    def to_sentinels(cls, settings: StoreSettings) -> Self:
        """Return the access to sentinels. Raises SettingsError as above."""
        return cls(
            credentials=settings.sentinel_credentials,
            tls=None if settings.tls is None else _context(settings.tls),
            database=0,
            pool_size=1,
            timeout_s=settings.timeout_s,
        )

    def connection(self, address: Address) -> AbstractConnection:
        """Return a connection that is not open yet and never repeats anything by itself.

        It has no read timeout: whoever uses it bounds the whole conversation.
        """
        options = self._options()
        if isinstance(address, UnixAddress):
            return UnixDomainSocketConnection(path=str(address.path), **options)
        if self.tls is None:
            return Connection(host=address.host, port=address.port, **options)
        connection = SSLConnection(host=address.host, port=address.port, **options)
        # Else every connection would read the certificates anew.
        connection.ssl_context.context = self.tls
        return connection

    def _options(self) -> dict[str, Any]:  # as redis-py takes them
        who = self.credentials
        return {
            "username": who and who.username,
            "password": who and who.password,
            "db": self.database,
            "client_name": _CLIENT_NAME,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": self.timeout_s,
        }


def _context(tls: StoreTls) -> ssl.SSLContext:
    """Trust ``tls.ca`` alone where it is given, else what this machine trusts."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        raise SettingsError("REDIS_TLS_CACERT", f"{tls.ca}: {error}") from error
    context.check_hostname = tls.check_hostname
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except OSError as error:
            where = f"{tls.certificate}, {tls.key}"
            raise SettingsError("REDIS_TLS_CLIENT_CERT", f"{where}: {error}") from error
    return context
