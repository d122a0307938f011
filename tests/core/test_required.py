"""F50: a missing identity is found, whatever else a call has."""

from __future__ import annotations

import pytest

from ratelimit_service.core.model import Entry
from ratelimit_service.core.required import missing_entry
from ratelimit_service.core.rules import Node, Pattern, Requirement, Wildcard
from tests.core.rulesets import limited

USER = Requirement("user")
CORE = Requirement("team", "core")
API = Requirement("path", "/api/*", Pattern("/api/*"))
LEAF = Node(rule=limited())


def entries(text: str) -> tuple[Entry, ...]:
    """Read entries, as ``team=a,user=b``."""
    return tuple(Entry(*part.split("=")) for part in text.split(",") if part)


def root(*required: Requirement) -> Node:
    """A level that requires entries; below each team, a user is required too."""
    team = Node(by_key={"user": LEAF}, required=(USER,))
    wildcards = {"path": (Wildcard(Pattern("/api/*"), LEAF),)}
    return Node(by_key={"user": LEAF, "team": team}, wildcards=wildcards, required=required)


@pytest.mark.parametrize(
    ("required", "descriptors", "missing"),
    [
        pytest.param(USER, ["user=ann"], None, id="01 it is there"),
        pytest.param(USER, ["path=/x", "user=ann"], None, id="02 in any descriptor"),
        pytest.param(USER, ["path=/x"], USER, id="03 it is not"),
        pytest.param(USER, ["user="], USER, id="04 an empty value is none"),
        pytest.param(USER, ["User=ann"], USER, id="05 another spelling is another entry"),
        pytest.param(USER, ["path=/x,user=ann"], USER, id="06 a deeper entry is another one"),
        pytest.param(CORE, ["team=core,user=u"], None, id="07 a value, with more behind it"),
        pytest.param(CORE, ["team=other,user=u"], CORE, id="08 another value"),
        pytest.param(API, ["path=/api/x"], None, id="09 a wildcard"),
        pytest.param(API, ["path=/web"], API, id="10 a value beside it"),
        pytest.param(None, ["team=a"], USER, id="11 a level that was entered asks for the next"),
        pytest.param(None, ["team=a", "team=b,user=u"], USER, id="12 each for itself"),
        pytest.param(None, ["team=a", "team=a,user=u"], None, id="13 which another may give"),
        pytest.param(None, ["path=/api/x"], None, id="14 a level that nobody enters does not"),
        pytest.param(None, [""], None, id="15 nothing is required"),
    ],
)
def test_required(
    required: Requirement | None, descriptors: list[str], missing: Requirement | None
) -> None:
    level = root(required) if required is not None else root()

    assert missing_entry(level, [entries(text) for text in descriptors]) == missing
