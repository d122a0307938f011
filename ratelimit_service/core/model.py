"""What callers ask, in the words of the service."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    looks. With ``refund`` the hits are given back. ``text_length`` counts the characters
    of the entries.
    """

    entries: tuple[Entry, ...]
    hits: int | None = None
    refund: bool = False
    override: Override | None = None
    text_length: int = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Plans are remembered by descriptor, so that both are asked for again and again.
        length = sum(len(entry.key) + len(entry.value) for entry in self.entries)
        object.__setattr__(self, "text_length", length)
        found = hash((self.entries, self.hits, self.refund, self.override))
        object.__setattr__(self, "_hash", found)

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class RateLimitRequest:
    """A ShouldRateLimit call. ``hits`` 0 stands for 1, as on the wire."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    hits: int = 0
