"""Ask a running service what is used, without charging anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.wrappers_pb2 import UInt64Value

from ratelimit_service.core.model import Entry
from ratelimit_service.pb import ratelimit_descriptor_pb2, rls_pb2, rls_pb2_grpc

TIMEOUT_S: Final = 5.0


class PeekError(Exception):
    """The service did not answer; the text says what to look at."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one descriptor has used of its limit; ``limit`` is None where none applies."""

    limit: int | None
    remaining: int
    reset_s: int

    def __str__(self) -> str:
        if self.limit is None:
            return "no limit applies"
        used = self.limit - self.remaining
        return f"{used} of {self.limit} used, {self.remaining} left, reset in {self.reset_s} s"


def peek(
    target: str, domain: str, descriptors: Sequence[Sequence[Entry]]
) -> tuple[Usage | None, ...]:
    """Send a ShouldRateLimit that only looks. Raises PeekError."""
    request = rls_pb2.RateLimitRequest(
        domain=domain, descriptors=[_descriptor(entries) for entries in descriptors]
    )
    with grpc.insecure_channel(target) as channel:
        try:
            response = rls_pb2_grpc.RateLimitServiceStub(channel).ShouldRateLimit(
                request, timeout=TIMEOUT_S
            )
        except grpc.RpcError as error:
            raise PeekError(_reason(target, error)) from error
    return tuple(_usage(status) for status in response.statuses)


def _descriptor(entries: Sequence[Entry]) -> ratelimit_descriptor_pb2.RateLimitDescriptor:
    message = ratelimit_descriptor_pb2.RateLimitDescriptor
    return message(
        entries=[message.Entry(key=entry.key, value=entry.value) for entry in entries],
        hits_addend=UInt64Value(value=0),
    )


def _usage(status: rls_pb2.RateLimitResponse.DescriptorStatus) -> Usage:
    if not status.HasField("current_limit"):
        return Usage(None, 0, 0)
    limit = status.current_limit.requests_per_unit
    return Usage(limit, status.limit_remaining, status.duration_until_reset.seconds)


def _reason(target: str, error: grpc.RpcError) -> str:
    if isinstance(error, grpc.Call):
        return f"{target} failed with {error.code().name}: {error.details()}"
    return f"{target} did not answer"
