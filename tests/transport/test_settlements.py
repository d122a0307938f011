"""Settling and extending, as a gateway sees it, on every kind of store."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.wrappers_pb2 import UInt64Value

from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import rls_pb2
from ratelimit_service.pb.ratelimit_descriptor_pb2 import RateLimitDescriptor
from tests.transport.reserving import (
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


# --- settling --------------------------------------------------------------------------------


async def test_settling_twice_changes_nothing_f11_f27(place: Place) -> None:
    async with two_desks(place, TOKENS) as (one, other):
        reserved = await one.reserve(amounts={"tokens": 60})
        first = await one.settle(reserved.reservation_id, tokens=25)
        again = await other.settle(reserved.reservation_id, tokens=25)
        assert again.state == first.state == pb.SETTLED
        code, text = await failing(other.settle(reserved.reservation_id, tokens=26))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "settled" in text
        assert await one.counted("tpm") == (25, 0)


async def test_the_next_decision_on_any_replica_sees_the_difference_f17(place: Place) -> None:
    async with two_desks(place, TOKENS) as (one, other):
        reserved = await one.reserve(amounts={"tokens": 100})
        assert (await other.reserve(amounts={"tokens": 80})).overall_code == OVER_LIMIT
        await other.settle(reserved.reservation_id, tokens=20)
        assert (await one.reserve(amounts={"tokens": 80})).overall_code == OK


async def test_more_than_reserved_is_charged_in_full_f16(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        reserved = await service.reserve(amounts={"tokens": 10})
        settled = await service.settle(reserved.reservation_id, tokens=150)
        assert one_limit(settled.statuses[0]).code == OVER_LIMIT
        assert await service.counted("tpm") == (150, 0)
        assert (await service.reserve(amounts={"tokens": 0})).overall_code == OVER_LIMIT


@pytest.mark.parametrize(("said", "used"), [({"tokens": 0}, 0), ({}, 60), ({"requests": 1}, 60)])
async def test_nothing_is_told_apart_from_missing_f18_f19(
    place: Place, said: dict[str, int], used: int
) -> None:
    async with desk(place, TOKENS) as service:
        reserved = await service.reserve(amounts={"tokens": 60})
        await service.settle(reserved.reservation_id, **said)
        assert await service.counted("tpm") == (used, 0)


async def test_unknown_keeps_and_released_returns_f18(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        kept = await service.reserve(amounts={"tokens": 60})
        released = await service.reserve(amounts={"tokens": 40})
        await service.keep(kept.reservation_id)
        await service.release(released.reservation_id)
        assert await service.counted("tpm") == (60, 0)


async def test_a_late_settlement_counts_once_f15(place: Place) -> None:
    rules = TOKENS.replace("window: 1h}]", "window: 7d, on_expiry: release}]", 1)
    async with desk(place, rules) as service:
        reserved = await service.reserve(amounts={"tokens": 60}, ttl=seconds(30))
        service.wait(31)
        assert await service.counted("tpm") == (0, 0)  # F14: nobody had to do anything
        for _ in range(2):
            await service.settle(reserved.reservation_id, tokens=25)
        assert await service.counted("tpm") == (25, 0)


async def test_an_estimate_is_kept_where_nobody_settles_f14_f21(place: Place) -> None:
    rules = TOKENS.replace("window: 1h", "window: 7d")
    async with desk(place, rules) as service:
        reserved = await service.reserve(amounts={"tokens": 60}, ttl=seconds(30))
        service.wait(31)
        assert await service.counted("tpm") == (60, 0)
        await service.settle(reserved.reservation_id, tokens=25)
        assert await service.counted("tpm") == (25, 0)


async def test_an_hour_after_the_end_nobody_knows_it_any_more(place: Place) -> None:
    rules = TOKENS.replace("window: 1h", "window: 7d")
    async with desk(place, rules) as service:
        reserved = await service.reserve(amounts={"tokens": 60}, ttl=seconds(30))
        service.wait(30 + 3_600 + 1)
        code, _ = await failing(service.settle(reserved.reservation_id, tokens=1))
        assert code is grpc.StatusCode.NOT_FOUND
        assert await service.counted("tpm") == (60, 0)


async def test_only_who_has_the_id_can_settle(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        reserved = await service.reserve(amounts={"tokens": 60})
        known = reserved.reservation_id
        last = "A" if known[-1] != "A" else "E"
        answers = {
            await failing(service.settle(guess, tokens=0))
            for guess in ("nonsense", known[:-1] + last, known[:-2], "A" * len(known))
        }
        answers.add(await failing(service.extend(known[:-1] + last)))
        ((code, _),) = answers  # whatever is wrong, callers learn the same
        assert code is grpc.StatusCode.NOT_FOUND
        assert await service.counted("tpm") == (0, 60)


async def test_settlement_goes_by_the_rules_of_the_reservation(place: Place) -> None:
    async with desk(place, TOKENS) as before:
        reserved = await before.reserve(amounts={"tokens": 60})
    async with desk(place, TOKENS.replace("amount: 100", "amount: 50")) as after:
        await after.settle(reserved.reservation_id, tokens=25)
        found = one_limit((await after.usage()).statuses[0])
        assert (found.limit, found.used, found.held) == (50, 25, 0)


async def test_a_refund_above_what_was_counted_stops_at_nothing_f23(place: Place) -> None:
    async with desk(place, TOKENS.replace("strict", "compatible")) as service:
        reserved = await service.reserve(amounts={"tokens": 60})
        refund = RateLimitDescriptor(
            entries=[RateLimitDescriptor.Entry(key="team", value="a")],
            hits_addend=UInt64Value(value=50),
            is_negative_hits=True,
        )
        message = rls_pb2.RateLimitRequest(domain="d", descriptors=[refund])
        await service.rate_limit.ShouldRateLimit(message)
        await service.release(reserved.reservation_id)
        assert await service.counted("tpm") == (0, 0)
        sample = service.served.metrics.registry.get_sample_value
        assert sample("ratelimit_anomalies_total", {"kind": "refund_below_zero"}) == 1


# --- concurrency -----------------------------------------------------------------------------

PARALLEL = """
    domain: d
    descriptors:
      - key: team
        limits: [{name: parallel, measure: concurrency, amount: 2, lease: 20s}]
      - {key: user, limits: [{name: rpm, measure: requests, amount: 1, window: 1h}]}
    """


async def test_a_refused_call_holds_no_slot_f28(place: Place) -> None:
    async with desk(place, PARALLEL) as service:
        assert (await service.reserve(user())).overall_code == OK
        for _ in range(5):
            assert (await service.reserve(team(), user())).overall_code == OVER_LIMIT
        assert [(await service.reserve()).overall_code for _ in range(3)] == [OK, OK, OVER_LIMIT]


async def test_slots_of_the_dead_free_themselves_f29_f14(place: Place) -> None:
    async with desk(place, PARALLEL) as service:
        for _ in range(2):
            await service.reserve(ttl=seconds(60))
        refused = await service.reserve()
        assert refused.refusal.retry_after.ToMicroseconds() == 20_000_000
        service.wait(20)
        assert (await service.reserve()).overall_code == OK


async def test_a_long_call_keeps_its_slot_by_extending_f30_f26(place: Place) -> None:
    async with desk(place, PARALLEL) as service:
        living = await service.reserve(ttl=seconds(60))
        dead = await service.reserve(ttl=seconds(60))
        for _ in range(3):
            service.wait(15)
            assert (await service.extend(living.reservation_id)).overall_code == OK
        assert await service.counted("parallel") == (0, 1)
        successors = [await service.reserve() for _ in range(2)]
        assert [answer.overall_code for answer in successors] == [OK, OVER_LIMIT]
        await service.release(dead.reservation_id)  # stale: it frees nobody else's slot
        assert await service.counted("parallel") == (0, 2)


# --- extending -------------------------------------------------------------------------------


async def test_a_heartbeat_is_never_refused(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        reserved = await service.reserve(amounts={"tokens": 100}, ttl=seconds(30))
        service.wait(20)
        extended = await service.extend(reserved.reservation_id, ttl=seconds(40))
        assert extended.overall_code == OK
        assert extended.expires_at.ToMicroseconds() == place.clock.now_us + 40_000_000
        sooner = await service.extend(reserved.reservation_id, ttl=seconds(1))
        assert sooner.expires_at == extended.expires_at


async def test_a_top_up_is_admitted_like_a_new_call_and_once(place: Place) -> None:
    async with two_desks(place, TOKENS) as (one, other):
        reserved = await one.reserve(amounts={"tokens": 60})
        for service in (one, other):
            extended = await service.extend(
                reserved.reservation_id, amounts={"tokens": 30}, request_id="e"
            )
            assert extended.overall_code == OK
        assert await one.counted("tpm") == (0, 90)
        code, _ = await failing(
            one.extend(reserved.reservation_id, amounts={"tokens": 1}, request_id="e")
        )
        assert code is grpc.StatusCode.ALREADY_EXISTS

        refused = await one.extend(reserved.reservation_id, amounts={"tokens": 11})
        assert refused.overall_code == OVER_LIMIT
        assert refused.refusal.reason == Reason.OVER_LIMIT
        assert refused.refusal.requested == 11
        assert await one.counted("tpm") == (0, 90)
        await one.settle(reserved.reservation_id, tokens=77)
        assert await one.counted("tpm") == (77, 0)


async def test_what_is_settled_or_over_cannot_be_extended(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        settled = await service.reserve(amounts={"tokens": 10})
        over = await service.reserve(amounts={"tokens": 10}, ttl=seconds(5))
        await service.release(settled.reservation_id)
        service.wait(6)
        for reserved in (settled, over):
            code, _ = await failing(service.extend(reserved.reservation_id))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
