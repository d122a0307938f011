"""Reservations on every store: memory, standalone, Sentinel and a three-master cluster.

Counters a, b and c lie in different slots where slots are enforced.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.crc import key_slot

from ratelimit_service.core.algorithms import Algorithm
from ratelimit_service.core.messages import LATE_US, HoldKind
from ratelimit_service.core.protocols.answers import (
    Closed,
    Extended,
    Mismatch,
    NotFound,
    Refused,
    Replayed,
    Reserved,
    Settled,
)
from tests.store.reserving import (
    RELEASED,
    TTL_US,
    UNKNOWN,
    Desk,
    Want,
    counter_of,
    lines_of,
    used,
)
from tests.store.subjects import Subject, charge

A, B, C = Want("a", 10), Want("b", 10), Want("c", 10)
WANTS = [pytest.param((A,), id="one slot"), pytest.param((A, B, C), id="several slots")]


@pytest.fixture
def desk(subject: Subject) -> Desk:
    return Desk(subject.store)


def test_01_the_counters_lie_in_different_slots(desk: Desk) -> None:
    slots = {key_slot(line.key.encode()) for line in lines_of(desk.store, (A, B, C))}

    assert len(slots) == 3


@pytest.mark.parametrize("wants", WANTS)
async def test_02_what_is_reserved_is_held(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F9, F48."""
    answered = await desk.reserve(*wants)

    assert isinstance(answered.result, Reserved)
    assert answered.reservation_id
    assert await desk.held(*wants) == [(10, 10)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
@pytest.mark.parametrize("actual", [0, 3, 10, 250])
async def test_03_a_settlement_charges_what_was_used(
    desk: Desk, wants: tuple[Want, ...], actual: int
) -> None:
    """F16, F17, F19: below, at and above the estimate, and past the limit."""
    answered = await desk.reserve(*wants)
    settled = await desk.settle(answered, used(actual))

    assert isinstance(settled, Settled)
    assert [seen.view.state.counted for seen in settled.seen] == [actual] * len(wants)
    assert await desk.held(*wants) == [(actual, 0)] * len(wants)
    next_one = await desk.reserve(*wants)
    assert isinstance(next_one.result, Refused if actual == 250 else Reserved)


@pytest.mark.parametrize("wants", WANTS)
async def test_04_unknown_usage_keeps_the_estimate(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F18."""
    await desk.settle(await desk.reserve(*wants), UNKNOWN)

    assert await desk.held(*wants) == [(10, 0)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_05_a_settlement_counts_once(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F11, also from a replica that has not made the reservation."""
    answered = await desk.reserve(*wants)
    first = await desk.settle(answered, used(7))
    again = await desk.settle(answered, used(7))
    elsewhere = await Desk(desk.store).settle(answered, used(7))
    other = await desk.settle(answered, used(8))

    assert isinstance(first, Settled)
    assert isinstance(again, Settled)
    assert isinstance(elsewhere, Settled)
    assert isinstance(other, Mismatch)
    assert await desk.held(*wants) == [(7, 0)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_06_a_request_id_admits_once(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F13, at once and later, here and at another replica."""
    elsewhere = Desk(desk.store)
    at_once = await asyncio.gather(
        *(each.reserve(*wants, request_id="id") for each in [desk, elsewhere] * 5)
    )
    later = await elsewhere.reserve(*wants, request_id="id")

    assert len({answered.reservation_id for answered in [*at_once, later]}) == 1
    assert sum(isinstance(answered.result, Reserved) for answered in at_once) == 1
    assert isinstance(later.result, Replayed)
    assert await desk.held(*wants) == [(10, 10)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_07_a_request_id_stands_for_one_payload(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F12, also where the other payload lies in other slots."""
    await desk.reserve(*wants, request_id="id")
    other = await desk.reserve(replace(A, amount=11), request_id="id")
    elsewhere = await desk.reserve(Want("d"), Want("e"), request_id="id")
    of_another = await desk.reserve(*wants, request_id="id", owner="you")

    assert isinstance(other.result, Mismatch)
    assert isinstance(elsewhere.result, Mismatch)
    assert isinstance(of_another.result, Reserved)
    assert await desk.counted(Want("d"), Want("e")) == [0, 0]
    assert await desk.counted(*wants) == [20] * len(wants)


async def test_08_one_refusal_leaves_every_limit_as_it_was(desk: Desk) -> None:
    """F3, F4, F28."""
    full = replace(B, limit=10)
    await desk.reserve(full)
    refused = await desk.reserve(A, full, C)

    assert isinstance(refused.result, Refused)
    assert not refused.reservation_id
    assert [seen.view.fits for seen in refused.result.seen if seen] == [True, False, True]
    assert await desk.held(A, full, C) == [(0, 0), (10, 10), (0, 0)]


async def test_09_a_refusal_is_decided_anew(desk: Desk) -> None:
    """A refused request id has claimed nothing."""
    full = replace(B, limit=10)
    first = await desk.reserve(full)
    refused = await desk.reserve(A, full, request_id="id")
    await desk.settle(first, RELEASED)
    again = await desk.reserve(A, full, request_id="id")

    assert isinstance(refused.result, Refused)
    assert isinstance(again.result, Reserved)


@pytest.mark.parametrize("kind", [HoldKind.KEEP, HoldKind.RELEASE])
@pytest.mark.parametrize("wants", WANTS)
async def test_10_a_hold_ends_at_its_time(
    subject: Subject, desk: Desk, wants: tuple[Want, ...], kind: HoldKind
) -> None:
    """F14, F15: and a settlement that comes after all counts the actual amount, once."""
    wants = tuple(replace(want, kind=kind) for want in wants)
    answered = await desk.reserve(*wants)
    subject.clock.now_us += TTL_US
    expired = await desk.held(*wants)
    late = await desk.settle(answered, used(7))
    again = await desk.settle(answered, used(7))

    assert expired == [(10 if kind is HoldKind.KEEP else 0, 0)] * len(wants)
    assert isinstance(late, Settled)
    assert isinstance(again, Settled)
    assert await desk.held(*wants) == [(7, 0)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_11_an_hour_later_nothing_is_known_of_it(
    subject: Subject, desk: Desk, wants: tuple[Want, ...]
) -> None:
    answered = await desk.reserve(*wants)
    subject.clock.now_us += TTL_US + LATE_US

    assert isinstance(await Desk(desk.store).settle(answered), NotFound)


@pytest.mark.parametrize("wants", WANTS)
async def test_12_only_who_reserved_can_settle(desk: Desk, wants: tuple[Want, ...]) -> None:
    answered = await desk.reserve(*wants)
    forged = answered.reservation_id[:-2] + ("AA" if answered.reservation_id[-2:] != "AA" else "BA")

    assert isinstance(await desk.settle(answered, RELEASED, owner="you"), NotFound)
    for text in (forged, "", "A", "é", "A" * 47, answered.reservation_id + "A", "\ud800"):
        other = replace(answered, reservation_id=text)
        assert isinstance(await desk.settle(other, RELEASED), NotFound)
    assert await desk.held(*wants) == [(10, 10)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_13_a_top_up_is_charged_once(desk: Desk, wants: tuple[Want, ...]) -> None:
    answered = await desk.reserve(*wants)
    first = await desk.extend(answered, 5, "more")
    again = await desk.extend(answered, 5, "more")
    other = await desk.extend(answered, 6, "more")

    assert isinstance(first, Extended)
    assert isinstance(again, Extended)
    assert isinstance(other, Mismatch)
    assert await desk.held(*wants) == [(15, 15)] * len(wants)
    assert isinstance(await desk.settle(answered, used(12)), Settled)
    assert await desk.held(*wants) == [(12, 0)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_14_a_top_up_that_does_not_fit_changes_nothing(
    desk: Desk, wants: tuple[Want, ...]
) -> None:
    answered = await desk.reserve(*wants)
    refused = await desk.extend(answered, 191, "more")

    assert isinstance(refused, Refused)
    assert await desk.held(*wants) == [(10, 10)] * len(wants)
    assert isinstance(await desk.settle(answered, used(4)), Settled)
    assert await desk.held(*wants) == [(4, 0)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_15_a_renewal_outlives_the_first_end(
    subject: Subject, desk: Desk, wants: tuple[Want, ...]
) -> None:
    """It is not refused for a limit that is exhausted."""
    wants = tuple(replace(want, limit=10, kind=HoldKind.RELEASE) for want in wants)
    answered = await desk.reserve(*wants)
    subject.clock.now_us += TTL_US - 1
    renewed = await desk.extend(answered)
    subject.clock.now_us += TTL_US - 1

    assert isinstance(renewed, Extended)
    assert await desk.held(*wants) == [(10, 10)] * len(wants)
    subject.clock.now_us += 1
    assert await desk.held(*wants) == [(0, 0)] * len(wants)
    assert isinstance(await desk.extend(answered), Closed)


async def test_16_leases_free_themselves(subject: Subject, desk: Desk) -> None:
    """F26, F27, F29, F30, with another limit in another slot."""
    lease = Want("p", 1, 2, Algorithm.CONCURRENCY, HoldKind.LEASE, lease_us=TTL_US // 2)
    first = await desk.reserve(lease, A)
    second = await desk.reserve(lease, A)
    third = await desk.reserve(lease, A)
    assert isinstance(third.result, Refused)
    await desk.settle(first)
    await desk.settle(first)
    assert await desk.counted(lease) == [1]
    subject.clock.now_us += TTL_US // 2 - 1
    assert isinstance(await desk.extend(second), Extended)
    subject.clock.now_us += TTL_US // 2 - 1
    assert await desk.counted(lease) == [1]
    subject.clock.now_us += 1
    assert await desk.counted(lease) == [0]
    other = await desk.reserve(lease, A)
    assert isinstance(await desk.settle(second), Settled)
    assert await desk.counted(lease) == [1]
    assert isinstance(other.result, Reserved)


async def test_17_the_window_that_was_charged_is_settled(subject: Subject, desk: Desk) -> None:
    """F25: what is left over of one window takes nothing from the next."""
    answered = await desk.reserve(A, B, ttl_us=2 * TTL_US * 60)
    subject.clock.now_us += TTL_US * 60
    await desk.reserve(A, B)
    await desk.settle(answered, RELEASED)

    assert await desk.held(A, B) == [(10, 10), (10, 10)]


async def test_18_part_of_an_amount_is_granted_equally(desk: Desk) -> None:
    """Of a measure each descriptor gets as much as the scarcest has."""
    scarce = replace(B, limit=6)
    asked = tuple(replace(want, minimum=2) for want in (A, scarce, C))
    answered = await desk.reserve(*asked)

    assert isinstance(answered.result, Reserved)
    assert [line.amount for line in answered.result.reservation.lines] == [6, 6, 6]
    assert await desk.held(*asked) == [(6, 6)] * 3
    assert isinstance((await desk.reserve(*asked)).result, Refused)


@pytest.mark.parametrize("wants", WANTS)
async def test_19_nothing_wanted_locks_nothing(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F8, F22."""
    nothing = tuple(replace(want, amount=0) for want in wants)
    answered = await desk.reserve(*nothing)
    impossible = await desk.reserve(*(replace(want, limit=0) for want in nothing))

    assert isinstance(answered.result, Reserved)
    assert isinstance(impossible.result, Refused)
    assert await desk.held(*wants) == [(0, 0)] * len(wants)
    assert isinstance(await desk.settle(answered, used(3)), Settled)
    assert await desk.held(*wants) == [(3, 0)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_20_a_limit_is_reached_exactly(desk: Desk, wants: tuple[Want, ...]) -> None:
    """F1, F2, F7: callers race, and admitted estimates never sum above the limit."""
    answers = await asyncio.gather(*(desk.reserve(*wants) for _ in range(50)))

    assert sum(isinstance(answered.result, Reserved) for answered in answers) == 20
    assert await desk.held(*wants) == [(200, 200)] * len(wants)


@pytest.mark.parametrize("wants", WANTS)
async def test_21_every_key_ends(subject: Subject, desk: Desk, wants: tuple[Want, ...]) -> None:
    """F40, for records, lists, counters and holds."""
    await desk.settle(await desk.reserve(*wants))
    await desk.reserve(*wants, request_id="id")
    await desk.reserve(*(replace(want, amount=300) for want in wants), request_id="other")
    for key, server in subject.keys().items():
        assert server.execute("PTTL", key) > TTL_US / 1_000


async def test_22_both_kinds_of_calls_count_in_one_counter(subject: Subject, desk: Desk) -> None:
    """A rule's counter is one, whichever way it is charged; a hold that is due gives back."""

    kept, released = Want("a", 10), Want("a", 5, kind=HoldKind.RELEASE)
    counter = counter_of(kept)
    await subject.charge(charge(counter, 3, 20))
    first = await desk.reserve(replace(kept, limit=20))
    await desk.reserve(replace(released, limit=20))
    assert await subject.counted(counter) == 18
    (outcome,) = await subject.charge(charge(counter, 2, 20))
    assert outcome.counted == 20
    assert isinstance((await desk.reserve(Want("a", 1, 20))).result, Refused)
    subject.clock.now_us += TTL_US
    assert await subject.counted(counter) == 15
    await desk.settle(first, used(1))
    assert await subject.counted(counter) == 6
