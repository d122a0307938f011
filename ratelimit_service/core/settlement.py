"""What a caller says was used, and what that means for the lines of its reservation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ratelimit_service.core.messages import Hold
from ratelimit_service.core.reservation import PlannedLine, Reservation


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of a measure."""

    measure: str
    amount: int


class Report(Enum):
    """How a caller says what was used."""

    AMOUNTS = "amounts"
    """By amounts; a measure that is not named keeps its estimate."""

    RELEASED = "released"
    """Nothing was used."""

    UNKNOWN = "unknown"
    """Nobody knows: every estimate stays."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a caller says was used; what is said for a descriptor goes before ``amounts``."""

    report: Report
    amounts: tuple[Amount, ...] = ()
    descriptors: tuple[tuple[Amount, ...], ...] = ()

    def actuals(self, reservation: Reservation) -> tuple[int, ...]:
        """Return what was used of each line of a reservation, in order."""
        return tuple(self._actual(line) for line in reservation.lines)

    def _actual(self, line: PlannedLine) -> int:
        if self.report is not Report.AMOUNTS:
            return line.amount if self.report is Report.UNKNOWN else 0
        said = [self._said(line.measure, share.descriptor) for share in line.shares]
        if all(amount is None for amount in said):
            return line.amount
        estimates = _estimates(line)
        return sum(
            estimate if amount is None else amount
            for amount, estimate in zip(said, estimates, strict=True)
        )

    def _said(self, measure: str, descriptor: int) -> int | None:
        own = self.descriptors[descriptor] if descriptor < len(self.descriptors) else ()
        for amount in (*own, *self.amounts):
            if amount.measure == measure:
                return amount.amount
        return None


def _estimates(line: PlannedLine) -> list[int]:
    """Return what of a line's amount each share accounts for; the last has what is left."""
    left, estimates = line.amount, []
    for share in line.shares[:-1]:
        estimates.append(min(share.amount, left))
        left -= estimates[-1]
    return [*estimates, left]


@dataclass(frozen=True, slots=True)
class Paid:
    """What a hold is settled to."""

    hold: Hold
    actual: int


def pay(line: PlannedLine, actual: int) -> tuple[Paid, ...]:
    """Spread what was used over the holds of a line: each is filled, the last has the rest."""
    paid: list[Paid] = []
    for held in line.holds[:-1]:
        paid.append(Paid(held, min(held.amount, actual)))
        actual -= paid[-1].actual
    return (*paid, *(Paid(held, actual) for held in line.holds[-1:]))
