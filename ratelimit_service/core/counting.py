"""Which charges of one request are counted when some of them go over their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratelimit_service.core.messages import CountLine
from ratelimit_service.core.terms import Counting
from ratelimit_service.core.units import MAX_AMOUNT


@dataclass(frozen=True, slots=True)
class Weighed:
    """Which lines of a Count fit under their limits, and which are counted."""

    fits: tuple[bool, ...]
    counts: tuple[bool, ...]


def weigh(lines: Sequence[CountLine], used: Mapping[str, int], counting: Counting) -> Weighed:
    """Decide a Count. ``used`` is what each counter's usage is before it.

    A line is weighed with those before it as if they were counted, so that two of one
    counter are added up. What looks or gives back never waits for others.
    """
    running = dict(used)
    fits: list[bool] = []
    for line in lines:
        before = running[line.key]
        fits.append(_clamp(before + line.terms.asks) <= line.cap.limit)
        running[line.key] = _clamp(before + line.amount)
    if counting is Counting.EVERY or all(fits):
        return Weighed(tuple(fits), (True,) * len(lines))
    if counting is Counting.ONLY_OVER:
        over = {line.key for line, fit in zip(lines, fits, strict=True) if not fit}
        return Weighed(tuple(fits), tuple(line.amount <= 0 or line.key in over for line in lines))
    refused = _is_refused(lines, fits)
    counts = (
        line.amount <= 0 or line.terms.always or (not refused and (fit or not line.terms.refuses))
        for line, fit in zip(lines, fits, strict=True)
    )
    return Weighed(tuple(fits), tuple(counts))


def _is_refused(lines: Sequence[CountLine], fits: Sequence[bool]) -> bool:
    """Tell whether a line that is no quota's does not fit, or one of every quota."""
    quotas = {line.terms.quota for line in lines if line.terms.quota}
    over = {
        line.terms.quota
        for line, fit in zip(lines, fits, strict=True)
        if line.terms.refuses and not fit
    }
    return 0 in over or (bool(quotas) and over >= quotas)


def _clamp(amount: int) -> int:
    return max(0, min(amount, MAX_AMOUNT))
