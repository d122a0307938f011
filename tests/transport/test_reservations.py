"""Reserving, as a gateway sees it, on every kind of store."""

from __future__ import annotations

import asyncio

import grpc

from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import rls_pb2
from ratelimit_service.pb.ratelimit_descriptor_pb2 import RateLimitDescriptor
from tests.transport.reserving import (
    NOBODY,
    OK,
    OVER_LIMIT,
    TOKENS,
    Place,
    desk,
    failing,
    one_limit,
    seconds,
    team,
    two_desks,
    user,
)

Reason = pb.Refusal.Reason


# --- admission -------------------------------------------------------------------------------


async def test_a_reservation_is_held_then_settled(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        answer = await service.reserve(amounts={"tokens": 60}, ttl=seconds(30))

        assert answer.overall_code == OK
        assert answer.reservation_id
        assert answer.state == pb.OPEN
        assert answer.expires_at.ToMicroseconds() == place.clock.now_us + 30_000_000
        assert answer.granted["tokens"] == 60
        assert not answer.degraded
        assert not answer.HasField("refusal")
        (status,) = answer.statuses
        assert status.code == OK
        limit = one_limit(status)
        assert (limit.name, limit.measure, limit.algorithm) == ("tpm", "tokens", "fixed_window")
        assert (limit.code, limit.limit, limit.used, limit.held) == (OK, 100, 0, 60)
        assert limit.remaining == 40
        assert limit.until_reset.ToMicroseconds() > 0

        settled = await service.settle(answer.reservation_id, tokens=25)
        assert settled.state == pb.SETTLED
        limit = one_limit(settled.statuses[0])
        assert (limit.used, limit.held, limit.remaining) == (25, 0, 75)
        assert await service.counted("tpm") == (25, 0)


async def test_a_thousand_callers_race_for_a_budget_f1_f2(place: Place) -> None:
    async with two_desks(place, TOKENS) as (one, other):
        answers = await asyncio.gather(
            *(
                (one if number % 2 else other).reserve(amounts={"tokens": 7})
                for number in range(200)
            )
        )

        admitted = [answer for answer in answers if answer.overall_code == OK]
        assert len(admitted) == 100 // 7
        assert await one.counted("tpm") == (0, 98)


async def test_one_refusal_changes_no_limit_f3(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        for _ in range(3):
            assert (await service.reserve(user())).overall_code == OK
        answer = await service.reserve(team(), user(), amounts={"tokens": 10})

        assert answer.overall_code == OVER_LIMIT
        assert [status.code for status in answer.statuses] == [OK, OVER_LIMIT]
        assert answer.refusal.descriptor_index == 1
        assert not answer.reservation_id
        assert await service.counted("tpm") == (0, 0)
        assert await service.counted("rpm", user()) == (0, 3)


async def test_exactly_the_limit_is_admitted_f7_f9(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        assert (await service.reserve(amounts={"tokens": 60})).overall_code == OK
        assert (await service.reserve(amounts={"tokens": 41})).overall_code == OVER_LIMIT
        assert (await service.reserve(amounts={"tokens": 40})).overall_code == OK
        assert (await service.reserve(amounts={"tokens": 1})).overall_code == OVER_LIMIT
        assert await service.counted("tpm") == (0, 100)


async def test_a_limit_of_nothing_refuses_and_no_limit_does_not_f8(place: Place) -> None:
    rules = """
    domain: d
    descriptors:
      - {key: team, limits: [{name: none, measure: requests, amount: 0, window: 1m}]}
    """
    async with desk(place, rules) as service:
        refused = await service.reserve()
        assert refused.refusal.reason == Reason.NEVER_FITS
        free = await service.reserve(user())
        assert free.overall_code == OK
        assert [len(status.limits) for status in free.statuses] == [0]


async def test_refused_calls_leave_no_trace_f10(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        await service.reserve(amounts={"tokens": 100})
        before = one_limit((await service.usage()).statuses[0])
        for _ in range(20):
            assert (await service.reserve(amounts={"tokens": 1})).overall_code == OVER_LIMIT
        after = one_limit((await service.usage()).statuses[0])
        assert after == before


async def test_an_estimate_of_nothing_neither_locks_nor_reserves_everything_f22(
    place: Place,
) -> None:
    async with desk(place, TOKENS) as service:
        answer = await service.reserve(amounts={"tokens": 0})
        assert answer.overall_code == OK
        assert await service.counted("tpm") == (0, 0)
        assert (await service.reserve(amounts={"tokens": 100})).overall_code == OK
        spent = await service.reserve()
        assert spent.overall_code == OVER_LIMIT  # what costs nothing may cost something yet
        await service.settle(answer.reservation_id, tokens=3)
        assert await service.counted("tpm") == (3, 100)


async def test_a_partial_grant_is_the_most_that_fits(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        await service.reserve(amounts={"tokens": 70})
        answer = await service.reserve(amounts={"tokens": 50}, min_amounts={"tokens": 10})
        assert (answer.overall_code, answer.granted["tokens"]) == (OK, 30)
        answer = await service.reserve(amounts={"tokens": 50}, min_amounts={"tokens": 10})
        assert answer.overall_code == OVER_LIMIT
        assert not answer.granted


async def test_a_dry_run_reserves_nothing(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        answer = await service.reserve(amounts={"tokens": 60}, dry_run=True)
        assert (answer.overall_code, answer.granted["tokens"]) == (OK, 60)
        assert not answer.reservation_id
        answer = await service.reserve(amounts={"tokens": 101}, dry_run=True)
        assert answer.refusal.reason == Reason.NEVER_FITS
        assert await service.counted("tpm") == (0, 0)


async def test_two_descriptors_of_one_counter_are_added_up(place: Place) -> None:
    rules = """
    domain: d
    descriptors:
      - key: team
        value: "*"
        share_threshold: true
        limits: [{name: tpm, measure: tokens, amount: 100, window: 1h}]
    """
    async with desk(place, rules) as service:
        asked = (team("a", amounts={"tokens": 60}), team("b", amounts={"tokens": 41}))
        assert (await service.reserve(*asked)).overall_code == OVER_LIMIT
        asked = (team("a", amounts={"tokens": 60}), team("b", amounts={"tokens": 40}))
        answer = await service.reserve(*asked)
        assert answer.overall_code == OK
        actual = pb.Actual(
            descriptors=[
                pb.DescriptorAmounts(amounts={"tokens": 5}),
                pb.DescriptorAmounts(amounts={"tokens": 6}),
            ]
        )
        message = pb.ReconcileRequest(reservation_id=answer.reservation_id, actual=actual)
        await service.service.Reconcile(message)
        assert await service.counted("tpm") == (11, 0)


# --- repeated calls --------------------------------------------------------------------------


async def test_a_repeated_call_reserves_once_f13(place: Place) -> None:
    async with two_desks(place, TOKENS) as (one, other):
        asked = {"amounts": {"tokens": 60}, "request_id": "r", "ttl": seconds(30)}
        first = await one.reserve(**asked)
        again = await other.reserve(**{**asked, "ttl": seconds(5)})
        assert again.reservation_id == first.reservation_id
        assert (again.overall_code, again.state) == (OK, pb.OPEN)
        assert again.expires_at == first.expires_at
        assert again.granted == first.granted
        assert await one.counted("tpm") == (0, 60)

        await one.settle(first.reservation_id, tokens=1)
        assert (await other.reserve(**asked)).state == pb.SETTLED
        assert await one.counted("tpm") == (1, 0)


async def test_a_repeated_call_tells_what_was_granted_first(place: Place) -> None:
    async with two_desks(place, TOKENS) as (one, other):
        asked = {"amounts": {"tokens": 60}, "min_amounts": {"tokens": 10}, "request_id": "r"}
        await one.reserve(amounts={"tokens": 70})
        first = await one.reserve(team(), user(), **asked)
        assert first.granted["tokens"] == 30
        await one.settle((await one.reserve(user())).reservation_id)
        refused = await other.extend(first.reservation_id, amounts={"tokens": 1})
        assert refused.overall_code == OVER_LIMIT
        extended = await other.extend(first.reservation_id, amounts={"requests": 1})
        assert extended.overall_code == OK
        again = await other.reserve(team(), user(), **asked)
        assert (again.granted, again.statuses) == (first.granted, first.statuses)
        await other.settle(first.reservation_id, tokens=3, requests=1)
        assert await one.counted("tpm") == (3, 70)
        assert await one.counted("rpm", user()) == (2, 0)


async def test_a_repeated_call_after_the_end_says_so(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        asked = {"amounts": {"tokens": 60}, "request_id": "r", "ttl": seconds(30)}
        first = await service.reserve(**asked)
        service.wait(31)
        again = await service.reserve(**asked)
        assert (again.reservation_id, again.state) == (first.reservation_id, pb.EXPIRED)


async def test_another_payload_under_the_same_id_is_rejected_f12(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        await service.reserve(amounts={"tokens": 60}, request_id="r")
        for other in (
            service.reserve(amounts={"tokens": 61}, request_id="r"),
            service.reserve(team("b"), amounts={"tokens": 60}, request_id="r"),
            service.reserve(amounts={"tokens": 60}, min_amounts={"tokens": 1}, request_id="r"),
            service.reserve(amounts={"tokens": 60}, model="m", request_id="r"),
        ):
            code, text = await failing(other)
            assert code is grpc.StatusCode.ALREADY_EXISTS
            assert "request_id" in text
        assert await service.counted("tpm") == (0, 60)


async def test_refusals_are_decided_anew(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        first = await service.reserve(amounts={"tokens": 100})
        asked = {"amounts": {"tokens": 10}, "request_id": "r"}
        assert (await service.reserve(**asked)).overall_code == OVER_LIMIT
        await service.release(first.reservation_id)
        assert (await service.reserve(**asked)).overall_code == OK


# --- looking ---------------------------------------------------------------------------------


async def test_looking_charges_and_refreshes_nothing(place: Place) -> None:
    rules = TOKENS.replace("window: 1h", "window: lifetime, idle_ttl: 60s")
    async with desk(place, rules) as service:
        reserved = await service.reserve(amounts={"tokens": 60})
        await service.settle(reserved.reservation_id, tokens=60)
        for _ in range(6):
            service.wait(10)
            assert await service.counted("tpm") == (60, 0)
        service.wait(1)
        assert await service.counted("tpm") == (0, 0)


async def test_looking_says_what_every_descriptor_has(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        statuses = (await service.usage(user(), NOBODY, team())).statuses
        names = [[limit.name for limit in status.limits] for status in statuses]
        assert names == [["rpm"], [], ["tpm"]]


# --- ShouldRateLimit beside it ---------------------------------------------------------------


async def test_both_apis_count_the_same(place: Place) -> None:
    entries = [RateLimitDescriptor.Entry(key="team", value="a")]
    message = rls_pb2.RateLimitRequest(
        domain="d", descriptors=[RateLimitDescriptor(entries=entries)], hits_addend=30
    )
    async with desk(place, TOKENS) as service:
        await service.reserve(amounts={"tokens": 60})
        answer = await service.rate_limit.ShouldRateLimit(message)
        assert answer.overall_code == rls_pb2.RateLimitResponse.OK
        assert await service.counted("tpm") == (30, 60)
        assert (await service.reserve(amounts={"tokens": 11})).overall_code == OVER_LIMIT
