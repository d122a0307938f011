"""What every store does, shown on each: memory, standalone, Sentinel and a cluster."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally

import pytest

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.rules import Step
from ratelimit_service.core.terms import Counting
from ratelimit_service.core.units import MAX_AMOUNT, Unit
from tests.store.cases import CASES, Case
from tests.store.subjects import MINUTE_US, START_US, TIMEOUT_S, Subject, charge, counter

HOSTILE_PATHS = [
    (("a", "1_b_2"),),
    (("a", "1"), ("b", "2")),
    (("a_1", "b_2"),),
    (("a", "1/b=2"),),
    (("a", "1;b"),),
    (("a", "}{"),),
    (("a", "{"),),
    (("a", "}"),),
    (("a", "{}"),),
    (("a", ""),),
    (("", "a"),),
    (("", ""),),
    (("a", "%7D%7B"),),
    (("a", "[x*]"),),
    (("a", "x*"),),
    (("a", "é"),),
    (("a", "e\u0301"),),
    (("a", "\x00\r\n"),),
    (("a", "\ud800"),),
    (("a", "x" * 100_000),),
    (("a", "x" * 100_001),),
    (("a", "#"),),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
async def test_case(subject: Subject, case: Case) -> None:
    for ask in case.asks:
        subject.clock.now_us = START_US + ask.at_us
        outcomes = await subject.charge(*ask.charges, counting=ask.counting)
        seen = [(outcome.counted, outcome.reset_in_us) for outcome in outcomes]
        assert seen == [(one.counted, one.reset_in_us) for one in ask.expected], ask


@pytest.mark.parametrize("unit", Unit)
async def test_windows_of_every_unit_begin_at_multiples_of_their_length(
    subject: Subject, unit: Unit
) -> None:
    window_us = unit.window_us
    boundary_us = (START_US // window_us + 1) * window_us
    seen = []
    for at_us in (boundary_us - window_us, boundary_us - 1, boundary_us, boundary_us + 1):
        subject.clock.now_us = at_us
        (outcome,) = await subject.charge(charge(counter("a", window_us)))
        seen.append((outcome.counted, outcome.reset_in_us))

    assert seen == [(1, window_us), (2, 1), (1, window_us), (2, window_us - 1)]


async def test_no_text_of_a_caller_reaches_another_counter(subject: Subject) -> None:
    counters = [
        Counter(domain, tuple(Step(key, value) for key, value in path), "", MINUTE_US)
        for path in HOSTILE_PATHS
        for domain in ("domain", "domain/a")
    ]
    counters.append(Counter("domain", (Step("a", "x*", shared=True),), "", MINUTE_US))
    counters += [
        Counter("domain", (Step("a", "1"),), "", MINUTE_US),
        Counter("domain", (Step("a", "1"),), "", MINUTE_US, overridden=True),
        Counter("domain", (Step("a", "1"),), "requests", MINUTE_US),
        Counter("domain", (Step("a", "1"),), ";requests", MINUTE_US),
        Counter("domain", (Step("a", "1"),), "", MINUTE_US, "tokens"),
        Counter("domain", (Step("a", "1"),), "", MINUTE_US * 60),
    ]
    amounts = range(1, len(counters) + 1)
    await subject.charge(*(charge(c, n) for c, n in zip(counters, amounts, strict=True)))

    looked = await subject.charge(*(charge(counter, 0) for counter in counters))

    assert [outcome.counted for outcome in looked] == list(amounts)


async def test_every_charge_of_a_thousand_at_once_is_counted_once(subject: Subject) -> None:
    """F1, F2: each value of a counter is seen exactly once, up to the number of charges."""
    counters = [counter(f"{number}") for number in range(7)]

    async def ask(number: int) -> list[tuple[Counter, int]]:
        charged = [counters[number % 7], counters[(number + 1) % 7]]
        outcomes = await subject.charge(*map(charge, charged))
        return list(zip(charged, (outcome.counted for outcome in outcomes), strict=True))

    answers = await asyncio.gather(*(ask(number) for number in range(1_001)))

    seen = Tally(pair for answer in answers for pair in answer)
    assert seen == Tally((counter, n) for counter in counters for n in range(1, 287))


async def test_keys_outlive_their_windows_and_always_end(subject: Subject) -> None:
    """F40, for each kind of write: a charge, a refund, and both in a window under way."""
    for unit in Unit:
        boundary_us = (START_US // unit.window_us + 1) * unit.window_us
        for at_us in (boundary_us - unit.window_us, boundary_us - 1):
            subject.clock.now_us = at_us
            written = {**subject.keys()}
            names = [counter(f"{unit.name}-{at_us}-{n}", unit.window_us) for n in range(3)]
            await subject.charge(charge(names[0], MAX_AMOUNT))
            await subject.charge(charge(names[1], -1))
            await subject.charge(*(charge(names[2], n) for n in (5, -2, 0)))
            left_ms = (boundary_us - at_us) / 1_000
            for key in subject.keys().keys() - written.keys():
                assert left_ms < subject.keys()[key].execute("PTTL", key) <= left_ms + 11_000


async def test_looking_writes_nothing(subject: Subject) -> None:
    await subject.charge(charge(counter(), 0), counting=Counting.EVERY)
    await subject.charge(charge(counter(), 0), counting=Counting.ONLY_OVER)

    assert not subject.keys()


async def test_a_request_of_thousands_of_charges_is_answered(subject: Subject) -> None:
    charges = [charge(counter(f"{number}"), number) for number in range(10_000)]

    outcomes = await subject.charge(*charges)

    assert [outcome.counted for outcome in outcomes] == list(range(10_000))


async def test_it_says_that_it_can_decide(subject: Subject) -> None:
    await asyncio.wait_for(subject.store.ping(), TIMEOUT_S)
