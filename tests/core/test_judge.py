"""What counters mean for a call: the reference's counting, one fact a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.judge import Code, Decision, Result, Status, judge
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Descriptor, Override, RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.plan import make_plan
from ratelimit_service.core.rules import Rule, RuleSet
from ratelimit_service.core.units import Unit
from tests.core.rulesets import DOMAIN, MOMENT, descriptor, limited, rule_set, unlimited

RESET_US = 1_500_000
OK, OVER = Code.OK, Code.OVER_LIMIT


def decide(
    rules: RuleSet,
    asked: tuple[Descriptor, ...],
    counted: tuple[int, ...],
    modes: Modes | None = None,
) -> Decision:
    plan = make_plan(rules, RateLimitRequest(DOMAIN, asked), modes or Modes(), MOMENT)
    outcomes = [Outcome(amount, RESET_US) for amount in counted]
    return judge(plan, outcomes, modes or Modes())


@pytest.mark.parametrize(
    ("limit", "counted", "code", "result", "remaining"),
    [
        pytest.param(10, 0, OK, Result.WITHIN, 10, id="01 nothing counted yet (a peek)"),
        pytest.param(10, 1, OK, Result.WITHIN, 9, id="02 the first hit"),
        pytest.param(10, 8, OK, Result.WITHIN, 2, id="03 at the near ratio"),
        pytest.param(10, 9, OK, Result.NEAR, 1, id="04 past the near ratio"),
        pytest.param(10, 10, OK, Result.NEAR, 0, id="05 exactly the limit passes (F7)"),
        pytest.param(10, 11, OVER, Result.OVER, 0, id="06 one past the limit"),
        pytest.param(10, 2**53 - 1, OVER, Result.OVER, 0, id="07 far past the limit"),
        pytest.param(0, 0, OK, Result.WITHIN, 0, id="08 a peek at a limit of 0"),
        pytest.param(0, 1, OVER, Result.OVER, 0, id="09 a limit of 0 refuses (F8)"),
        pytest.param(1, 1, OK, Result.NEAR, 0, id="10 the only hit"),
        pytest.param(2**53 - 1, 1, OK, Result.WITHIN, 2**53 - 2, id="11 a limit above 2^32"),
    ],
)
def test_one_counter(limit: int, counted: int, code: Code, result: Result, remaining: int) -> None:
    decision = decide(rule_set(k=limited(limit)), (descriptor("k"),), (counted,))

    wait_us = RESET_US if code is OVER and limit else None
    bound = Limit.per(limit, Unit.MINUTE)
    assert decision.overall is code
    assert decision.statuses == (
        Status(code, result, "d.rule", bound, remaining, RESET_US, {}, wait_us),
    )


def test_the_near_ratio_is_set_by_the_modes() -> None:
    results = [
        decide(rule_set(k=limited(10)), (descriptor("k"),), (6,), Modes(near_limit_ratio=ratio))
        .statuses[0]
        .result
        for ratio in (0.5, 0.6)
    ]

    assert results == [Result.NEAR, Result.WITHIN]


def test_what_is_not_counted_has_a_bare_status() -> None:
    rules = rule_set(
        free=unlimited(),
        old=limited(name="old"),
        new=replace(limited(), replaces=frozenset({"old"})),
    )
    asked = (descriptor("none"), descriptor("free"), descriptor("old"), descriptor("new"))

    decision = decide(rules, asked, (3,))

    assert decision.overall is OK
    assert decision.statuses[:3] == (
        Status(OK, Result.UNMATCHED, remaining=0),
        Status(OK, Result.UNLIMITED, "d.rule", remaining=None),
        Status(OK, Result.REPLACED, "d.rule", remaining=0),
    )
    assert decision.statuses[3].remaining == 7


def test_outcomes_go_to_the_descriptors_that_were_charged_in_order() -> None:
    rules = rule_set(a=limited(10), b=limited(20), free=unlimited())
    asked = (descriptor("b"), descriptor("free"), descriptor("a"), descriptor("x"), descriptor("b"))

    decision = decide(rules, asked, (1, 2, 3))

    assert [status.remaining for status in decision.statuses] == [19, None, 8, 0, 17]


def test_a_limit_of_the_caller_is_judged_like_a_rule() -> None:
    asked = (descriptor("x", override=Override(2, Unit.HOUR)),)

    decision = decide(rule_set(k=limited()), asked, (3,))

    assert decision.overall is OVER
    assert decision.statuses == (
        Status(
            OVER, Result.OVER, "d.override", Limit.per(2, Unit.HOUR), 0, RESET_US, wait_us=RESET_US
        ),
    )


# --- shadow and quota -----------------------------------------------------------------------

PLAIN = limited()
QUOTA = replace(PLAIN, quota_mode=True)
SHADOW = replace(PLAIN, shadow_mode=True)
SHADOW_QUOTA = replace(PLAIN, quota_mode=True, shadow_mode=True)
FREE = unlimited()
FREE_QUOTA = replace(FREE, quota_mode=True)
OLD_QUOTA = replace(limited(name="old"), quota_mode=True)
NEW_QUOTA = replace(QUOTA, replaces=frozenset({"old"}))
NO_MODES, GLOBAL_SHADOW, GLOBAL_QUOTA = Modes(), Modes(shadow=True), Modes(quota=True)


@pytest.mark.parametrize(
    ("modes", "rules", "over", "overall", "codes"),
    [
        pytest.param(
            NO_MODES, [PLAIN, PLAIN], "-x", OVER, [OK, OVER], id="01 any that is over refuses"
        ),
        pytest.param(NO_MODES, [SHADOW], "x", OK, [OK], id="02 a shadow rule never refuses"),
        pytest.param(
            NO_MODES, [SHADOW, PLAIN], "xx", OVER, [OK, OVER], id="03 but one beside it does"
        ),
        pytest.param(NO_MODES, [QUOTA], "x", OVER, [OVER], id="04 the only quota refuses"),
        pytest.param(
            NO_MODES, [QUOTA, QUOTA], "x-", OK, [OVER, OK], id="05 one quota left: allowed"
        ),
        pytest.param(NO_MODES, [QUOTA, QUOTA], "xx", OVER, [OVER, OVER], id="06 all quotas gone"),
        pytest.param(
            NO_MODES, [QUOTA, PLAIN], "x-", OVER, [OVER, OK], id="07 all quotas over, others fine"
        ),
        pytest.param(
            NO_MODES, [QUOTA, PLAIN], "-x", OVER, [OK, OVER], id="08 a plain one beside quotas"
        ),
        pytest.param(
            NO_MODES, [QUOTA, QUOTA, PLAIN], "x-x", OVER, [OVER, OK, OVER], id="09 the same, mixed"
        ),
        pytest.param(
            NO_MODES, [QUOTA, SHADOW_QUOTA], "xx", OK, [OVER, OK], id="10 a shadow quota is left"
        ),
        pytest.param(
            NO_MODES, [QUOTA, FREE_QUOTA], "x-", OVER, [OVER, OK], id="11 unlimited is no quota"
        ),
        pytest.param(
            NO_MODES, [QUOTA, None], "x-", OVER, [OVER, OK], id="12 unmatched is no quota"
        ),
        pytest.param(
            NO_MODES, [OLD_QUOTA, NEW_QUOTA], "-x", OVER, [OK, OVER], id="13 replaced is no quota"
        ),
        pytest.param(
            GLOBAL_SHADOW,
            [PLAIN, PLAIN],
            "xx",
            OK,
            [OVER, OVER],
            id="14 global shadow keeps statuses",
        ),
        pytest.param(GLOBAL_SHADOW, [QUOTA], "x", OK, [OVER], id="15 global shadow over quotas"),
        pytest.param(
            GLOBAL_QUOTA, [PLAIN, PLAIN], "x-", OK, [OVER, OK], id="16 global quota: one left"
        ),
        pytest.param(
            GLOBAL_QUOTA, [PLAIN, PLAIN], "xx", OVER, [OVER, OVER], id="17 global quota: none left"
        ),
        pytest.param(
            GLOBAL_QUOTA,
            [PLAIN, None],
            "x-",
            OK,
            [OVER, OK],
            id="18 global quota: unmatched is left",
        ),
        pytest.param(
            GLOBAL_QUOTA,
            [PLAIN, FREE],
            "x-",
            OVER,
            [OVER, OK],
            id="19 global quota: unlimited is none",
        ),
        pytest.param(GLOBAL_QUOTA, [None], "-", OK, [OK], id="20 global quota: nothing matched"),
    ],
)
def test_shadow_and_quota(
    modes: Modes, rules: list[Rule | None], over: str, overall: Code, codes: list[Code]
) -> None:
    known = {f"k{index}": rule for index, rule in enumerate(rules) if rule is not None}
    asked = tuple(descriptor(f"k{index}") for index in range(len(rules)))
    plan = make_plan(rule_set(**known), RateLimitRequest(DOMAIN, asked), modes, MOMENT)
    counted = [
        Outcome(11 if is_over == "x" else 5, RESET_US)
        for planned, is_over in zip(plan.descriptors, over, strict=True)
        if planned.charges
    ]

    decision = judge(plan, counted, modes)

    assert decision.overall is overall
    assert [status.code for status in decision.statuses] == codes


def test_a_shadow_rule_that_is_over_says_so_to_metrics_and_has_nothing_left() -> None:
    decision = decide(rule_set(k=SHADOW), (descriptor("k"),), (11,))

    (status,) = decision.statuses
    assert (status.code, status.result, status.remaining) == (OK, Result.SHADOWED, 0)


def test_an_override_is_a_quota_only_where_all_are() -> None:
    asked = (descriptor("x", override=Override(1, Unit.HOUR)), descriptor("k"))

    overall = [
        decide(rule_set(k=PLAIN), asked, (2, 5), modes).overall
        for modes in (NO_MODES, GLOBAL_QUOTA)
    ]

    assert overall == [OVER, OK]


# --- the status nearest to refusing ---------------------------------------------------------


def _status(
    code: Code, remaining: int | None, reset_us: int | None = 1, limit: int | None = 10
) -> Status:
    bound = None if limit is None else Limit.per(limit, Unit.MINUTE)
    return Status(code, Result.WITHIN, "t", bound, remaining, reset_us)


@pytest.mark.parametrize(
    ("statuses", "nearest"),
    [
        pytest.param([], None, id="01 no statuses"),
        pytest.param([_status(OK, None, None, None)], None, id="02 unlimited"),
        pytest.param([_status(OK, 5), _status(OK, 3)], 1, id="03 least remaining"),
        pytest.param([_status(OK, 0), _status(OVER, 0)], 1, id="04 over before exhausted"),
        pytest.param(
            [_status(OK, 0, None, None), _status(OK, 7)], 1, id="05 bare statuses do not count"
        ),
        pytest.param(
            [_status(OVER, 0, 5), _status(OVER, 0, 9)], 1, id="06 of equals the longest wait (F47)"
        ),
        pytest.param([_status(OK, 4, 9), _status(OK, 4, 5)], 0, id="07 also when none is over"),
        pytest.param([_status(OK, 4), _status(OK, 4)], 0, id="08 of true equals the first"),
    ],
)
def test_nearest(statuses: list[Status], nearest: int | None) -> None:
    found = Decision(OK, tuple(statuses)).nearest()

    assert found is (None if nearest is None else statuses[nearest])
