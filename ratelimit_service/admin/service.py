"""What callers, load balancers and Prometheus find on the HTTP address."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from ratelimit_service.admin.metrics import MetricsEndpoints
from ratelimit_service.health import Condition, Health

MAX_BODY_BYTES: Final = 1 << 20
BODY_TIMEOUT_S: Final = 5.0


class JsonAnswer(Protocol):
    """An HTTP status and a body in JSON."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def body(self) -> bytes:
        """The body."""


class JsonDecider(Protocol):
    """Decides a call that came as JSON, and knows all that there is to know of its format."""

    async def __call__(self, body: bytes, timeout_s: float | None, /) -> JsonAnswer:
        """Answer every body, also one that is no JSON; never raise for what a caller sent."""


def service_app(
    decide: JsonDecider, health: Health, registry: CollectorRegistry
) -> web.Application:
    """Build /json, /healthcheck, /readyz and /metrics."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    endpoints = _ServiceEndpoints(decide, health)
    app.add_routes(
        [
            web.post("/json", endpoints.json),
            web.get("/healthcheck", endpoints.healthcheck),
            web.get("/readyz", endpoints.readyz),
            web.get("/metrics", MetricsEndpoints(registry).metrics),
        ]
    )
    return app


class _ServiceEndpoints:
    def __init__(self, decide: JsonDecider, health: Health) -> None:
        self._decide = decide
        self._health = health

    async def json(self, request: web.Request) -> web.Response:
        """Decide the call in the body, as the gRPC method would."""
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        answer = await self._decide(body, None)
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    async def healthcheck(self, _: web.Request) -> web.Response:
        """Answer 200 or 500, as the reference does."""
        condition = self._health.condition
        if condition.healthy:
            return web.Response(text="OK")
        parts = [condition.state.value, *(problem.part for problem in condition.problems)]
        return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR, text=", ".join(parts))

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 while calls can be decided, else 503 and what is missing."""
        condition = self._health.condition
        status = HTTPStatus.OK if condition.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(_described(condition), status=status)


def _described(condition: Condition) -> dict[str, object]:
    return {
        "ready": condition.ready,
        "state": condition.state.value,
        "problems": {problem.part: problem.reason for problem in condition.problems},
    }
