"""Spans over OpenTelemetry's protocol. Needs the extra ``tracing``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ratelimit_service import __version__
from ratelimit_service.telemetry.tracing import Attribute, Span

CLOSE_S: Final = 2.0

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OtlpTracing:
    """Sends spans in batches from a thread of its own, where OTEL_EXPORTER_OTLP_* says."""

    def __init__(self) -> None:
        ours = Resource({"service.name": "ratelimit-service", "service.version": __version__})
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("ratelimit_service", __version__)

    def span(self, name: str, attributes: Mapping[str, Attribute]) -> AbstractContextManager[Span]:
        """Trace a block, as a child of the block around it."""
        return self._tracer.start_as_current_span(
            name, kind=SpanKind.INTERNAL, attributes=attributes
        )

    def continue_from(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Make what a caller's metadata names the parent of this task's next spans."""
        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        context.attach(_PROPAGATOR.extract(carrier))

    async def close(self) -> None:
        """Send what is left, and give up after CLOSE_S seconds; it would try for longer."""
        sending = asyncio.ensure_future(asyncio.to_thread(self._provider.shutdown))
        await asyncio.wait({sending}, timeout=CLOSE_S)
        if not sending.done():
            await asyncio.to_thread(self._exporter.shutdown)
        await sending
