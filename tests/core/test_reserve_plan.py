"""Which counters a reservation charges, and by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.applied import Unmatched
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.messages import HoldKind
from ratelimit_service.core.model import Entry
from ratelimit_service.core.requests import Described, UsageRequest, Wish
from ratelimit_service.core.reservation import Share
from ratelimit_service.core.reserve_plan import UNBOUNDED, make_usage_plan
from ratelimit_service.core.rules import Node, Pattern, Policy, Requirement, RuleSet, Wildcard
from tests.core.rulesets import (
    DOMAIN,
    MOMENT,
    limited,
    limits,
    per_minute,
    rule_set,
    unlimited,
    with_policy,
)
from tests.core.wishing import amounts, described, key, placed, planned, wish

TPM = per_minute("tpm", 100, "tokens")
RPM = per_minute("rpm", 10)
PARALLEL = LimitSpec(3, "parallel", "concurrency", lease="120s")
DAILY = LimitSpec(9, "daily", "cost", window="calendar_day", on_expiry="release")


def test_each_limit_of_each_descriptor_has_a_line() -> None:
    rules = rule_set(a=limits(RPM, TPM, PARALLEL), b=limits(DAILY))
    asked = wish(described("b"), described("a"), asked=amounts(tokens=50, cost=2))

    lines = planned(rules, asked).placed(key)

    assert [(line.key, line.measure, line.amount, line.minimum) for line in lines] == [
        ("b.daily", "cost", 2, 2),
        ("a.rpm", "requests", 1, 1),
        ("a.tpm", "tokens", 50, 50),
        ("a.parallel", "concurrency", 1, 1),
    ]
    assert [line.kind for line in lines] == [
        HoldKind.RELEASE,
        HoldKind.KEEP,
        HoldKind.KEEP,
        HoldKind.LEASE,
    ]
    assert [line.lease_us for line in lines] == [0, 0, 0, 120_000_000]
    assert [line.shares for line in lines] == [
        (Share(0, 2),),
        (Share(1, 1),),
        (Share(1, 50),),
        (Share(1, 1),),
    ]
    assert lines[0].cap.knows(MOMENT.at_us)


def test_a_descriptor_has_amounts_of_its_own() -> None:
    asked = wish(described("a", amounts(tokens=7)), described("b"), asked=amounts(tokens=50))

    lines = planned(rule_set(a=limits(TPM), b=limits(TPM)), asked).lines

    assert [line.amount for line in lines] == [7, 50]


def test_descriptors_that_share_a_counter_are_added_up_before_the_check() -> None:
    wildcard = Wildcard(Pattern("v*"), Node("k_v*", limits(TPM)), shared=True)
    rules = RuleSet({DOMAIN: Node(wildcards={"k": (wildcard,)})})
    descriptors = [
        Described((Entry("k", "v1"),), amounts(tokens=60)),
        Described((Entry("k", "v2"),), amounts(tokens=50)),
    ]

    plan = planned(rules, wish(*descriptors, least=amounts(tokens=20)))

    (line,) = plan.lines
    assert (line.amount, line.minimum) == (110, 40)
    assert line.shares == (Share(0, 60), Share(1, 50))
    assert not plan.never_fits


@pytest.mark.parametrize(
    ("spec", "asked", "least", "never"),
    [
        pytest.param(TPM, 100, None, False, id="01 exactly the limit fits an empty counter (F7)"),
        pytest.param(TPM, 101, None, True, id="02 one more never does"),
        pytest.param(TPM, 101, 100, False, id="03 unless less is of use"),
        pytest.param(TPM, 500, 101, True, id="04 but not as little as that"),
        pytest.param(TPM, 0, None, False, id="05 nothing asks for room for one (F22)"),
        pytest.param(
            replace(TPM, amount=0), 0, None, True, id="06 of which a limit of 0 has none (F8)"
        ),
        pytest.param(
            replace(TPM, amount=0, shadow_mode=True), 9, None, False, id="07 a trial never refuses"
        ),
        pytest.param(
            replace(TPM, algorithm="token_bucket", burst=20),
            21,
            None,
            True,
            id="08 a burst is a limit too",
        ),
        pytest.param(LimitSpec(0, "n", "concurrency"), 0, None, True, id="09 no call in flight"),
    ],
)
def test_what_never_fits(spec: LimitSpec, asked: int, least: int | None, never: bool) -> None:
    minimums = {} if least is None else {"tokens": least}
    rules = rule_set(k=limits(spec))

    plan = planned(rules, wish(asked=amounts(tokens=asked), least=amounts(**minimums)))

    assert plan.never_fits == never


def test_a_limit_on_trial_is_charged_past_its_amount_and_cuts_nothing() -> None:
    trial = replace(TPM, shadow_mode=True)

    (line,), note = placed(wish(asked=amounts(tokens=500), least=amounts(tokens=1)), trial)

    assert (line.amount, line.minimum) == (500, 1)
    assert line.cap.limit == UNBOUNDED
    assert (note.lines[0].most, note.lines[0].shadow) == (100, True)


def test_a_rule_on_trial_has_only_such_limits() -> None:
    plan = planned(rule_set(k=limits(TPM, RPM, shadow_mode=True)), wish())

    assert [line.shadow for line in plan.lines] == [True, True]


# --- what the rules say ---------------------------------------------------------------------


def test_rules_in_the_words_of_the_reference_limit_requests() -> None:
    rules = rule_set(
        k=limited(5, name="old"),
        free=unlimited(),
        other=replace(limited(7), replaces=frozenset({"old"})),
    )

    alone = planned(rules, wish(described("k"), described("free")))
    both = planned(rules, wish(described("k"), described("other")))

    assert [(line.limit.most, line.amount, line.limit.measure) for line in alone.lines] == [
        (5, 1, "requests")
    ]
    assert [line.limit.most for line in both.lines] == [7]


def test_an_exempt_value_is_not_limited() -> None:
    """F51."""
    node = Node("user", limits(RPM), exempt=frozenset({"admin"}))
    rules = RuleSet({DOMAIN: Node(by_key={"user": node})})
    names = ("admin", "administrator")

    plan = planned(rules, wish(*(Described((Entry("user", name),)) for name in names)))

    assert [line.shares[0].descriptor for line in plan.lines] == [1]


def test_an_unmatched_descriptor_is_refused_where_the_domain_says_so() -> None:
    """F50."""
    asked = wish(described(), described("other"))

    assert planned(rule_set(k=limits(RPM)), asked).unmatched is None
    refusing = with_policy(Policy(refuse_unmatched=True), k=limits(RPM))
    assert planned(refusing, asked).unmatched == Unmatched(1)


def test_a_missing_entry_is_refused() -> None:
    """F50."""
    requirement = Requirement("session")
    root = Node(by_key={"k": Node("k", limits(RPM))}, required=(requirement,))
    rules = RuleSet({DOMAIN: root}, {DOMAIN: Policy(requires=True)})

    assert planned(rules, wish()).unmatched == Unmatched(missing=requirement)
    assert planned(rules, wish(described(), described("session"))).unmatched is None


def test_titles_name_the_rules_in_metrics() -> None:
    assert planned(rule_set(k=limits(RPM)), wish(described("x"), described())).titles == (
        "",
        "d.rule",
    )


@pytest.mark.parametrize("domain", [DOMAIN, "unknown"])
def test_a_call_that_nothing_limits_has_no_lines(domain: str) -> None:
    plan = planned(rule_set(k=limits(RPM)), wish(described("x"), domain=domain))

    assert (plan.lines, plan.unmatched, plan.never_fits) == ((), None, False)


# --- limits that callers bring along --------------------------------------------------------

ALLOWING = Policy(inline_limits=True, refuse_unmatched=True)


def _brought(*descriptors: Described, policy: Policy = ALLOWING) -> list[tuple[str, int, bool]]:
    plan = planned(with_policy(policy, k=limits(RPM)), wish(*descriptors))
    return [(line.limit.name, line.limit.most, line.counter.overridden) for line in plan.lines]


def test_they_stand_beside_those_of_rules() -> None:
    mine = per_minute("rpm", 4)

    assert _brought(described(brought=(mine,))) == [("rpm", 10, False), ("rpm", 4, True)]


def test_they_match_what_no_rule_does() -> None:
    assert _brought(described("x", brought=(per_minute("mine", 4),))) == [("mine", 4, True)]


def test_their_amount_may_change_from_call_to_call() -> None:
    plans = [
        planned(
            with_policy(ALLOWING, k=limits(RPM)),
            wish(described("x", brought=(per_minute("mine", amount),))),
        )
        for amount in (4, 5)
    ]

    assert plans[0].lines[0].counter == plans[1].lines[0].counter


def test_two_descriptors_may_bring_the_same() -> None:
    plan = planned(
        with_policy(ALLOWING, k=limits(RPM)),
        Wish(
            DOMAIN,
            (
                described("x", brought=(per_minute("mine"),)),
                described("x", amounts(requests=2), (per_minute("mine"),)),
            ),
        ),
    )

    assert [line.amount for line in plan.lines] == [3]


# --- looking --------------------------------------------------------------------------------


def test_a_look_asks_for_nothing() -> None:
    request = UsageRequest(DOMAIN, (described(own=amounts(tokens=5)), described("x")))

    plan = make_usage_plan(rule_set(k=limits(RPM, TPM, DAILY)), request, MOMENT)

    assert [(line.amount, line.minimum) for line in plan.lines] == [(0, 0)] * 3
    assert plan.lines[2].cap.knows(MOMENT.at_us)
    assert plan.titles == ("d.rule", "")
