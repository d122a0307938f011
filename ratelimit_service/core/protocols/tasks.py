"""What a protocol is asked to do.

``call`` is a text without dot or colon that no other run of a protocol ever has.
"""

from __future__ import annotations

from dataclasses import dataclass

from ratelimit_service.core.algorithms import Cap
from ratelimit_service.core.messages import Record
from ratelimit_service.core.reservation import Claimant, Home, PlannedLine
from ratelimit_service.core.settlement import Amount, Usage


@dataclass(frozen=True, slots=True)
class ReserveTask:
    """Charge every line or none, and remember it under the home's name.

    Each line has a counter of its own. Where every line lies in the home's own slot, one
    script does it all; otherwise the home needs a due list. ``owner`` and ``note`` are as in
    Reservation.
    """

    home: Home
    claimant: Claimant
    call: str
    owner: str
    lines: tuple[PlannedLine, ...]
    ttl_us: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReconcileTask:
    """Settle a reservation to what was used.

    ``known`` saves reading the record first: it is the record as an earlier answer gave it.
    It must not be older than the reservation's time to live, after which its name may stand
    for another reservation of the same revision.
    """

    home: Home
    secret: str
    owner: str
    usage: Usage
    known: Record | None = None


@dataclass(frozen=True, slots=True)
class FreshCap:
    """What the cap of a counter is now: that of a calendar moves on with its window."""

    key: str
    cap: Cap


@dataclass(frozen=True, slots=True)
class ExtendTask:
    """Renew a reservation, and top it up by ``amounts`` for each descriptor.

    It then lasts at least ``ttl_us`` from now; 0 leaves its end where it is. ``request`` and
    ``payload`` are digests of the request's id, if it has one, and of what it asks for.
    """

    home: Home
    secret: str
    owner: str
    call: str
    ttl_us: int
    amounts: tuple[Amount, ...] = ()
    request: str = ""
    payload: str = ""
    caps: tuple[FreshCap, ...] = ()


@dataclass(frozen=True, slots=True)
class SweepTask:
    """Bring at most ``most`` records of a list to their end."""

    slot: str
    due_list: str
    most: int = 100
