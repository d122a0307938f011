from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.explain import Form, Reason, explain
from ratelimit_service.core.model import Entry
from tests.core.test_rules import MATCHES, RULES, entries

WORDS = st.sampled_from(["user", "team", "model", "ann", "bob", "core", "large", "both", "x", ""])


def test_candidates_are_named_in_the_order_they_are_tried() -> None:
    (found,) = explain(RULES, "d", [tuple(entries("user=x-y-bot"))])

    (level,) = found.levels
    assert [(candidate.form, candidate.text, candidate.fits) for candidate in level.candidates] == [
        (Form.EXACT, "user=x-y-bot", False),
        (Form.WILDCARD, "user=b*", False),
        (Form.WILDCARD, "user=bo*", False),
        (Form.WILDCARD, "user=*-*-bot", True),
    ]


@pytest.mark.parametrize(
    ("text", "reason", "near"),
    [
        ("usr=ann", Reason.NO_CANDIDATE, ("user",)),
        ("team=core model=larg", Reason.NO_CANDIDATE, ("model=large",)),
        ("team=core mdl=x", Reason.NO_CANDIDATE, ("model",)),
        ("team=core", Reason.TOO_SHORT, ()),
        ("user=ann model=x", Reason.TOO_LONG, ()),
        ("path=/open", Reason.NO_LIMIT, ()),
        ("", Reason.NO_ENTRIES, ()),
    ],
)
def test_a_miss_has_a_reason(text: str, reason: Reason, near: tuple[str, ...]) -> None:
    (found,) = explain(RULES, "d", [tuple(entries(text))])

    assert (found.match, found.reason, found.near) == (None, reason, near)


def test_an_unknown_domain_is_told_with_the_known_ones() -> None:
    (found,) = explain(RULES, "dd", [(Entry("user", "ann"),)])

    assert (found.reason, found.near) == (Reason.UNKNOWN_DOMAIN, ("d",))


@given(st.lists(st.builds(Entry, WORDS, WORDS), max_size=3))
def test_an_explanation_agrees_with_the_match(descriptor: list[Entry]) -> None:
    (found,) = explain(RULES, "d", [tuple(descriptor)])

    assert found.match == RULES.match("d", descriptor)
    assert (found.match is None) == (found.reason is not None)
    if found.match is not None:
        assert len(found.levels) == len(descriptor)
        assert all(level.candidates[-1].fits for level in found.levels)


@pytest.mark.parametrize("case", MATCHES)
def test_every_matching_case_is_explained(case: str) -> None:
    text, title = MATCHES[case]

    (found,) = explain(RULES, "d", [tuple(entries(text))])

    assert (found.match and found.match.rule.title) == title
