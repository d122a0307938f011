"""The records of reservations that this process has just made."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ratelimit_service.core.messages import Record

MOST: Final = 4_096
LONGEST: Final = 16_384
"""No record with a body of more characters is kept."""


def monotonic_us() -> int:
    """Return a time in microseconds that never goes back and means nothing elsewhere."""
    return time.monotonic_ns() // 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    record: Record
    until_us: int


class KnownRecords:
    """Records by reservation id, so that who settles here need not read first.

    A record may be outdated, which the store then says. The oldest give way.
    """

    def __init__(self, most: int = MOST, now_us: Callable[[], int] = monotonic_us) -> None:
        self._most = most
        self._now_us = now_us
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, reservation_id: str, record: Record, left_us: int) -> None:
        """Keep the record of a reservation that lasts ``left_us`` from now, until it ends.

        After that its name may stand for another reservation of the same revision.
        """
        self._known.pop(reservation_id, None)
        if len(record.body) > LONGEST:
            return
        self._known[reservation_id] = _Known(record, self._now_us() + left_us)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def take(self, reservation_id: str) -> Record | None:
        """Return the record, if it is known, and forget it."""
        known = self._known.pop(reservation_id, None)
        if known is None or known.until_us <= self._now_us():
            return None
        return known.record
