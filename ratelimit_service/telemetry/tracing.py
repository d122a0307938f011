"""What the wrappers that trace need, and how it is had. Nothing here imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from ratelimit_service.errors import SettingsError

Attribute: TypeAlias = str | int | float | tuple[str, ...]


class Span(Protocol):
    """Some work with a beginning and an end."""

    def set_attribute(self, key: str, value: Attribute) -> None:
        """Note what became known while the work went on."""


class Tracing(Protocol):
    """Makes spans and sends them off in the background; drops them where that is too slow."""

    def span(self, name: str, attributes: Mapping[str, Attribute]) -> AbstractContextManager[Span]:
        """Trace a block, as a child of the block around it. An exception marks the span."""

    def continue_from(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Make what a caller's metadata names the parent of this task's next spans.

        Source: W3C Trace Context, ``traceparent`` and ``tracestate``. Others are ignored,
        and so are malformed ones.
        """

    async def close(self) -> None:
        """Send what is left, for some seconds at most."""


def open_tracing() -> Tracing:
    """Start to send spans over OTLP, as the standard OTEL_* variables say.

    Raises SettingsError when OpenTelemetry is not installed.
    """
    try:
        # Installed with an extra only, and half a second to import.
        from ratelimit_service.telemetry.otlp import OtlpTracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "TRACING_ENABLED",
            f"needs OpenTelemetry ({error.name} is missing): "
            "pip install 'ratelimit-service[tracing]'",
        ) from error
    return OtlpTracing()
