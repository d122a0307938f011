"""What callers ask, in the words of the service."""

from __future__ import annotations

from dataclasses import dataclass

from ratelimit_service.core.units import Unit


@dataclass(frozen=True, slots=True)
class Entry:
    """One level of a descriptor."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Override:
    """A limit that the caller brings along, used in place of the matched rule's."""

    amount: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What one counter or more are looked up by.

    ``hits`` is None where the caller left them out, which differs from 0: 0 only
    looks. With ``refund`` the hits are given back.
    """

    entries: tuple[Entry, ...]
    hits: int | None = None
    refund: bool = False
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class RateLimitRequest:
    """A ShouldRateLimit call. ``hits`` 0 stands for 1, as on the wire."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    hits: int = 0
