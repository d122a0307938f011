"""Strict counting: a refused call charges nothing, but what was spent already."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.counting import weigh
from ratelimit_service.core.messages import CountLine
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.core.units import MAX_AMOUNT

LIMIT = 10


@dataclass(frozen=True, slots=True)
class Case:
    """Lines of a call to counters of a limit of 10, what these hold, and what is counted."""

    title: str
    used: dict[str, int]
    lines: list[CountLine]
    counts: str
    fits: str


def line(key: str, amount: int, terms: Terms, limit: int = LIMIT) -> CountLine:
    return CountLine(key, Cap(Algorithm.FIXED_WINDOW, limit, 60_000_000), amount, terms)


def hit(key: str, amount: int = 1, quota: int = 0) -> CountLine:
    return line(key, amount, Terms(amount, always=False, quota=quota))


def look(key: str) -> CountLine:
    return line(key, 0, Terms(1))


def spent(key: str, amount: int) -> CountLine:
    return line(key, amount, Terms(amount))


def trial(key: str, amount: int = 1) -> CountLine:
    return line(key, amount, Terms(amount, always=False, refuses=False))


CASES = [
    Case("01 all fit", {"a": 9, "b": 0}, [hit("a"), hit("b", 10)], "11", "11"),
    Case(
        "02 one does not: none is counted (F3)", {"a": 0, "b": 10}, [hit("a"), hit("b")], "00", "10"
    ),
    Case("03 exactly the limit (F7)", {"a": 7}, [hit("a", 3)], "1", "1"),
    Case("04 one more (F7)", {"a": 7}, [hit("a", 4)], "0", "0"),
    Case("05 two of one counter are added up", {"a": 0}, [hit("a", 6), hit("a", 6)], "00", "10"),
    Case("06 a look at room", {"a": 9, "b": 0}, [look("a"), hit("b")], "11", "11"),
    Case(
        "07 a look at an exhausted limit refuses",
        {"a": 10, "b": 0},
        [look("a"), hit("b")],
        "10",
        "01",
    ),
    Case("08 what was spent counts past the limit", {"a": 9}, [spent("a", 500)], "1", "0"),
    Case("09 and refuses the rest", {"a": 9, "b": 0}, [spent("a", 500), hit("b")], "10", "01"),
    Case(
        "10 and counts though the rest refuses",
        {"a": 0, "b": 10},
        [spent("a", 5), hit("b")],
        "10",
        "10",
    ),
    Case(
        "11 what is given back always counts",
        {"a": 5, "b": 10},
        [spent("a", -3), hit("b")],
        "10",
        "10",
    ),
    Case(
        "12 it can make room for what comes after",
        {"a": 10},
        [spent("a", -1), hit("a")],
        "11",
        "11",
    ),
    Case(
        "13 a trial counts past its limit, and refuses nobody",
        {"a": 10, "b": 0},
        [trial("a"), hit("b")],
        "11",
        "01",
    ),
    Case(
        "14 a trial of a refused call counts nothing",
        {"a": 0, "b": 10},
        [trial("a"), hit("b")],
        "00",
        "10",
    ),
    Case(
        "15 one quota over, the other not: allowed",
        {"a": 10, "b": 0},
        [hit("a", 1, 1), hit("b", 1, 2)],
        "01",
        "01",
    ),
    Case(
        "16 all quotas over: refused",
        {"a": 10, "b": 10, "c": 0},
        [hit("a", 1, 1), hit("b", 1, 2), hit("c")],
        "000",
        "001",
    ),
    Case(
        "17 a quota never saves a limit", {"a": 0, "b": 10}, [hit("a", 1, 1), hit("b")], "00", "10"
    ),
    Case(
        "18 one limit of each quota over",
        {"a": 10, "b": 0, "c": 10},
        [hit("a", 1, 1), hit("b", 1, 1), hit("c", 1, 2)],
        "000",
        "010",
    ),
    Case("19 a limit of 0 (F8)", {"a": 0}, [line("a", 1, Terms(1, always=False), 0)], "0", "0"),
    Case(
        "20 sums stay exact (F24)",
        {"a": MAX_AMOUNT},
        [line("a", 1, Terms(1, always=False), MAX_AMOUNT - 1)],
        "0",
        "0",
    ),
    Case("21 no lines", {}, [], "", ""),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_strict(case: Case) -> None:
    weighed = weigh(case.lines, case.used, Counting.STRICT)

    assert "".join("01"[counts] for counts in weighed.counts) == case.counts
    assert "".join("01"[fits] for fits in weighed.fits) == case.fits


KEYS = st.sampled_from("abc")
HITS = st.builds(hit, KEYS, st.integers(1, 9))
LINES = st.lists(HITS | st.builds(look, KEYS), max_size=6)


@given(lines=LINES, used=st.fixed_dictionaries({key: st.integers(0, LIMIT) for key in "abc"}))
def test_a_call_is_counted_whole_or_not_at_all(
    lines: list[CountLine], used: dict[str, int]
) -> None:
    """F3, F7, F10: no call that is counted leaves a counter above its limit."""
    weighed = weigh(lines, used, Counting.STRICT)

    counted = {each for line, each in zip(lines, weighed.counts, strict=True) if line.amount}
    assert len(counted) <= 1
    assert counted <= {all(weighed.fits)}
    for line, counts in zip(lines, weighed.counts, strict=True):
        used[line.key] += line.amount * counts
    assert max(used.values()) <= LIMIT
