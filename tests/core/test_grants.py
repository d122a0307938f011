"""What a caller learns that it may use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ratelimit_service.core.grants import granted_amounts
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.reservation import Share
from tests.core.rulesets import limits, per_minute, rule_set
from tests.core.wishing import amounts, described, key, placed, planned, wish

TPM = per_minute("tpm", 100, "tokens")


@pytest.mark.parametrize(
    ("asked", "tokens", "granted"),
    [
        pytest.param({"tokens": 50}, 50, {"tokens": 50}, id="01 all"),
        pytest.param({"tokens": 50}, 20, {"tokens": 20}, id="02 a part"),
        pytest.param(
            {"tokens": 50, "cost": 9}, 50, {"cost": 9, "tokens": 50}, id="03 what nothing limits"
        ),
        pytest.param({}, 0, {}, id="04 what was only looked at is not granted"),
        pytest.param({"tokens": 0}, 0, {"tokens": 0}, id="05 unless it was said"),
        pytest.param(
            {"input_tokens": 30, "output_tokens": 100},
            70,
            {"input_tokens": 30, "output_tokens": 40, "tokens": 70},
            id="06 where tokens are cut, so is the output",
        ),
        pytest.param(
            {"input_tokens": 30, "output_tokens": 20},
            50,
            {"input_tokens": 30, "output_tokens": 20, "tokens": 50},
            id="07 and not otherwise",
        ),
    ],
)
def test_granted(asked: dict[str, int], tokens: int, granted: dict[str, int]) -> None:
    made = wish(asked=amounts(**asked))
    (line,), _ = placed(made, TPM)

    assert granted_amounts(made, [replace(line, amount=tokens)]) == amounts(**granted)


def test_of_descriptors_that_asked_for_different_amounts_the_least_counts() -> None:
    made = wish(described("a", amounts(tokens=7)), described("b"), asked=amounts(tokens=50))
    lines = planned(rule_set(a=limits(TPM), b=limits(TPM)), made).placed(key)

    assert granted_amounts(made, lines) == amounts(tokens=7)


def test_descriptors_that_share_a_counter_share_what_it_grants() -> None:
    made = wish(asked=amounts(tokens=50))
    (line,), _ = placed(made, TPM)
    shared = replace(line, amount=61, shares=(Share(0, 50), Share(1, 50)))

    assert granted_amounts(made, [shared]) == amounts(tokens=30)


def test_a_call_in_flight_is_granted_too() -> None:
    made = wish()
    lines, _ = placed(made, LimitSpec(3, "n", "concurrency"), per_minute())

    assert granted_amounts(made, lines) == amounts(concurrency=1, requests=1)
