"""What ShouldRateLimit charges of a list of limits, and what it only looks at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.model import Descriptor, Entry, Override, RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.plan import make_plan
from ratelimit_service.core.planned import Plan
from ratelimit_service.core.rules import Node, Policy, Requirement, Rule, RuleSet, Step
from ratelimit_service.core.terms import Terms
from ratelimit_service.core.units import Unit
from tests.core.rulesets import (
    DOMAIN,
    MOMENT,
    NOW_US,
    descriptor,
    limited,
    limits,
    per_minute,
    rule_set,
    strict,
    unlimited,
    with_policy,
)

PARALLEL = LimitSpec(3, "parallel", "concurrency")
EACH = (per_minute("r"), per_minute("t", measure="tokens"), PARALLEL)


def plan(rules: RuleSet, *descriptors: Descriptor, modes: Modes | None = None) -> Plan:
    return make_plan(rules, RateLimitRequest(DOMAIN, descriptors), modes or Modes(), MOMENT)


def charged(made: Plan) -> list[tuple[int, int, bool]]:
    """Return what is charged, what has to fit, and whether it is charged to a refused call."""
    return [(c.amount, c.terms.asks, c.terms.always) for c in made.charges]


@pytest.mark.parametrize(
    ("hits_measure", "hits", "refund", "compatible", "strictly"),
    [
        pytest.param(
            "requests",
            2,
            False,
            [(2, 2, True), (0, 0, True), (0, 1, True)],
            [(2, 2, False), (0, 1, True), (0, 1, True)],
            id="01 requests are charged, the others looked at",
        ),
        pytest.param(
            "tokens",
            500,
            False,
            [(0, 0, True), (500, 500, True), (0, 1, True)],
            [(0, 1, True), (500, 500, True), (0, 1, True)],
            id="02 tokens were spent already, and are charged whatever happens",
        ),
        pytest.param(
            "tokens",
            0,
            False,
            [(0, 0, True), (0, 0, True), (0, 1, True)],
            [(0, 1, True), (0, 1, True), (0, 1, True)],
            id="03 a look asks for room for one in a strict domain",
        ),
        pytest.param(
            "requests",
            3,
            True,
            [(-3, -3, True), (0, 0, True), (0, 1, True)],
            [(-3, -3, True), (0, 1, True), (0, 1, True)],
            id="04 what is given back never waits for others",
        ),
    ],
)
def test_hits_go_to_one_measure(
    hits_measure: str,
    hits: int,
    refund: bool,
    compatible: list[tuple[int, int, bool]],
    strictly: list[tuple[int, int, bool]],
) -> None:
    rule = limits(*EACH, hits_measure=hits_measure)
    asked = descriptor("k", hits, refund=refund)

    loose, hard = plan(rule_set(k=rule), asked), plan(strict(k=rule), asked)

    assert (charged(loose), loose.strict) == (compatible, False)
    assert (charged(hard), hard.strict) == (strictly, True)


def test_each_limit_has_a_counter_of_its_own() -> None:
    specs = [
        LimitSpec(1, "a", window="lifetime"),
        LimitSpec(1, "b", window="calendar_day", time_zone="Europe/Berlin"),
        LimitSpec(1, "c", window="1m", align="first_hit"),
        LimitSpec(1, "d", "tokens", window="1m", algorithm="token_bucket"),
        LimitSpec(1, "e", "concurrency"),
    ]
    counters = [c.counter for c in plan(rule_set(k=limits(*specs)), descriptor("k")).charges]

    assert len(set(counters)) == len(specs)
    assert [counter.window_us for counter in counters] == [0, 0, 60_000_000, 60_000_000, 0]


@pytest.mark.parametrize(
    ("spec", "goes_on"),
    [
        pytest.param(LimitSpec(99, "n", window="1m"), True, id="01 another amount"),
        pytest.param(LimitSpec(10, "m", window="1m", was="n"), True, id="02 another name"),
        pytest.param(LimitSpec(10, "n", window="60s"), True, id="03 the same window"),
        pytest.param(LimitSpec(10, "n", window="1m", shadow_mode=True), True, id="04 on trial"),
        pytest.param(LimitSpec(10, "n", window="1m", on_expiry="release"), True, id="05 on expiry"),
        pytest.param(LimitSpec(10, "m", window="1m"), False, id="06 renamed in silence"),
        pytest.param(LimitSpec(10, "n", window="2m"), False, id="07 another window"),
        pytest.param(LimitSpec(10, "n", "tokens", window="1m"), False, id="08 another measure"),
        pytest.param(
            LimitSpec(10, "n", window="1m", algorithm="sliding_window"), False, id="09 counted anew"
        ),
        pytest.param(
            LimitSpec(10, "n", window="1m", align="first_hit"), False, id="10 aligned anew"
        ),
    ],
)
def test_an_edit_goes_on_with_the_count_or_begins_anew(spec: LimitSpec, goes_on: bool) -> None:
    before, after = (
        plan(rule_set(k=limits(each)), descriptor("k")).charges[0].counter
        for each in (per_minute(), spec)
    )

    assert (before == after) == goes_on


@pytest.mark.parametrize(
    ("before", "after", "goes_on"),
    [
        (
            LimitSpec(1, "n", window="lifetime"),
            LimitSpec(1, "n", window="lifetime", idle_ttl="1h"),
            True,
        ),
        (LimitSpec(1, "n", "concurrency"), LimitSpec(2, "n", "concurrency", lease="9s"), True),
        (
            LimitSpec(1, "n", window="1m", algorithm="token_bucket"),
            LimitSpec(1, "n", window="1m", algorithm="token_bucket", burst=9),
            True,
        ),
        (
            LimitSpec(1, "n", window="calendar_day"),
            LimitSpec(1, "n", window="calendar_day", time_zone="Asia/Tokyo"),
            False,
        ),
        (
            LimitSpec(1, "n", window="calendar_day"),
            LimitSpec(1, "n", window="calendar_week"),
            False,
        ),
    ],
)
def test_counters_of_other_windows(before: LimitSpec, after: LimitSpec, goes_on: bool) -> None:
    counters = {
        plan(rule_set(k=limits(each)), descriptor("k")).charges[0].counter
        for each in (before, after)
    }

    assert (len(counters) == 1) == goes_on


def test_the_window_of_a_calendar_is_that_of_the_moment() -> None:
    rules = rule_set(k=limits(LimitSpec(1, "n", window="calendar_day"), per_minute("m")))
    request = RateLimitRequest(DOMAIN, (descriptor("k"),))

    caps = [
        make_plan(rules, request, Modes(), replace(MOMENT, at_us=at_us)).charges[0].cap
        for at_us in (NOW_US, NOW_US + 10_000_000)
    ]

    assert [cap.end_us - cap.start_us for cap in caps] == [10_000_000] * 2
    assert caps[0].end_us == caps[1].start_us
    assert all(cap.knows(at_us) for cap, at_us in zip(caps, (NOW_US, caps[0].end_us), strict=True))


def _colocated(*keys: str) -> Counter:
    policy = Policy(colocate_by=keys)
    nested = Node("team", by_key={"user": Node("user", limited())})
    rules = RuleSet({DOMAIN: Node(by_key={"team": nested})}, {DOMAIN: policy})
    asked = Descriptor((Entry("team", "core"), Entry("user", "ann")))
    return plan(rules, asked).charges[0].counter


def test_counters_lie_where_the_domain_says() -> None:
    assert _colocated("team").colocation == (Step("team", "core"),)
    assert _colocated("user", "team").colocation == (Step("user", "ann"), Step("team", "core"))
    assert _colocated("team", "model").colocation == ()
    assert _colocated().colocation == ()


# --- what the rules say of a call as a whole ------------------------------------------------


def test_an_exempt_value_is_not_limited_and_any_other_is() -> None:
    """F51: an administrator is limited unless a rule names it."""
    node = Node("user", limits(per_minute()), exempt=frozenset({"admin"}))
    rules = RuleSet({DOMAIN: Node(by_key={"user": node})})

    made = plan(rules, *(Descriptor((Entry("user", name),)) for name in ("admin", "root")))

    assert [item.exempt for item in made.descriptors] == [True, False]
    assert [charge.counter.path[0].value for charge in made.charges] == ["root"]


def test_an_exemption_holds_below_its_level_too() -> None:
    team = Node("team", by_key={"user": Node("user", limited())}, exempt=frozenset({"sre"}))
    rules = RuleSet({DOMAIN: Node(by_key={"team": team})})

    made = plan(rules, Descriptor((Entry("team", "sre"), Entry("user", "ann"))))

    assert made.charges == ()


REFUSING = Policy(strict=True, refuse_unmatched=True)


def test_a_call_that_no_rule_matches_is_refused_where_the_domain_says_so() -> None:
    """F50."""
    made = plan(with_policy(REFUSING, k=limits(per_minute())), descriptor("k"), descriptor("other"))

    assert [item.refused for item in made.descriptors] == [False, True]
    assert charged(made) == [(0, 1, False)]


@pytest.mark.parametrize("key", ["k", "other"])
def test_a_limit_of_the_caller_matches(key: str) -> None:
    rules = with_policy(REFUSING, k=unlimited())

    made = plan(rules, descriptor(key, override=Override(5, Unit.HOUR)))

    assert [item.refused for item in made.descriptors] == [False]
    assert charged(made) == [(1, 1, False)]


def _requiring(policy: Policy, rule: Rule) -> RuleSet:
    requirement = Requirement("session")
    root = Node(by_key={"k": Node("k", rule)}, required=(requirement,))
    return RuleSet({DOMAIN: root}, {DOMAIN: replace(policy, requires=True)})


def test_a_call_without_a_required_entry_counts_only_what_was_spent() -> None:
    """F50: and in a strict domain nothing else, as nothing of a refused call counts (F10)."""
    spent = limits(*EACH, hits_measure="tokens")
    made = plan(_requiring(Policy(strict=True), spent), descriptor("k", 500))
    assert made.missing == Requirement("session")
    assert [charge.amount for charge in made.charges] == [0, 500, 0]

    made = plan(_requiring(Policy(strict=True), limits(*EACH)), descriptor("k", 5))
    assert [charge.amount for charge in made.charges] == [0, 0, 0]


def test_a_compatible_domain_counts_what_it_refuses() -> None:
    made = plan(_requiring(Policy(), limits(*EACH)), descriptor("k", 5))

    assert made.missing is not None
    assert [charge.amount for charge in made.charges] == [5, 0, 0]


# --- which charges of a strict domain refuse ------------------------------------------------

TRIAL = LimitSpec(10, "trial", window="1m", shadow_mode=True)
QUOTA = replace(limited(), quota_mode=True)


@pytest.mark.parametrize(
    ("rules", "modes", "terms"),
    [
        pytest.param(
            [limits(per_minute(), TRIAL)], Modes(), [(True, 0), (False, 0)], id="01 on trial"
        ),
        pytest.param(
            [limits(per_minute(), shadow_mode=True)], Modes(), [(False, 0)], id="02 shadow rule"
        ),
        pytest.param([limited(), QUOTA], Modes(shadow=True), [(False, 0)] * 2, id="03 shadow mode"),
        pytest.param(
            [limited(), QUOTA, QUOTA], Modes(), [(True, 0), (True, 1), (True, 2)], id="04 quotas"
        ),
        pytest.param(
            [limited(), limited()], Modes(quota=True), [(True, 1), (True, 2)], id="05 quota mode"
        ),
        pytest.param(
            [unlimited(), limited()], Modes(quota=True), [(True, 1)], id="06 unlimited is no quota"
        ),
        pytest.param(
            [limited(), None],
            Modes(quota=True),
            [(False, 0)],
            id="07 an unmatched one is never over",
        ),
        pytest.param(
            [QUOTA, replace(QUOTA, shadow_mode=True)],
            Modes(),
            [(False, 0)] * 2,
            id="08 nor is one in shadow, so that quotas are never all over",
        ),
        pytest.param(
            [replace(limits(per_minute(), TRIAL), quota_mode=True)],
            Modes(),
            [(True, 1), (False, 1)],
            id="09 the limits of a quota are one quota",
        ),
    ],
)
def test_what_refuses(
    rules: list[Rule | None], modes: Modes, terms: list[tuple[bool, int]]
) -> None:
    known = {f"k{at}": rule for at, rule in enumerate(rules) if rule is not None}

    made = plan(strict(**known), *(descriptor(f"k{at}") for at in range(len(rules))), modes=modes)

    assert [(c.terms.refuses, c.terms.quota) for c in made.charges] == terms


def test_terms_by_themselves_charge_and_refuse() -> None:
    assert Terms(1) == Terms(asks=1, always=True, refuses=True, quota=0)
