"""From the messages of ratelimit.v1 to the words of the core.

What can be read is not yet what can be decided: that is for the plan to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.model import Entry
from ratelimit_service.core.requests import (
    DEFAULT_TTL_US,
    LONGEST_TTL_US,
    Described,
    ExtendRequest,
    ReconcileRequest,
    ReserveRequest,
    UsageRequest,
    Wish,
)
from ratelimit_service.core.settlement import Amount, Report, Usage
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.errors import InvalidFieldError
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.transport.durations import read_duration_us

LONGEST_ID: Final = 256
"""The most characters of a request id."""


def decode_reserving(message: pb.CheckAndIncrementByNRequest) -> ReserveRequest:
    """Read a CheckAndIncrementByN. Raises InvalidFieldError."""
    wish = Wish(
        message.domain,
        _descriptors(message.descriptors),
        _amounts("amounts", message.amounts),
        _amounts("min_amounts", message.min_amounts),
        message.model,
    )
    return ReserveRequest(wish, _request_id(message.request_id), _ttl_us(message), message.dry_run)


def decode_settling(message: pb.ReconcileRequest) -> ReconcileRequest:
    """Read a Reconcile. Raises InvalidFieldError."""
    return ReconcileRequest(_reservation_id(message.reservation_id), _usage(message))


def decode_extension(message: pb.ExtendRequest) -> ExtendRequest:
    """Read an Extend. Raises InvalidFieldError."""
    return ExtendRequest(
        _reservation_id(message.reservation_id),
        _ttl_us(message),
        _amounts("amounts", message.amounts),
        _request_id(message.request_id),
    )


def decode_looking(message: pb.GetUsageRequest) -> UsageRequest:
    """Read a GetUsage. Raises InvalidFieldError."""
    return UsageRequest(message.domain, _descriptors(message.descriptors))


def _descriptors(messages: Iterable[pb.Descriptor]) -> tuple[Described, ...]:
    return tuple(_descriptor(index, message) for index, message in enumerate(messages))


def _descriptor(index: int, message: pb.Descriptor) -> Described:
    return Described(
        _entries(message.entries),
        _amounts(f"descriptors[{index}].amounts", message.amounts),
        tuple(_limit(limit) for limit in message.limits),
        _entries(message.parent),
    )


def _entries(entries: Iterable[pb.Entry]) -> tuple[Entry, ...]:
    return tuple(Entry(entry.key, entry.value) for entry in entries)


def _limit(message: pb.InlineLimit) -> LimitSpec:
    return LimitSpec(
        amount=message.amount,
        name=message.name,
        measure=message.measure,
        window=message.window,
        algorithm=message.algorithm,
        burst=message.burst or None,
        time_zone=message.time_zone,
    )


def _amounts(field: str, amounts: Mapping[str, int]) -> tuple[Amount, ...]:
    for measure, amount in amounts.items():
        if not measure:
            raise InvalidFieldError(field, "a measure has no name")
        if amount > MAX_AMOUNT:
            raise InvalidFieldError(
                f"{field}[{measure}]", f"{amount} is above the largest amount {MAX_AMOUNT}"
            )
    return tuple(Amount(measure, amount) for measure, amount in sorted(amounts.items()))


def _usage(message: pb.ReconcileRequest) -> Usage:
    match message.WhichOneof("usage"):
        case "actual":
            actual = message.actual
            descriptors = tuple(
                _amounts(f"actual.descriptors[{index}].amounts", item.amounts)
                for index, item in enumerate(actual.descriptors)
            )
            amounts = _amounts("actual.amounts", actual.amounts)
            return Usage(Report.AMOUNTS, amounts, descriptors)
        case "released":
            return Usage(Report.RELEASED)
        case "usage_unknown":
            return Usage(Report.UNKNOWN)
        case _:
            raise InvalidFieldError("usage", "give one of actual, released and usage_unknown")


def _ttl_us(message: pb.CheckAndIncrementByNRequest | pb.ExtendRequest) -> int:
    if not message.HasField("ttl"):
        return DEFAULT_TTL_US
    return read_duration_us("ttl", message.ttl, LONGEST_TTL_US)


def _reservation_id(text: str) -> str:
    if not text:
        raise InvalidFieldError("reservation_id", "is missing; it came with the reservation")
    return text


def _request_id(text: str) -> str:
    if len(text) > LONGEST_ID:
        raise InvalidFieldError("request_id", f"must have at most {LONGEST_ID} characters")
    return text
