"""Metrics over HTTP: for Prometheus, and as plain lines for people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


class MetricsEndpoints:
    """Writes the metrics out in another thread, one request at a time.

    Ten thousand series take half a second, for which decisions must not wait.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._one_at_a_time = asyncio.Lock()

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer in the Prometheus text format, or in OpenMetrics where that is accepted."""
        encode, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        async with self._one_at_a_time:
            body = await asyncio.to_thread(encode, self._registry)
        response = web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
        response.enable_compression()
        return response

    async def stats(self, _: web.Request) -> web.Response:
        """Answer with a line for each count: what it counts, and the number."""
        async with self._one_at_a_time:
            text = await asyncio.to_thread(lambda: "".join(sorted(_lines(self._registry))))
        return web.Response(text=text)


def _lines(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                continue
            name = ".".join((sample.name, *(_on_one_line(v) for v in sample.labels.values() if v)))
            yield f"{name}: {sample.value:.15g}\n"


def _on_one_line(value: str) -> str:
    return value if value.isprintable() else value.encode("unicode_escape").decode()
