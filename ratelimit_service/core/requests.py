"""What callers ask of reservations, in the words of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.model import Entry
from ratelimit_service.core.settlement import Amount, Usage
from ratelimit_service.core.units import SECOND_US

DEFAULT_TTL_US: Final = 60 * SECOND_US
"""How long a reservation lasts whose caller does not say."""

LONGEST_TTL_US: Final = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class Described:
    """A descriptor: what its limits are looked up by, and how much is asked of them.

    ``amounts`` go before those of the request. ``limits`` are those that the caller brings
    along, ``parent`` the entries of a descriptor that this one draws from too.
    """

    entries: tuple[Entry, ...]
    amounts: tuple[Amount, ...] = ()
    limits: tuple[LimitSpec, ...] = ()
    parent: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be reserved: what a repeated call must ask for again."""

    domain: str
    descriptors: tuple[Described, ...]
    amounts: tuple[Amount, ...] = ()
    min_amounts: tuple[Amount, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class ReserveRequest:
    """A CheckAndIncrementByN call. With ``dry_run`` nothing is reserved."""

    wish: Wish
    request_id: str = ""
    ttl_us: int = DEFAULT_TTL_US
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """A Reconcile call."""

    reservation_id: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ExtendRequest:
    """An Extend call. Without ``amounts`` it only renews."""

    reservation_id: str
    ttl_us: int = DEFAULT_TTL_US
    amounts: tuple[Amount, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class UsageRequest:
    """A GetUsage call."""

    domain: str
    descriptors: tuple[Described, ...]
