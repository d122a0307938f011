"""Reserving, settling and extending, as a gateway sees it, on every kind of store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import UInt64Value

from ratelimit_service.config.settings import StoreKind, StoreSettings
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import rls_pb2
from ratelimit_service.pb.ratelimit_descriptor_pb2 import RateLimitDescriptor
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.store.redis.connect import open_link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import Clock
from tests.support.cluster import Cluster
from tests.support.valkey import Standalone
from tests.transport.reserving import (
    OK,
    OVER_LIMIT,
    Desk,
    Place,
    desk,
    failing,
    one_limit,
    problem,
    seconds,
    team,
    user,
)

Reason = pb.Refusal.Reason

NOBODY = pb.Descriptor(entries=[pb.Entry(key="nobody", value="x")])

TOKENS = """
    domain: d
    enforcement: strict
    descriptors:
      - key: team
        hits_measure: tokens
        limits: [{name: tpm, measure: tokens, amount: 100, window: 1h}]
      - key: user
        limits: [{name: rpm, measure: requests, amount: 3, window: 1h}]
    """


@pytest.fixture(params=["memory", "standalone", "cluster"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each kind of store in turn, empty, with a clock that the test sets."""
    clock = Clock()
    if request.param == "memory":
        yield Place(MemoryStore(clock), clock, tmp_path)
        return
    store = _redis(request, clock)
    yield Place(store, clock, tmp_path)
    await store.close()


def _redis(request: pytest.FixtureRequest, clock: Clock) -> RedisStore:
    if request.param == "cluster":
        cluster: Cluster = request.getfixturevalue("cluster_servers")
        settings = StoreSettings(StoreKind.CLUSTER, tuple(cluster.addresses))
    else:
        server: Standalone = request.getfixturevalue("standalone_server")
        settings = StoreSettings(StoreKind.STANDALONE, (server.address,))
    return RedisStore(open_link(settings), NullRecorder(), now_us=clock)


@asynccontextmanager
async def two_desks(place: Place, rules: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two replicas over the same store."""
    async with desk(place, rules) as one, desk(place, rules) as other:
        yield one, other


# --- admission ------------------------------------------------------------------------------


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


# --- refusals -------------------------------------------------------------------------------


async def test_a_refusal_says_all_that_a_429_needs_f47_f48(place: Place) -> None:
    async with desk(place, TOKENS) as service:
        first = await service.reserve(amounts={"tokens": 30})
        await service.settle(first.reservation_id, tokens=30)
        await service.reserve(amounts={"tokens": 50}, ttl=seconds(30))
        answer = await service.reserve(amounts={"tokens": 21})

        refusal = answer.refusal
        assert refusal.reason == Reason.OVER_LIMIT
        assert (refusal.descriptor_index, refusal.limit_name) == (0, "tpm")
        assert (refusal.measure, refusal.limit) == ("tokens", 100)
        assert (refusal.used, refusal.held, refusal.requested) == (30, 50, 21)
        wait_us = refusal.retry_after.ToMicroseconds()
        hour_us = 3_600_000_000
        assert wait_us == hour_us - place.clock.now_us % hour_us
        assert refusal.reset_at.ToMicroseconds() == place.clock.now_us + wait_us
        headers = {header.key: header.value for header in answer.headers}
        assert headers["retry-after"] == str(-(-wait_us // 1_000_000))
        assert problem(answer)["status"] == 429
        assert one_limit(answer.statuses[0]).remaining == 20

        service.wait(wait_us / 1_000_000)
        assert (await service.reserve(amounts={"tokens": 21})).overall_code == OK


@pytest.mark.parametrize(
    "limit",
    [
        "measure: tokens, amount: 100, window: 1m",
        "measure: tokens, amount: 100, window: 1m, align: first_hit",
        "measure: tokens, amount: 100, window: 1m, algorithm: sliding_window",
        "measure: tokens, amount: 100, window: 1m, algorithm: token_bucket",
        "measure: tokens, amount: 100, window: 1m, algorithm: token_bucket, burst: 60",
        "measure: tokens, amount: 100, window: calendar_day, time_zone: Europe/Berlin",
        "measure: tokens, amount: 100, window: lifetime, on_expiry: release",
        "measure: concurrency, amount: 3, lease: 20s",
    ],
)
async def test_who_comes_back_at_retry_after_is_admitted_f47(place: Place, limit: str) -> None:
    rules = f"""
    domain: d
    descriptors: [{{key: team, limits: [{{name: it, {limit}}}]}}]
    """
    async with desk(place, rules) as service:
        refused = None
        while refused is None:
            answer = await service.reserve(amounts={"tokens": 30}, ttl=seconds(45))
            refused = answer.refusal if answer.overall_code == OVER_LIMIT else None
            service.wait(1)
        service.wait(-1)
        assert refused.reason == Reason.OVER_LIMIT
        wait_s = refused.retry_after.ToMicroseconds() / 1_000_000
        assert wait_s > 0
        service.wait(wait_s)
        assert (await service.reserve(amounts={"tokens": 30})).overall_code == OK


async def test_each_reason_is_told(place: Place) -> None:
    rules = """
    domain: d
    unmatched: refuse
    descriptors:
      - {key: team, limits: [{name: life, measure: tokens, amount: 10, window: lifetime}]}
      - {key: user, required: true, limits: [{name: rpm, measure: requests, amount: 5, window: 1m}]}
    """
    async with desk(place, rules) as service:
        assert (await service.reserve(team(), user(), amounts={"tokens": 9})).overall_code == OK
        for tokens, reason in ((2, Reason.EXHAUSTED), (11, Reason.NEVER_FITS)):
            answer = await service.reserve(team(), user(), amounts={"tokens": tokens})
            assert answer.refusal.reason == reason
            assert not answer.refusal.HasField("retry_after")
            assert "retry-after" not in {header.key for header in answer.headers}
        missing = await service.reserve(team(), amounts={"tokens": 1})
        assert missing.refusal.reason == Reason.UNMATCHED  # F50
        unknown = await service.reserve(user(), NOBODY)
        assert unknown.refusal.reason == Reason.UNMATCHED
        assert await service.counted("life", team()) == (0, 9)


async def test_an_administrator_is_limited_unless_a_rule_exempts_it_f51(place: Place) -> None:
    rules = """
    domain: d
    descriptors:
      - {key: team, exempt: [ops], limits: [{name: rpm, measure: requests, amount: 1, window: 1m}]}
    """
    async with desk(place, rules) as service:
        codes = {
            name: [(await service.reserve(team(name))).overall_code for _ in range(2)]
            for name in ("ops", "admin")
        }
        assert codes == {"ops": [OK, OK], "admin": [OK, OVER_LIMIT]}


async def test_callers_bring_limits_along_where_that_is_allowed(place: Place) -> None:
    limit = pb.InlineLimit(name="mine", measure="tokens", amount=5, window="1m")
    async with desk(place, TOKENS) as service:
        code, text = await failing(service.reserve(team(limits=[limit])))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "limits" in text
    async with desk(place, TOKENS + "inline_limits: allow\n") as service:
        answer = await service.reserve(team(limits=[limit]), amounts={"tokens": 6})
        assert answer.refusal.limit_name == "mine"


# --- repeated calls -------------------------------------------------------------------------


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


# --- settling -------------------------------------------------------------------------------


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


# --- concurrency ----------------------------------------------------------------------------

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


# --- extending ------------------------------------------------------------------------------


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


# --- looking --------------------------------------------------------------------------------


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


# --- ShouldRateLimit beside it --------------------------------------------------------------


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


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"domain": ""}, "domain"),
        ({"descriptors": []}, "descriptors"),
        ({"amounts": {"tokens": 2**53}}, "amounts[tokens]"),
        ({"amounts": {"tokens": 2**64 - 1}}, "amounts[tokens]"),
        ({"descriptors": [NOBODY], "amounts": {"tokns": 1}}, "amounts[tokns]"),
        ({"amounts": {"tokens": 5}, "min_amounts": {"tokens": 6}}, "min_amounts[tokens]"),
        ({"ttl": seconds(-1)}, "ttl"),
        ({"ttl": seconds(0)}, "ttl"),
        ({"ttl": seconds(90_000)}, "ttl"),
        ({"request_id": "x" * 257}, "request_id"),
        ({"descriptors": [team(), team()]}, "descriptors[1]"),
        ({"descriptors": [pb.Descriptor()]}, "descriptors[0]"),
        ({"descriptors": [team(str(number)) for number in range(2_000)]}, "descriptors"),
        ({"descriptors": [team(amounts={"tokens": 2**53})]}, "descriptors[0].amounts[tokens]"),
    ],
)
async def test_what_cannot_be_decided_says_where_f24(
    tmp_path: Path, fields: dict[str, object], told: str
) -> None:
    clock = Clock()
    async with desk(Place(MemoryStore(clock), clock, tmp_path), TOKENS) as service:
        code, text = await failing(service.reserve(**fields))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert told in text
        assert service.served.errors("INVALID_ARGUMENT") == 1


async def test_a_settlement_that_cannot_be_read_says_where_f24(tmp_path: Path) -> None:
    clock = Clock()
    async with desk(Place(MemoryStore(clock), clock, tmp_path), TOKENS) as service:
        reserved = await service.reserve(amounts={"tokens": 10})
        for call, told in (
            (service.settle(reserved.reservation_id, tokens=2**53), "actual.amounts[tokens]"),
            (service.settle("", tokens=1), "reservation_id"),
            (service.service.Reconcile(pb.ReconcileRequest(reservation_id="x")), "usage"),
            (service.extend(reserved.reservation_id, ttl=seconds(-5)), "ttl"),
        ):
            code, text = await failing(call)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert told in text
        assert await service.counted("tpm") == (0, 10)
