"""What goes wrong on purpose, each with the code that a caller will see.

Being over a limit is an answer, not an error, and has no place here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class WireCode(Enum):
    """How an error leaves the service: a gRPC status and an HTTP status."""

    INVALID_ARGUMENT = ("INVALID_ARGUMENT", 400)
    NOT_FOUND = ("NOT_FOUND", 404)
    ALREADY_EXISTS = ("ALREADY_EXISTS", 409)
    FAILED_PRECONDITION = ("FAILED_PRECONDITION", 400)
    RESOURCE_EXHAUSTED = ("RESOURCE_EXHAUSTED", 503)
    UNAVAILABLE = ("UNAVAILABLE", 503)
    DEADLINE_EXCEEDED = ("DEADLINE_EXCEEDED", 504)
    INTERNAL = ("INTERNAL", 500)

    def __init__(self, grpc_name: str, http_status: int) -> None:
        self.grpc_name = grpc_name
        self.http_status = http_status


class ServiceError(Exception):
    """Base of every error that an edge translates into an answer."""

    code: ClassVar[WireCode]


class InvalidRequestError(ServiceError):
    """The request cannot be decided as sent; sending it again will not help."""

    code = WireCode.INVALID_ARGUMENT


class InvalidFieldError(InvalidRequestError):
    """A field of the request has a value that cannot be decided.

    ``field`` is its path, as ``descriptors[0].amounts[tokens]``.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class ReservationNotFoundError(ServiceError):
    """No such reservation, any more, or for this caller; which of it is not told."""

    code = WireCode.NOT_FOUND


class RequestIdReusedError(ServiceError):
    """The request id stands for a call that asked for something else."""

    code = WireCode.ALREADY_EXISTS


class ReservationClosedError(ServiceError):
    """The reservation was settled to other amounts, or is not open any more."""

    code = WireCode.FAILED_PRECONDITION


class OverloadedError(ServiceError):
    """A bounded queue is full; nothing was charged."""

    code = WireCode.RESOURCE_EXHAUSTED


class StoreUnavailableError(ServiceError):
    """The store did not answer, or answered with an error."""

    code = WireCode.UNAVAILABLE


class StoreTimeoutError(StoreUnavailableError):
    """The store did not answer in time; the charge may have happened."""

    code = WireCode.UNAVAILABLE


class OutdatedPlanError(StoreUnavailableError):
    """A calendar's window is over by the store's clock, at ``now_us``; nothing was charged."""

    def __init__(self, now_us: int) -> None:
        super().__init__("a window of the calendar is over by the store's clock")
        self.now_us = now_us


class DeadlineExceededError(ServiceError):
    """The caller's deadline was over before anything was charged."""

    code = WireCode.DEADLINE_EXCEEDED


class InternalError(ServiceError):
    """A defect of the service; the log has its traceback. A charge may have happened."""

    code = WireCode.INTERNAL


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands. Line and column count from 1; 0 is unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


class ConfigError(Exception):
    """A rule file or a set of rule files that cannot come into force."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class LimitError(ValueError):
    """A limit whose keys make no sense together; ``key`` is the one to change."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


class SettingsError(Exception):
    """A flag or an environment variable that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class ListenError(OSError):
    """An address that the service cannot listen on: taken, forbidden or not of this host."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}")
        self.address = address
        self.reason = reason
