"""Between durations and times on the wire and microseconds.

Source: google.protobuf.Duration and google.protobuf.Timestamp.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ratelimit_service.core.units import SECOND_US
from ratelimit_service.errors import InvalidFieldError

_US_NS: Final = 1_000
_MAX_NANOS: Final = 999_999_999


def read_duration_us(field: str, duration: Duration, longest_us: int) -> int:
    """Return a duration, rounded up. Raises InvalidFieldError unless it is above 0 and allowed."""
    if not -_MAX_NANOS <= duration.nanos <= _MAX_NANOS:
        raise InvalidFieldError(field, "nanos must be less than a second")
    whole_us = duration.seconds * SECOND_US - (-duration.nanos // _US_NS)
    if whole_us <= 0:
        raise InvalidFieldError(field, "must be longer than 0")
    if whole_us > longest_us:
        raise InvalidFieldError(field, f"must be at most {longest_us // SECOND_US} seconds")
    return whole_us


def duration(duration_us: int) -> Duration:
    """Write a duration."""
    seconds, rest_us = divmod(duration_us, SECOND_US)
    return Duration(seconds=seconds, nanos=rest_us * _US_NS)


def timestamp(at_us: int) -> Timestamp:
    """Write a time, in microseconds since the Unix epoch."""
    seconds, rest_us = divmod(at_us, SECOND_US)
    return Timestamp(seconds=seconds, nanos=rest_us * _US_NS)
