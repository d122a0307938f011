"""Finding a reservation for a caller that has its id."""

from __future__ import annotations

from ratelimit_service.core.messages import Read, Record
from ratelimit_service.core.protocols.steps import Part, Reply, ask_one
from ratelimit_service.core.reservation import ADMITTED, Home, Reservation


def read(home: Home) -> Part[Reply]:
    """Read a record."""
    return (yield from ask_one(home.slot, Read(home.name)))


def opened(record: Record | None, secret: str, owner: str) -> Reservation | None:
    """Return an admitted reservation to who made it; None is all that others learn."""
    if record is None or record.state not in ADMITTED or record.secret != secret:
        return None
    reservation = Reservation.of(record)
    return reservation if reservation.owner == owner else None
