"""Which counters a request charges, and by how much: WIRE format facts, one a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Descriptor, Entry, Override, RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.plan import make_plan
from ratelimit_service.core.planned import Plan
from ratelimit_service.core.rules import Node, Pattern, Rule, RuleSet, Step, Wildcard
from ratelimit_service.core.units import MAX_AMOUNT, Unit
from ratelimit_service.errors import InvalidRequestError
from tests.core.rulesets import DOMAIN, MOMENT, descriptor, limited, rule_set, unlimited


def plan(rules: RuleSet, *descriptors: Descriptor, hits: int = 0, domain: str = DOMAIN) -> Plan:
    return make_plan(rules, RateLimitRequest(domain, descriptors, hits), Modes(), MOMENT)


@pytest.mark.parametrize(
    ("request_hits", "own_hits", "refund", "charged"),
    [
        pytest.param(0, None, False, 1, id="01 absent everywhere is one hit"),
        pytest.param(1, None, False, 1, id="02 the request's hits"),
        pytest.param(7, None, False, 7, id="03 the request's hits, several"),
        pytest.param(7, 0, False, 0, id="04 a descriptor's 0 looks, whatever the request says"),
        pytest.param(0, 0, False, 0, id="05 a descriptor's 0 is not absent"),
        pytest.param(7, 3, False, 3, id="06 a descriptor's own hits win"),
        pytest.param(7, None, True, -7, id="07 a refund of the request's hits"),
        pytest.param(0, None, True, -1, id="08 a refund of one hit"),
        pytest.param(7, 3, True, -3, id="09 a refund of a descriptor's own hits"),
        pytest.param(0, 0, True, 0, id="10 a refund of nothing looks"),
        pytest.param(0, 1_000_000_000, False, 1_000_000_000, id="11 a thousand million (F9)"),
        pytest.param(2**32 - 1, None, False, 2**32 - 1, id="12 all that the request can say"),
        pytest.param(0, MAX_AMOUNT, False, MAX_AMOUNT, id="13 the largest amount (F24)"),
    ],
)
def test_hits(request_hits: int, own_hits: int | None, refund: bool, charged: int) -> None:
    made = plan(rule_set(k=limited()), descriptor("k", own_hits, refund=refund), hits=request_hits)

    assert [charge.amount for charge in made.charges] == [charged]


def test_each_descriptor_has_its_own_hits() -> None:
    made = plan(
        rule_set(a=limited(), b=limited(), c=limited()),
        descriptor("a"),
        descriptor("b", 0),
        descriptor("c", 9, refund=True),
        hits=5,
    )

    assert [charge.amount for charge in made.charges] == [5, 0, -9]


@pytest.mark.parametrize("hits", [MAX_AMOUNT + 1, 2**64 - 1])
@pytest.mark.parametrize("refund", [False, True])
def test_hits_that_cannot_be_counted_exactly_are_refused_by_place(hits: int, refund: bool) -> None:
    """F24."""
    rules = rule_set(a=limited())

    with pytest.raises(InvalidRequestError, match=f"hits_addend of descriptor 1 is {hits}"):
        plan(rules, descriptor("a"), descriptor("a", hits, refund=refund))


@pytest.mark.parametrize(
    ("domain", "descriptors", "text"),
    [
        ("", (descriptor("k"),), "rate limit domain must not be empty"),
        (DOMAIN, (), "rate limit descriptor list must not be empty"),
        ("", (), "rate limit domain must not be empty"),
    ],
)
def test_requests_that_the_reference_refuses(
    domain: str, descriptors: tuple[Descriptor, ...], text: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        plan(rule_set(k=limited()), *descriptors, domain=domain)

    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("domain", "entries"),
    [
        pytest.param("other", (Entry("k", "v"),), id="01 a domain without rules"),
        pytest.param(DOMAIN, (Entry("other", "v"),), id="02 a key without rules"),
        pytest.param(DOMAIN, (Entry("k", "v"), Entry("k", "v")), id="03 deeper than the rules"),
        pytest.param(DOMAIN, (), id="04 no entries"),
    ],
)
def test_what_no_rule_matches_is_not_counted(domain: str, entries: tuple[Entry, ...]) -> None:
    made = plan(rule_set(k=limited()), Descriptor(entries), domain=domain)

    assert made.charges == ()
    assert [(item.rule, item.limits) for item in made.descriptors] == [(None, ())]


def test_charges_follow_the_order_of_the_descriptors_and_repeat_with_them() -> None:
    made = plan(
        rule_set(a=limited(1), b=limited(2), free=unlimited()),
        descriptor("b"),
        descriptor("free"),
        descriptor("none"),
        descriptor("a"),
        descriptor("b"),
    )

    assert [charge.cap.limit for charge in made.charges] == [2, 1, 2]
    assert made.charges[0].counter == made.charges[2].counter
    assert [bool(item.limits) for item in made.descriptors] == [True, False, False, True, True]


# --- replaces -------------------------------------------------------------------------------


def _replacing(rule: Rule, *names: str) -> Rule:
    return replace(rule, replaces=frozenset(names))


@pytest.mark.parametrize(
    ("rules", "asked", "counted"),
    [
        pytest.param(
            {"a": limited(name="a"), "b": _replacing(limited(name="b"), "a")},
            "ab",
            "b",
            id="01 a later rule replaces an earlier one",
        ),
        pytest.param(
            {"a": limited(name="a"), "b": _replacing(limited(name="b"), "a")},
            "ba",
            "b",
            id="02 the order of the descriptors does not matter",
        ),
        pytest.param(
            {"a": limited(name="a"), "b": _replacing(limited(name="b"), "a")},
            "a",
            "a",
            id="03 a rule that did not match replaces nothing",
        ),
        pytest.param(
            {"a": _replacing(limited(name="a"), "b"), "b": _replacing(limited(name="b"), "a")},
            "ab",
            "",
            id="04 two that replace each other are both gone",
        ),
        pytest.param(
            {
                "a": limited(name="a"),
                "b": _replacing(limited(name="b"), "a"),
                "c": _replacing(limited(name="c"), "b"),
            },
            "abc",
            "c",
            id="05 one that is replaced itself still replaces",
        ),
        pytest.param(
            {"a": limited(name="a"), "b": _replacing(unlimited("b"), "a")},
            "ab",
            "",
            id="06 an unlimited rule replaces",
        ),
        pytest.param(
            {"a": limited(name="x"), "b": limited(name="x"), "c": _replacing(limited(), "x")},
            "abc",
            "c",
            id="07 every rule of the name is replaced",
        ),
        pytest.param(
            {"a": limited(), "b": _replacing(limited(name="b"), "a")},
            "ab",
            "ab",
            id="08 a rule without a name cannot be replaced",
        ),
        pytest.param(
            {"a": limited(name="a"), "b": limited(name="b"), "c": _replacing(limited(), "a", "b")},
            "abc",
            "c",
            id="09 a rule may replace several",
        ),
    ],
)
def test_replaces(rules: dict[str, Rule], asked: str, counted: str) -> None:
    made = plan(rule_set(**rules), *(descriptor(key) for key in asked))

    assert "".join(charge.counter.path[0].key for charge in made.charges) == counted
    assert len(made.descriptors) == len(asked)


def test_an_unlimited_rule_stays_unlimited_when_it_is_replaced() -> None:
    rules = rule_set(a=unlimited("a"), b=_replacing(limited(), "a"))

    made = plan(rules, descriptor("a"), descriptor("b"))

    planned = made.descriptors[0]
    assert planned.limits == ()
    assert planned.rule is not None
    assert planned.rule.unlimited


# --- limits that callers bring along --------------------------------------------------------

OVERRIDE = Override(5, Unit.HOUR)


@pytest.mark.parametrize("key", ["k", "free", "unmatched"])
def test_an_override_takes_the_place_of_any_rule(key: str) -> None:
    made = plan(rule_set(k=limited(), free=unlimited()), descriptor(key, 3, OVERRIDE))

    (planned,) = made.descriptors
    assert planned.rule is None
    assert planned.limits == (Limit.per(5, Unit.HOUR),)
    assert [(charge.amount, charge.cap.limit) for charge in made.charges] == [(3, 5)]


def test_an_override_may_only_look() -> None:
    made = plan(rule_set(k=limited()), descriptor("k", 0, OVERRIDE), hits=7)

    assert [(charge.amount, charge.cap.limit) for charge in made.charges] == [(0, 5)]


def test_an_override_is_not_used_in_a_domain_without_rules() -> None:
    made = plan(rule_set(k=limited()), descriptor("k", 3, OVERRIDE), domain="other")

    assert made.charges == ()
    assert made.descriptors[0].limits == ()


def test_an_overridden_rule_replaces_nothing_and_is_not_replaced() -> None:
    rules = rule_set(a=_replacing(limited(name="a"), "b"), b=limited(name="b"))

    made = plan(rules, descriptor("a", override=OVERRIDE), descriptor("b"))

    assert [charge.cap.limit for charge in made.charges] == [5, 10]


def test_an_override_may_change_its_amount_and_goes_on_counting() -> None:
    rules = rule_set(k=limited())
    counters = [
        plan(rules, descriptor("k", override=Override(amount, Unit.HOUR))).charges[0].counter
        for amount in (1, 100)
    ]

    assert counters[0] == counters[1]


# --- identities -----------------------------------------------------------------------------


def _counter(rules: RuleSet, asked: Descriptor, domain: str = DOMAIN) -> object:
    return plan(rules, asked, domain=domain).charges[0].counter


def test_counters_that_must_differ_do() -> None:
    minute, hour = rule_set(k=limited()), rule_set(k=limited(unit=Unit.HOUR))
    named = rule_set(k=limited(name="n"))
    other_domain = RuleSet({"e": minute.domains[DOMAIN]})
    value = Descriptor((Entry("k", "w"),))
    counters = [
        _counter(minute, descriptor("k")),
        _counter(minute, value),
        _counter(hour, descriptor("k")),
        _counter(named, descriptor("k")),
        _counter(other_domain, descriptor("k"), "e"),
        _counter(minute, descriptor("k", override=Override(10, Unit.MINUTE))),
        _counter(minute, descriptor("k", override=Override(10, Unit.HOUR))),
    ]

    assert len(set(counters)) == len(counters)


def test_texts_that_run_into_each_other_stay_apart() -> None:
    """The reference joins texts with `_`, so these two shared a counter there."""
    nested = Node("a", by_key={"b": Node("b", limited())})
    rules = RuleSet({DOMAIN: Node(by_key={"a": replace(nested, rule=limited())})})

    assert _counter(rules, Descriptor((Entry("a", "1_b_2"),))) != _counter(
        rules, Descriptor((Entry("a", "1"), Entry("b", "2")))
    )


def test_a_raised_limit_goes_on_counting() -> None:
    assert _counter(rule_set(k=limited(10)), descriptor("k")) == _counter(
        rule_set(k=limited(20)), descriptor("k")
    )


@pytest.mark.parametrize(
    ("shared", "path"),
    [
        (False, (Step("k", "v1"),)),
        (True, (Step("k", "v*", shared=True),)),
    ],
)
def test_values_of_a_wildcard_share_a_counter_only_when_told_to(
    shared: bool, path: tuple[Step, ...]
) -> None:
    wildcard = Wildcard(Pattern("v*"), Node("k_v*", limited()), shared)
    rules = RuleSet({DOMAIN: Node(wildcards={"k": (wildcard,)})})

    made = plan(rules, Descriptor((Entry("k", "v1"),)), Descriptor((Entry("k", "v*"),)))

    first, literal = (charge.counter for charge in made.charges)
    assert first.path == path
    assert (first == literal) is shared
