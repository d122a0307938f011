"""Which charges of one request are counted when some of them go over their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.core.windows import clamp_amount


def select_counted(
    charges: Sequence[Charge], counted: Mapping[Counter, int], counting: Counting
) -> list[bool]:
    """Say for each charge of a request whether it is counted; the others only look.

    ``counted`` is what each counter holds before the request. With ONLY_OVER, once a charge
    would leave its counter above its limit, all charges of such counters are counted and
    those of the others are not. What is given back always is. So the answer to the
    request is the same whichever counting is chosen.
    """
    if counting is Counting.EVERY:
        return [True] * len(charges)
    running = dict(counted)
    over: set[Counter] = set()
    for charge in charges:
        after = clamp_amount(running[charge.counter] + charge.amount)
        running[charge.counter] = after
        if after > charge.cap.limit:
            over.add(charge.counter)
    return [not over or charge.counter in over or charge.amount < 0 for charge in charges]
