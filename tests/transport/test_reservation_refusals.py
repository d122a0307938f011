"""What a gateway is told when it cannot reserve, on every kind of store."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.store.memory import MemoryStore
from tests.store.subjects import Clock
from tests.transport.reserving import (
    NOBODY,
    OK,
    OVER_LIMIT,
    TOKENS,
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


# --- refusals --------------------------------------------------------------------------------


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


async def test_each_reason_is_told_f50(place: Place) -> None:
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


# --- errors ----------------------------------------------------------------------------------


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
