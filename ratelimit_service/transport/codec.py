"""Between the wire messages of the rate-limit API and the words of the core.

Source: envoy.service.ratelimit.v3 (proto/ratelimit_service/pb/rls.proto).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ratelimit_service.core.counters import LONGEST_REMEMBERED, REMEMBERED
from ratelimit_service.core.headers import Header
from ratelimit_service.core.judge import Code, Decision, Status
from ratelimit_service.core.model import Descriptor, Entry, Override, RateLimitRequest
from ratelimit_service.core.units import Unit, whole_seconds
from ratelimit_service.errors import InvalidRequestError
from ratelimit_service.pb import ratelimit_unit_pb2, rls_pb2
from ratelimit_service.pb.ratelimit_descriptor_pb2 import RateLimitDescriptor

MAX_UINT32: Final = 2**32 - 1

_CODES: Final = {
    Code.OK: rls_pb2.RateLimitResponse.OK,
    Code.OVER_LIMIT: rls_pb2.RateLimitResponse.OVER_LIMIT,
}

_OVERRIDE_UNITS: Final = {
    ratelimit_unit_pb2.SECOND: Unit.SECOND,
    ratelimit_unit_pb2.MINUTE: Unit.MINUTE,
    ratelimit_unit_pb2.HOUR: Unit.HOUR,
    ratelimit_unit_pb2.DAY: Unit.DAY,
    ratelimit_unit_pb2.MONTH: Unit.MONTH,
    ratelimit_unit_pb2.YEAR: Unit.YEAR,
}


def decode_request(message: rls_pb2.RateLimitRequest) -> RateLimitRequest:
    """Read a request. Raises InvalidRequestError for a limit whose unit is not known."""
    descriptors = []
    for index, item in enumerate(message.descriptors):
        if item.HasField("limit"):
            _require_known_unit(item.limit.unit, index)
        body = item.SerializeToString()
        remembered = len(body) <= LONGEST_REMEMBERED
        descriptors.append(
            _decode_descriptor(body) if remembered else _decode_descriptor.__wrapped__(body)
        )
    return RateLimitRequest(message.domain, tuple(descriptors), message.hits_addend)


@lru_cache(maxsize=REMEMBERED)
def _decode_descriptor(body: bytes) -> Descriptor:
    """Read one descriptor. Callers send the same ones again and again."""
    message = RateLimitDescriptor.FromString(body)
    limit = message.limit
    return Descriptor(
        tuple([Entry(entry.key, entry.value) for entry in message.entries]),
        message.hits_addend.value if message.HasField("hits_addend") else None,
        message.is_negative_hits,
        Override(limit.requests_per_unit, _OVERRIDE_UNITS[limit.unit])
        if message.HasField("limit")
        else None,
    )


def _require_known_unit(unit: ratelimit_unit_pb2.RateLimitUnit.ValueType, index: int) -> None:
    if unit not in _OVERRIDE_UNITS:
        raise InvalidRequestError(
            f"limit of descriptor {index} has unit {_unit_name(unit)}; "
            f"it must be one of {', '.join(known.name for known in _OVERRIDE_UNITS.values())}"
        )


def _unit_name(number: int) -> str:
    names = ratelimit_unit_pb2.RateLimitUnit.DESCRIPTOR.values_by_number
    return names[number].name if number in names else str(number)


def encode_decision(
    decision: Decision, headers: tuple[Header, ...] = ()
) -> rls_pb2.RateLimitResponse:
    """Write an answer: a status for each descriptor, in order, and headers for the caller."""
    message = rls_pb2.RateLimitResponse(overall_code=_CODES[decision.overall])
    for status in decision.statuses:
        _encode_status(status, message.statuses.add())
    for header in headers:
        message.response_headers_to_add.add(key=header.name, value=header.value)
    return message


def _encode_status(status: Status, message: rls_pb2.RateLimitResponse.DescriptorStatus) -> None:
    message.code = _CODES[status.code]
    remaining = status.remaining
    message.limit_remaining = MAX_UINT32 if remaining is None else min(remaining, MAX_UINT32)
    limit = status.limit
    if limit is None:
        return
    current = message.current_limit
    current.requests_per_unit = min(limit.amount, MAX_UINT32)
    current.unit = rls_pb2.RateLimitResponse.RateLimit.Unit.ValueType(limit.unit or 0)
    current.name = limit.name
    message.duration_until_reset.seconds = whole_seconds(status.reset_in_us or 0)
