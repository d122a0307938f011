"""Ask a running service what is used, without charging anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from ratelimit_service.core.measures import COST, format_dollars
from ratelimit_service.core.model import Entry
from ratelimit_service.core.units import whole_seconds
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb.decision_pb2_grpc import DecisionServiceStub

TIMEOUT_S: Final = 5.0


class PeekError(Exception):
    """The service did not answer; the text says what to look at."""


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """What one limit has used and holds; ``reset_s`` is None where it never resets by itself."""

    name: str
    measure: str
    limit: int
    used: int
    held: int
    remaining: int
    reset_s: int | None

    def __str__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        used = f"{self._amount(self.used)} of {self._amount(self.limit)} used"
        held = f", {self._amount(self.held)} held" if self.held else ""
        left = f"{self._amount(self.remaining)} left"
        reset = "no reset" if self.reset_s is None else f"reset in {self.reset_s} s"
        return f"{name}{used}{held}, {left}, {reset}"

    def _amount(self, amount: int) -> str:
        return format_dollars(amount) if self.measure == COST else str(amount)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the limits of one descriptor have used; there may be none."""

    limits: tuple[LimitUsage, ...]

    def __str__(self) -> str:
        return "; ".join(str(limit) for limit in self.limits) or "no limit applies"


def peek(target: str, domain: str, descriptors: Sequence[Sequence[Entry]]) -> tuple[Usage, ...]:
    """Ask GetUsage, which charges nothing. Raises PeekError."""
    request = pb.GetUsageRequest(
        domain=domain, descriptors=[_descriptor(entries) for entries in descriptors]
    )
    with grpc.insecure_channel(target) as channel:
        try:
            response = DecisionServiceStub(channel).GetUsage(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise PeekError(_reason(target, error)) from error
    return tuple(Usage(tuple(map(_usage, status.limits))) for status in response.statuses)


def _descriptor(entries: Sequence[Entry]) -> pb.Descriptor:
    return pb.Descriptor(entries=[pb.Entry(key=entry.key, value=entry.value) for entry in entries])


def _usage(status: pb.LimitStatus) -> LimitUsage:
    reset_us = status.until_reset.ToMicroseconds() if status.HasField("until_reset") else None
    return LimitUsage(
        status.name,
        status.measure,
        status.limit,
        status.used,
        status.held,
        status.remaining,
        None if reset_us is None else whole_seconds(reset_us),
    )


def _reason(target: str, error: grpc.RpcError) -> str:
    if isinstance(error, grpc.Call):
        return f"{target} failed with {error.code().name}: {error.details()}"
    return f"{target} did not answer"
