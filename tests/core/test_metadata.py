"""Metadata of rules that passed, one fact a line."""

from __future__ import annotations

import pytest

from ratelimit_service.core.judge import Code, Result, Status
from ratelimit_service.core.metadata import passed_metadata
from ratelimit_service.core.rules import Metadata


def passed(metadata: Metadata | None) -> Status:
    return Status(Code.OK, Result.WITHIN, metadata=metadata)


def refused(metadata: Metadata | None) -> Status:
    return Status(Code.OVER_LIMIT, Result.OVER, metadata=metadata)


@pytest.mark.parametrize(
    ("statuses", "merged"),
    [
        pytest.param([], {}, id="01 nothing"),
        pytest.param([passed(None), passed({})], {}, id="02 no metadata"),
        pytest.param([passed({"a": 1})], {"a": 1}, id="03 one rule's"),
        pytest.param([refused({"a": 1})], {}, id="04 not that of a rule that is over"),
        pytest.param([passed({"a": 1}), passed({"a": 2})], {"a": 1}, id="05 the first value stays"),
        pytest.param(
            [refused({"a": 1}), passed({"a": 2})], {"a": 2}, id="06 the first that passed"
        ),
        pytest.param([passed({"a": 1}), passed({"b": 2})], {"a": 1, "b": 2}, id="07 keys add up"),
        pytest.param(
            [
                passed({"m": {"x": 1}}),
                passed({"m": {"x": 2, "y": {"z": 3}}}),
                passed({"m": {"y": {"w": 4}}}),
            ],
            {"m": {"x": 1, "y": {"z": 3, "w": 4}}},
            id="08 maps are merged at every depth",
        ),
        pytest.param(
            [passed({"a": 1}), passed({"a": {"x": 1}})], {"a": 1}, id="09 a value is no map"
        ),
        pytest.param(
            [passed({"a": {"x": 1}}), passed({"a": 1})], {"a": {"x": 1}}, id="10 nor a map a value"
        ),
        pytest.param(
            [passed({"a": [1]}), passed({"a": [2]})], {"a": [1]}, id="11 lists are values"
        ),
        pytest.param([passed({"a": None}), passed({"a": 2})], {"a": None}, id="12 null is a value"),
    ],
)
def test_merging(statuses: list[Status], merged: Metadata) -> None:
    assert passed_metadata(statuses) == merged


def test_rules_keep_their_own_metadata() -> None:
    first: Metadata = {"m": {"x": 1}}

    passed_metadata([passed(first), passed({"m": {"y": 2}})])

    assert first == {"m": {"x": 1}}
