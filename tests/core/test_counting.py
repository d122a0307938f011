"""Which charges of a request are counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.counters import Counter
from ratelimit_service.core.counting import weigh
from ratelimit_service.core.messages import CountLine
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.rules import Step
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.core.units import MAX_AMOUNT

COUNTERS = [Counter("domain", (Step("key", name),), "", 1_000_000) for name in "abc"]


def _charge(counter: Counter, amount: int, limit: int) -> Charge:
    return Charge(counter, amount, Cap(Algorithm.FIXED_WINDOW, limit, 1_000_000), Terms(amount))


def _counted(charges: list[Charge], held: dict[Counter, int], counting: Counting) -> list[bool]:
    """Say of each charge whether it is counted."""
    lines = [CountLine(repr(c.counter), c.cap, c.amount, c.terms) for c in charges]
    used = {repr(counter): count for counter, count in held.items()}
    return list(weigh(lines, used, counting).counts)


CHARGES = st.lists(
    st.builds(_charge, st.sampled_from(COUNTERS), st.integers(-5, 9), st.integers(0, 9)), max_size=6
)
HELD = st.fixed_dictionaries({counter: st.integers(0, 12) for counter in COUNTERS})


def _goes_over(charges: list[Charge], counted: dict[Counter, int], selected: list[bool]) -> bool:
    """Charge what is selected, and say whether some counter was then above its limit."""
    held, over = dict(counted), False
    for charge, counts in zip(charges, selected, strict=True):
        if counts:
            held[charge.counter] = max(0, min(held[charge.counter] + charge.amount, MAX_AMOUNT))
        over |= held[charge.counter] > charge.cap.limit
    return over


@given(charges=CHARGES, counted=HELD)
def test_every_counts_everything(charges: list[Charge], counted: dict[Counter, int]) -> None:
    assert _counted(charges, counted, Counting.EVERY) == [True] * len(charges)


@given(charges=CHARGES, counted=HELD)
def test_both_ways_of_counting_give_the_same_answer(
    charges: list[Charge], counted: dict[Counter, int]
) -> None:
    every = _counted(charges, counted, Counting.EVERY)
    only_over = _counted(charges, counted, Counting.ONLY_OVER)

    assert _goes_over(charges, counted, only_over) == _goes_over(charges, counted, every)


@given(charges=CHARGES, counted=HELD)
def test_what_stays_within_its_limit_is_not_counted_when_something_goes_over(
    charges: list[Charge], counted: dict[Counter, int]
) -> None:
    selected = _counted(charges, counted, Counting.ONLY_OVER)

    over = _goes_over(charges, counted, [True] * len(charges))
    for charge, counts in zip(charges, selected, strict=True):
        same = [other for other in charges if other.counter == charge.counter]
        own = _goes_over(same, counted, [True] * len(same))
        assert counts == (not over or own or charge.amount <= 0)
