from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Node, Pattern, Rule, RuleSet, Step, Wildcard
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import Place


def rule(title: str, *, unlimited: bool = False, detailed_metric: bool = False) -> Rule:
    limits = () if unlimited else (Limit.per(1, Unit.MINUTE),)
    return Rule(title, Place("f"), limits, unlimited=unlimited, detailed_metric=detailed_metric)


def leaf(title: str, label: str = "") -> Node:
    return Node(label, rule(title))


def wild(pattern: str, node: Node, *, shared: bool = False) -> Wildcard:
    return Wildcard(Pattern(pattern), node, shared)


ROOT = Node(
    exact={
        ("user", "ann"): leaf("user=ann"),
        ("team", "core"): Node(exact={("model", "large"): leaf("team=core, model=large")}),
        ("path", "/open"): Node(),
        ("free", "yes"): Node(rule=rule("unlimited", unlimited=True)),
        ("both", "x"): Node(rule=rule("both"), by_key={"model": leaf("both, model")}),
        ("", ""): leaf("empty texts"),
    },
    wildcards={
        "user": (
            wild("b*", leaf("user=b*")),
            wild("bo*", leaf("user=bo*")),
            wild("*-*-bot", leaf("user=*-*-bot")),
        ),
        "api_key": (wild("batch-*", leaf("api_key=batch-*"), shared=True),),
        "team": (wild("c*", Node(by_key={"model": leaf("team=c*, model")})),),
        "tag": (wild("*", leaf("tag=*")),),
    },
    by_key={
        "user": leaf("user"),
        "team": Node(by_key={"model": leaf("team, model")}),
        "tag": leaf("tag"),
    },
)
RULES = RuleSet({"d": ROOT})

MATCHES = {
    "1 an exact value": ("user=ann", "user=ann"),
    "2 key alone for another value": ("user=zoe", "user"),
    "3 key alone for an empty value": ("user=", "user"),
    "4 a wildcard before key alone": ("user=bart", "user=b*"),
    "5 the first wildcard of the file, not the longest": ("user=bob", "user=b*"),
    "6 several stars": ("user=my-own-bot", "user=*-*-bot"),
    "7 several stars, all empty": ("user=--bot", "user=*-*-bot"),
    "8 too few parts for several stars": ("user=-bot", "user"),
    "9 a star stands for nothing": ("user=b", "user=b*"),
    "10 a star stands for everything": ("tag=", "tag=*"),
    "11 case matters": ("user=Ann", "user"),
    "12 two levels, exact": ("team=core model=large", "team=core, model=large"),
    "13 two levels, wildcard then key": ("team=corp model=x", "team=c*, model"),
    "14 two levels, keys alone": ("team=sales model=x", "team, model"),
    "15 no backtracking from an exact value": ("team=core model=small", None),
    "16 too short": ("team=core", None),
    "17 too long": ("user=ann model=large", None),
    "18 unknown key": ("usr=ann", None),
    "19 unknown key below": ("team=sales size=x", None),
    "20 a node with neither limit nor children": ("path=/open", None),
    "21 unlimited is a rule": ("free=yes", "unlimited"),
    "22 a limit and children: ends at the limit": ("both=x", "both"),
    "23 a limit and children: goes below": ("both=x model=y", "both, model"),
    "24 order of entries matters": ("model=large team=core", None),
    "25 no entries": ("", None),
    "26 empty key and value": ("=", "empty texts"),
}


def entries(text: str) -> list[Entry]:
    return [Entry(*part.split("=", 1)) for part in text.split()]


@pytest.mark.parametrize("case", MATCHES)
def test_a_descriptor_matches(case: str) -> None:
    text, title = MATCHES[case]

    match = RULES.match("d", entries(text))

    assert (match and match.rule.title) == title


def test_an_unknown_domain_matches_nothing() -> None:
    assert RULES.match("other", entries("user=ann")) is None


def test_each_value_of_a_wildcard_has_its_own_counter() -> None:
    match = RULES.match("d", entries("user=bart"))

    assert match is not None
    assert match.path == (Step("user", "bart"),)


def test_values_of_a_shared_wildcard_have_one_counter() -> None:
    one, other = (RULES.match("d", entries(f"api_key=batch-{n}")) for n in (1, 2))

    assert one is not None
    assert other is not None
    assert one.path == other.path == (Step("api_key", "batch-*", shared=True),)


def test_a_shared_wildcard_is_no_value_of_that_text() -> None:
    shared = RULES.match("d", entries("api_key=batch-*"))

    assert shared is not None
    assert shared.path != (Step("api_key", "batch-*"),)


def test_a_path_keeps_every_level_apart() -> None:
    match = RULES.match("d", entries("team=core model=large"))

    assert match is not None
    assert match.path == (Step("team", "core"), Step("model", "large"))


def titled(*, detailed: bool = False, value_at: tuple[bool, bool] = (False, False)) -> RuleSet:
    ending = rule("d.team_c*.model", detailed_metric=detailed)
    below = Node("model", ending, value_to_metric=value_at[1])
    level = Node("team_c*", by_key={"model": below}, value_to_metric=value_at[0])
    return RuleSet({"d": Node(wildcards={"team": (wild("c*", level),)})})


@pytest.mark.parametrize(
    ("rules", "title"),
    [
        (titled(), "d.team_c*.model"),
        (titled(value_at=(True, False)), "d.team_core.model"),
        (titled(value_at=(False, True)), "d.team_c*.model_large"),
        (titled(detailed=True), "d.team_core.model_large"),
        (titled(detailed=True, value_at=(True, False)), "d.team_core.model_large"),
    ],
)
def test_titles_name_values_only_where_asked(rules: RuleSet, title: str) -> None:
    match = rules.match("d", entries("team=core model=large"))

    assert match is not None
    assert match.title == title


def test_values_that_share_a_counter_share_a_title() -> None:
    node = Node("api_key_batch-*", rule("d.api_key_batch-*", detailed_metric=True))
    rules = RuleSet({"d": Node(wildcards={"api_key": (wild("batch-*", node, shared=True),)})})

    match = rules.match("d", entries("api_key=batch-7"))

    assert match is not None
    assert match.title == "d.api_key_batch-*"


def test_every_rule_is_listed_once() -> None:
    titles = [found.title for found in RULES.rules()]

    assert len(titles) == len(set(titles)) == 15
    assert set(titles) > {title for _, title in MATCHES.values() if title}


SHORT = st.text(alphabet="ab*.\n", max_size=8)


@given(pattern=SHORT, value=SHORT)
def test_patterns_agree_with_a_regular_expression(pattern: str, value: str) -> None:
    oracle = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)

    # A text without a star is no pattern: files make an exact value of it.
    if "*" in pattern:
        assert Pattern(pattern).matches(value) == bool(oracle.fullmatch(value))


@given(parts=st.lists(SHORT.map(lambda text: text.replace("*", "")), min_size=2), filler=SHORT)
def test_a_value_made_from_a_pattern_matches_it(parts: list[str], filler: str) -> None:
    assert Pattern("*".join(parts)).matches(filler.join(parts))


def test_a_hostile_value_is_matched_in_linear_time() -> None:
    assert not Pattern("*a" * 50 + "*b").matches("a" * 100_000)
