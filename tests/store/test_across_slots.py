"""Strict calls of ShouldRateLimit whose counters lie in several slots of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.store.across_slots import AcrossSlots
from tests.store.subjects import TIMEOUT_S, Subject, charge, counter

A, B, C = counter("a"), counter("b"), counter("c")


@pytest.fixture
def strict(subject: Subject) -> AcrossSlots:
    return AcrossSlots(subject.store)


def hit(counter: Counter, limit: int = 10) -> Charge:
    """Return a hit that refuses the call where it does not fit."""
    return replace(charge(counter, 1, limit), terms=Terms(1, always=False))


def report(counter: Counter, amount: int) -> Charge:
    """Return what was spent already, and counts in any case."""
    return replace(charge(counter, amount), terms=Terms(amount, always=True))


async def ask(store: AcrossSlots, *charges: Charge) -> Sequence[Outcome]:
    return await store.charge(charges, Counting.STRICT, TIMEOUT_S)


async def test_all_are_charged_where_all_fit(strict: AcrossSlots, subject: Subject) -> None:
    outcomes = await ask(strict, hit(A), hit(B), hit(B), hit(C))

    assert [outcome.counted for outcome in outcomes] in ([1, 2, 2, 1], [1, 1, 2, 1])
    assert all(outcome.fits for outcome in outcomes)
    assert [await subject.counted(each) for each in (A, B, C)] == [1, 2, 1]


async def test_none_is_charged_where_one_refuses(strict: AcrossSlots, subject: Subject) -> None:
    """F3, F10, but for what was spent already."""
    outcomes = await ask(strict, hit(A), hit(B, 0), report(C, 20))

    assert [outcome.fits for outcome in outcomes] == [True, False, False]
    assert [await subject.counted(each) for each in (A, B, C)] == [0, 0, 20]


async def test_a_race_admits_exactly_the_limit(strict: AcrossSlots, subject: Subject) -> None:
    """F1, F7."""
    calls = [ask(strict, hit(A, 15), hit(B, 15), hit(C, 15)) for _ in range(60)]
    answers = await asyncio.gather(*calls)

    admitted = [each for each in answers if all(outcome.fits for outcome in each)]
    assert len(admitted) == 15
    assert [await subject.counted(each) for each in (A, B, C)] == [15, 15, 15]


async def test_quotas_refuse_together_only(strict: AcrossSlots, subject: Subject) -> None:
    spent = replace(hit(A, 0), terms=Terms(1, always=False, quota=1))
    left = replace(hit(B, 1), terms=Terms(1, always=False, quota=2))
    first = await ask(strict, spent, left)
    second = await ask(strict, spent, left)

    assert [outcome.fits for outcome in first] == [False, True]
    assert [outcome.fits for outcome in second] == [False, False]
    assert [await subject.counted(each) for each in (A, B)] == [0, 1]
