"""What cannot be decided as it was sent, each with its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.model import Entry
from ratelimit_service.core.requests import Described, UsageRequest, Wish
from ratelimit_service.core.reserve_plan import make_usage_plan
from ratelimit_service.core.rules import Node, Pattern, Policy, RuleSet, Wildcard
from ratelimit_service.core.settlement import Amount
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.errors import InvalidFieldError
from tests.core.rulesets import DOMAIN, MOMENT, limits, per_minute, rule_set, with_policy
from tests.core.wishing import amounts, described, planned, wish

RULES = rule_set(k=limits(per_minute("n", 10, "tokens")))
ALLOWING = with_policy(Policy(inline_limits=True), k=limits(per_minute()))
MINUTE = per_minute("mine")
BIG = MAX_AMOUNT + 1


def brought(*specs: LimitSpec) -> Wish:
    return wish(described(brought=specs))


@pytest.mark.parametrize(
    ("asked", "field", "reason"),
    [
        pytest.param(wish(domain=""), "domain", "must not be empty", id="01"),
        pytest.param(Wish(DOMAIN, ()), "descriptors", "must not be empty", id="02"),
        pytest.param(wish(Described(())), "descriptors[0].entries", "must not be empty", id="03"),
        pytest.param(
            wish(Described((Entry("", "v"),))), "descriptors[0].entries[0].key", "must not", id="04"
        ),
        pytest.param(
            wish(described(), described("a"), described()),
            "descriptors[2]",
            "is the same as descriptors[0]",
            id="05 an exact duplicate",
        ),
        pytest.param(
            Wish(DOMAIN, tuple(described(f"k{at}") for at in range(65))),
            "descriptors",
            "has 65 elements; the most is 64",
            id="06 too many descriptors",
        ),
        pytest.param(
            wish(Described(tuple(Entry(f"k{at}", "") for at in range(33)))),
            "descriptors[0].entries",
            "has 33 elements; the most is 32",
            id="07 too many entries",
        ),
        pytest.param(
            wish(asked=amounts(tokens=BIG)), "amounts[tokens]", f"is {BIG}", id="08 too large (F24)"
        ),
        pytest.param(
            wish(asked=amounts(tokens=-1)), "amounts[tokens]", "is -1", id="09 negative (F24)"
        ),
        pytest.param(
            wish(described(own=amounts(cost=BIG))),
            "descriptors[0].amounts[cost]",
            f"is {BIG}",
            id="10 in a descriptor too",
        ),
        pytest.param(wish(least=amounts(tokens=BIG)), "min_amounts[tokens]", f"is {BIG}", id="11"),
        pytest.param(
            wish(asked=amounts(input_tokens=MAX_AMOUNT, output_tokens=1)),
            "descriptors[0].amounts[tokens]",
            f"is {BIG}",
            id="12 a sum that is too large (F24)",
        ),
        pytest.param(
            wish(asked=(Amount("tokens", 1), Amount("tokens", 2))),
            "amounts[tokens]",
            "stands there twice",
            id="13",
        ),
        pytest.param(wish(asked=(Amount("", 1),)), "amounts", "the name of a measure", id="14"),
        pytest.param(
            wish(asked=(Amount("m" * 65, 1),)), "amounts", "the name of a measure", id="15"
        ),
        pytest.param(
            wish(asked=tuple(Amount(f"m{at}", 1) for at in range(33))),
            "amounts",
            "has 33 elements",
            id="16",
        ),
        pytest.param(
            wish(asked=amounts(tokens=5), least=amounts(tokens=6)),
            "min_amounts[tokens]",
            "6 is above the 5 that descriptors[0] asks for",
            id="17",
        ),
        pytest.param(
            wish(
                described(),
                described("a", amounts(tokens=3)),
                asked=amounts(tokens=5),
                least=amounts(tokens=4),
            ),
            "min_amounts[tokens]",
            "4 is above the 3 that descriptors[1] asks for",
            id="18",
        ),
        pytest.param(wish(least=amounts(cost=1)), "min_amounts[cost]", "1 is above the 0", id="19"),
        pytest.param(
            wish(described("other"), asked=amounts(tokns=5)),
            "amounts[tokns]",
            "no limit counts this measure",
            id="20 a measure that nothing counts",
        ),
        pytest.param(
            wish(described("other", amounts(tokns=5))), "amounts[tokns]", "no limit counts", id="21"
        ),
        pytest.param(
            brought(MINUTE), "descriptors[0].limits", "takes no limits of callers", id="22"
        ),
        pytest.param(
            wish(replace(described(), parent=(Entry("p", "1"),))),
            "descriptors[0].parent",
            "no rule lets",
            id="23 a parent that no rule knows (F52)",
        ),
    ],
)
def test_a_wish_that_cannot_be_decided(asked: Wish, field: str, reason: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        planned(RULES, asked)

    assert caught.value.field == field
    assert caught.value.reason.startswith(reason) or reason in caught.value.reason


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param(replace(MINUTE, amount=BIG), "limits[0].amount", id="01 too large (F24)"),
        pytest.param(replace(MINUTE, window=""), "limits[0].window", id="02 no window"),
        pytest.param(replace(MINUTE, window="1w"), "limits[0].window", id="03 no such window"),
        pytest.param(replace(MINUTE, measure=""), "limits[0].measure", id="04 no measure"),
        pytest.param(replace(MINUTE, burst=5), "limits[0].burst", id="05 burst without a bucket"),
        pytest.param(
            LimitSpec(1, "n", window="calendar_day", time_zone="nowhere"),
            "limits[0].time_zone",
            id="06",
        ),
        pytest.param(replace(MINUTE, name="n" * 65), "limits[0].name", id="07"),
    ],
)
def test_limits_of_callers_are_read_like_those_of_rules(spec: LimitSpec, field: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        planned(ALLOWING, brought(spec))

    assert caught.value.field == f"descriptors[0].{field}"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        pytest.param(brought(MINUTE, MINUTE), "descriptors[0].limits", id="01 twice"),
        pytest.param(
            brought(MINUTE, replace(MINUTE, amount=11)),
            "descriptors[0].limits",
            id="02 of two amounts",
        ),
        pytest.param(
            wish(
                described(brought=(MINUTE,)),
                described(brought=(replace(MINUTE, amount=11),)),
            ),
            "descriptors[1].limits",
            id="03 two limits of one counter",
        ),
        pytest.param(
            brought(*[per_minute(f"n{at}") for at in range(17)]), "descriptors[0].limits", id="04"
        ),
    ],
)
def test_limits_of_callers_that_contradict_each_other(asked: Wish, field: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        planned(ALLOWING, asked)

    assert caught.value.field == field


def test_no_call_touches_more_counters_than_a_script_can() -> None:
    many = tuple(
        described(f"k{at}", brought=tuple(per_minute(f"n{number}") for number in range(16)))
        for at in range(17)
    )
    with pytest.raises(InvalidFieldError, match="have 272 limits in all; the most is 256"):
        planned(ALLOWING, wish(*many))


def test_what_shares_a_counter_is_added_up_exactly() -> None:
    """F24."""
    rule = limits(per_minute("n", 10, "tokens"))
    wildcard = Wildcard(Pattern("v*"), Node("k_v*", rule), shared=True)
    rules = RuleSet({DOMAIN: Node(wildcards={"k": (wildcard,)})})
    descriptors = [Described((Entry("k", f"v{at}"),)) for at in range(2)]

    with pytest.raises(InvalidFieldError) as caught:
        planned(rules, wish(*descriptors, asked=amounts(tokens=2**52)))

    assert caught.value.field == "descriptors[1].amounts"


def test_a_measure_of_ones_own_is_known_where_the_domain_counts_it() -> None:
    policy = Policy(measures=frozenset({"images"}))
    rules = with_policy(policy, k=limits(per_minute("n", 10, "images")))

    assert planned(rules, wish(described("other"), asked=amounts(images=5))).lines == ()


def test_a_call_that_is_limited_may_name_what_others_count() -> None:
    assert planned(RULES, wish(asked=amounts(anything=5))).lines[0].amount == 0


def test_looking_asks_for_a_domain_and_descriptors_too() -> None:
    for domain, descriptors in (("", (described(),)), (DOMAIN, ()), (DOMAIN, (described(),) * 2)):
        with pytest.raises(InvalidFieldError):
            make_usage_plan(RULES, UsageRequest(domain, descriptors), MOMENT)
