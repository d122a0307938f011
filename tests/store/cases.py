"""What every store answers, as a table: charges at times, and what the counters then hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting
from ratelimit_service.core.units import MAX_AMOUNT
from tests.store.subjects import MINUTE_US, charge, counter

A, B, C = counter("a"), counter("b"), counter("c")
SECONDS_A = counter("a", 1_000_000)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, ``at_us`` after the start of a minute, and the answer to it."""

    at_us: int
    charges: Sequence[Charge]
    expected: Sequence[Outcome]
    counting: Counting = Counting.EVERY


@dataclass(frozen=True, slots=True)
class Case:
    """Requests that are made in turn to an empty store."""

    title: str
    asks: Sequence[Ask]


def ask(at_us: int, *charges: Charge, gives: Sequence[int], left_us: int | None = None) -> Ask:
    """Write a request that counts every charge; all its windows have the same time left."""
    left_us = MINUTE_US - at_us if left_us is None else left_us
    return Ask(at_us, charges, [Outcome(counted, left_us) for counted in gives])


def only_over(*charges: Charge, gives: Sequence[int]) -> Ask:
    """Write a request at the start of the minute that counts as ONLY_OVER does."""
    expected = [Outcome(counted, MINUTE_US) for counted in gives]
    return Ask(0, charges, expected, Counting.ONLY_OVER)


CASES = [
    Case("01 a first charge starts at its amount", [ask(0, charge(A), gives=[1])]),
    Case(
        "02 N asked, N charged (F9)",
        [ask(0, charge(A, 7), gives=[7]), ask(1, charge(A, 1_000_000_000), gives=[1_000_000_007])],
    ),
    Case(
        "03 a look charges nothing",
        [
            ask(0, charge(A, 0), gives=[0]),
            ask(1, charge(A, 3), gives=[3]),
            ask(2, charge(A, 0), gives=[3]),
            ask(3, charge(A, 0), gives=[3]),
        ],
    ),
    Case(
        "04 what is given back is counted no more",
        [ask(0, charge(A, 5), gives=[5]), ask(1, charge(A, -2), gives=[3])],
    ),
    Case(
        "05 giving back more than was charged stops at 0 (F23)",
        [
            ask(0, charge(A, 5), gives=[5]),
            ask(1, charge(A, -6), gives=[0]),
            ask(2, charge(A, 1), gives=[1]),
        ],
    ),
    Case(
        "06 giving back to an empty counter leaves 0 (F23)",
        [ask(0, charge(A, -MAX_AMOUNT), gives=[0]), ask(1, charge(A), gives=[1])],
    ),
    Case(
        "07 a sum stops at the largest amount (F24)",
        [
            ask(0, charge(A, MAX_AMOUNT), gives=[MAX_AMOUNT]),
            ask(1, charge(A, MAX_AMOUNT), gives=[MAX_AMOUNT]),
            ask(2, charge(A, 1), gives=[MAX_AMOUNT]),
        ],
    ),
    Case(
        "08 sums stay exact up to the largest amount (F24)",
        [
            ask(0, charge(A, MAX_AMOUNT - 2), gives=[MAX_AMOUNT - 2]),
            ask(1, charge(A, 1), gives=[MAX_AMOUNT - 1]),
            ask(2, charge(A, 1), gives=[MAX_AMOUNT]),
            ask(3, charge(A, -MAX_AMOUNT + 1), gives=[1]),
        ],
    ),
    Case(
        "09 a window lasts up to its last microsecond",
        [
            ask(0, charge(A, 4), gives=[4]),
            ask(MINUTE_US - 1, charge(A), gives=[5], left_us=1),
            ask(MINUTE_US, charge(A), gives=[1], left_us=MINUTE_US),
        ],
    ),
    Case(
        "10 windows that nobody charged are skipped",
        [
            ask(59, charge(A, 4), gives=[4]),
            ask(1_000 * MINUTE_US + 17, charge(A, 2), gives=[2], left_us=MINUTE_US - 17),
        ],
    ),
    Case(
        "11 a look at a new window does not start it",
        [
            ask(0, charge(A, 4), gives=[4]),
            ask(MINUTE_US, charge(A, 0), gives=[0], left_us=MINUTE_US),
            ask(MINUTE_US - 1, charge(A, 1), gives=[5], left_us=1),
        ],
    ),
    Case(
        "12 a clock that goes back within a window changes nothing",
        [ask(50, charge(A, 4), gives=[4]), ask(3, charge(A), gives=[5])],
    ),
    Case(
        "13 a clock that goes back over a boundary stays in the later window",
        [
            ask(0, charge(A, 4), gives=[4]),
            ask(MINUTE_US, charge(A, 2), gives=[2], left_us=MINUTE_US),
            ask(MINUTE_US - 5, charge(A, 3), gives=[5], left_us=MINUTE_US),
            ask(MINUTE_US + 5, charge(A, 1), gives=[6], left_us=MINUTE_US - 5),
        ],
    ),
    Case(
        "14 a counter twice in a request counts twice, in order",
        [ask(0, charge(A, 2), charge(A, 3), charge(A, 0), charge(A, -1), gives=[2, 5, 5, 4])],
    ),
    Case(
        "15 counters of a request are charged each, in order",
        [
            ask(0, charge(B, 2), charge(A, 3), charge(C, 5), gives=[2, 3, 5]),
            ask(1, charge(C, 1), charge(A, 0), charge(B, 2), gives=[6, 3, 4]),
        ],
    ),
    Case(
        "16 the limit is no part of a counter, and does not stop it",
        [
            ask(0, charge(A, 8, limit=5), gives=[8]),
            ask(1, charge(A, 1, limit=100), gives=[9]),
            ask(2, charge(A, 1, limit=0), gives=[10]),
        ],
    ),
    Case(
        "17 windows of different lengths are different counters",
        [
            ask(0, charge(A, 3), gives=[3]),
            Ask(1_500_000, [charge(SECONDS_A, 1)], [Outcome(1, 500_000)]),
            ask(1_500_000, charge(A, 1), gives=[4]),
        ],
    ),
    Case("18 no charges, no outcomes", [ask(0, gives=[])]),
    Case(
        "19 only_over: nobody over, all are counted",
        [only_over(charge(A, 10), charge(B, 3), gives=[10, 3])],
    ),
    Case(
        "20 only_over: somebody over, only those are counted",
        [
            ask(0, charge(A, 10), charge(B, 3), gives=[10, 3]),
            only_over(charge(B, 2), charge(A, 1), charge(C, 1), gives=[3, 11, 0]),
            ask(0, charge(A, 0), charge(B, 0), charge(C, 0), gives=[11, 3, 0]),
        ],
    ),
    Case(
        "21 only_over: several over, all of those are counted",
        [only_over(charge(A, 11), charge(B, 12), charge(C, 1), gives=[11, 12, 0])],
    ),
    Case(
        "22 only_over: a look at a counter above its limit stops the others",
        [
            ask(0, charge(A, 11), gives=[11]),
            only_over(charge(A, 0), charge(B, 2), gives=[11, 0]),
        ],
    ),
    Case(
        "23 only_over: a look at a counter at its limit stops nobody",
        [
            ask(0, charge(A, 10), gives=[10]),
            only_over(charge(A, 0), charge(B, 2), gives=[10, 2]),
        ],
    ),
    Case(
        "24 only_over: what is given back always counts",
        [
            ask(0, charge(A, 10), charge(B, 5), gives=[10, 5]),
            only_over(charge(A, 1), charge(B, -2), charge(C, 1), gives=[11, 3, 0]),
        ],
    ),
    Case(
        "25 only_over: a counter twice goes over by the sum, and counts both",
        [only_over(charge(A, 6), charge(B, 1), charge(A, 6), gives=[6, 0, 12])],
    ),
    Case(
        "26 only_over: a limit of 0 is exceeded by the first hit (F8)",
        [only_over(charge(A, 1, limit=0), charge(B, 1), gives=[1, 0])],
    ),
    Case(
        "27 only_over: huge sums compare exactly (F24)",
        [
            ask(0, charge(A, MAX_AMOUNT - 1), gives=[MAX_AMOUNT - 1]),
            only_over(charge(A, 1, limit=MAX_AMOUNT), charge(B), gives=[MAX_AMOUNT, 1]),
            only_over(charge(A, 1, limit=MAX_AMOUNT - 1), charge(B), gives=[MAX_AMOUNT, 1]),
        ],
    ),
]
