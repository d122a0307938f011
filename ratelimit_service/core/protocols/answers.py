"""What a protocol tells the caller of a reservation's RPC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ratelimit_service.core.messages import Record, View
from ratelimit_service.core.reservation import Reservation


@dataclass(frozen=True, slots=True)
class Seen:
    """What a counter held, and the time of its slot then."""

    view: View
    now_us: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """Admitted. The reservation's lines say what was granted; ``seen`` is by line."""

    record: Record
    reservation: Reservation
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Admitted before under the same id; the record says how it stands at ``now_us``."""

    record: Record
    reservation: Reservation
    now_us: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Not admitted, and nothing is charged.

    ``seen`` is by line, without what this call held for a while; None where a slot did not
    say. ``contended``: it was refused only because others were being decided until its
    deadline, so that it is worth coming back at once.
    """

    seen: tuple[Seen | None, ...]
    contended: bool = False


@dataclass(frozen=True, slots=True)
class Outdated:
    """A calendar's window is over at a slot. Plan again for ``now_us``, then call again."""

    now_us: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The id stands for a call with another payload, or was settled to other amounts."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing is certain. The same call under the same id finds out."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such reservation, any more, or for this caller."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The reservation is settled or over, so that nothing can be added to it."""

    record: Record


@dataclass(frozen=True, slots=True)
class Settled:
    """Settled to the reservation's actuals, now or before.

    ``seen`` is by line, and empty where it was settled before.
    """

    record: Record
    reservation: Reservation
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Extended:
    """Renewed, and topped up where that was asked, now or before under the same id.

    ``seen`` is by line; None for lines that were not topped up now.
    """

    record: Record
    reservation: Reservation
    seen: tuple[Seen | None, ...]
    now_us: int


@dataclass(frozen=True, slots=True)
class Swept:
    """How many due records were found, and how many of them were brought to their end."""

    found: int
    ended: int


Result: TypeAlias = (
    Reserved
    | Replayed
    | Refused
    | Outdated
    | Mismatch
    | Unavailable
    | NotFound
    | Closed
    | Settled
    | Extended
    | Swept
)
