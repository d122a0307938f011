"""What a store says of a charge."""

from __future__ import annotations

from dataclasses import dataclass

from ratelimit_service.core.algorithms import usage
from ratelimit_service.core.measures import REQUESTS
from ratelimit_service.core.messages import View
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.waiting import empties_at_us, fits_at_us


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a counter holds after a charge, and how long until it holds nothing.

    ``reset_in_us`` is None where that never comes by itself. ``fits``: what the charge asked
    for fitted under the limit; where only ``counted`` tells, it stays True. ``retry_in_us`` is
    how long until it fits if nobody else calls; None where the reset tells.
    """

    counted: int
    reset_in_us: int | None
    fits: bool = True
    retry_in_us: int | None = None


def outcome_of(charge: Charge, view: View, now_us: int) -> Outcome:
    """Return the outcome of a charge by what its slot said of it, at the slot's time.

    Who reported an amount already spent comes back to ask whether there is any room.
    """
    cap = charge.cap
    now_us = max(now_us, view.state.at_us)  # the clock of a counter never goes back
    empties_us = empties_at_us(cap, view.state)
    reset_in_us = None if empties_us is None else max(0, empties_us - now_us)
    retry_in_us = None
    if not view.fits:
        wanted = charge.terms.asks if charge.counter.measure == REQUESTS else 1
        fits_us = fits_at_us(cap, view.state, view.releases, wanted, now_us)
        retry_in_us = None if fits_us is None else max(1, fits_us - now_us)
    return Outcome(usage(cap, view.state, now_us), reset_in_us, view.fits, retry_in_us)
