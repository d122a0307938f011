"""The gRPC server: the rate-limit API, health and reflection on one address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from ratelimit_service.config.settings import Address, GrpcSettings, TcpAddress
from ratelimit_service.errors import ListenError
from ratelimit_service.health import Condition, Health, State
from ratelimit_service.listening import check_free
from ratelimit_service.reserver import Reserver
from ratelimit_service.transport.calls import Calls
from ratelimit_service.transport.client_names import ClientNames
from ratelimit_service.transport.reservations import DECISION_NAME, decision_handler
from ratelimit_service.transport.rls import (
    RATE_LIMIT_NAME,
    RateLimitEndpoint,
    add_rate_limit_service,
)
from ratelimit_service.transport.tls import server_credentials

DRAIN_S: Final = 10.0
"""How long stop() waits for calls under way, in seconds; each has a shorter deadline."""

FLUSH_S: Final = 0.5
"""How long answers have to leave once all are decided, in seconds, while streams go on."""

MAX_MESSAGE_BYTES: Final = 1 << 20


HEALTH_NAMES: Final = ("", "ratelimit", RATE_LIMIT_NAME, DECISION_NAME)
"""What health checks may ask for: the server, the reference's name, and the services."""

_OPTIONS: Final = (
    # A second process on the same port must fail, not take half of the connections.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Find dead peers, and let gateways ping every few seconds, busy or not.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a server answers with, and the calls that are under way at any of it."""

    calls: Calls
    rate_limit: RateLimitEndpoint
    reserver: Reserver


class GrpcServer:
    """Serves from start() to stop(), or for the time of an ``async with``."""

    def __init__(
        self,
        settings: GrpcSettings,
        endpoints: Endpoints,
        health: Health,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._settings = settings
        self._interceptors = interceptors
        self._address = settings.address
        self._endpoints = endpoints
        self._health = health
        self._servicer = health_aio.HealthServicer()
        self._publishing: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Address:
        """Where the server listens; a port 0 became a real one with start()."""
        return self._address

    async def start(self) -> None:
        """Listen.

        Raises ListenError when the address cannot be had, and SettingsError when a
        certificate cannot be read.
        """
        self._server = self._build()
        self._address = self._bind(self._server)
        self._deafen = self._health.listen(self._on_health)
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls, and return when those under way are answered.

        Streams that watch the health are ended then; they would go on for ever.
        """
        self._deafen()
        await self._servicer.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(DRAIN_S))
        idle = asyncio.ensure_future(self._endpoints.calls.idle())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        # The last answers are decided, and may still be on their way out.
        await asyncio.wait({stopping}, timeout=FLUSH_S)
        idle.cancel()
        await self._server.stop(None)
        await stopping

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

    def _build(self) -> grpc.aio.Server:
        tls = self._settings.tls
        names = () if tls is None else tls.client_sans
        server = grpc.aio.server(
            interceptors=[*([ClientNames(names)] if names else []), *self._interceptors],
            options=[*_OPTIONS, *_age_options(self._settings)],
        )
        add_rate_limit_service(server, self._endpoints.rate_limit)
        decisions = decision_handler(self._endpoints.reserver, self._endpoints.calls)
        server.add_generic_rpc_handlers((decisions,))
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        reflection.enable_server_reflection(
            (RATE_LIMIT_NAME, DECISION_NAME, HEALTH_NAME, reflection.SERVICE_NAME), server
        )
        return server

    def _bind(self, server: grpc.aio.Server) -> Address:
        address, tls = self._settings.address, self._settings.tls
        credentials = None if tls is None else server_credentials(tls)
        check_free(address)
        try:
            if credentials is None:
                port = server.add_insecure_port(str(address))
            else:
                port = server.add_secure_port(str(address), credentials)
        except RuntimeError as error:
            raise ListenError(str(address), "another process was faster") from error
        return TcpAddress(address.host, port) if isinstance(address, TcpAddress) else address

    def _on_health(self, condition: Condition) -> None:
        """Tell health checks. Before the first readiness nobody should come here."""
        serving = condition.healthy and condition.state is not State.STARTING
        task = asyncio.get_running_loop().create_task(self._publish(serving=serving))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def _publish(self, *, serving: bool) -> None:
        kinds = health_pb2.HealthCheckResponse
        for name in HEALTH_NAMES:
            await self._servicer.set(name, kinds.SERVING if serving else kinds.NOT_SERVING)


def _age_options(settings: GrpcSettings) -> Iterator[tuple[str, int]]:
    """Yield how long connections may live; callers reconnect, and so spread over replicas."""
    if settings.max_connection_age_s is not None:
        yield "grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)
    if settings.max_connection_age_grace_s is not None:
        yield "grpc.max_connection_age_grace_ms", round(settings.max_connection_age_grace_s * 1000)
