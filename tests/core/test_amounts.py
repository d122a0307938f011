"""How much is asked of a measure: what was said, what follows, and what goes without saying."""

from __future__ import annotations

import pytest

from ratelimit_service.core.amounts import Amounts, usage_with_tokens, with_tokens
from ratelimit_service.core.settlement import Report, Usage
from tests.core.wishing import amounts


@pytest.mark.parametrize(
    ("shared", "own", "measure", "asked"),
    [
        pytest.param({}, {}, "requests", 1, id="01 a call is a request"),
        pytest.param({}, {}, "concurrency", 1, id="02 and one in flight"),
        pytest.param({}, {}, "tokens", 0, id="03 nothing else goes without saying (F22)"),
        pytest.param({}, {}, "images", 0, id="04 nor do measures of one's own"),
        pytest.param({"requests": 0}, {}, "requests", 0, id="05 a 0 is a 0 (F19)"),
        pytest.param({"requests": 5}, {}, "requests", 5, id="06 N asked (F9)"),
        pytest.param(
            {"tokens": 5}, {"tokens": 7}, "tokens", 7, id="07 a descriptor's own goes first"
        ),
        pytest.param({"tokens": 5}, {"tokens": 0}, "tokens", 0, id="08 also when it is 0"),
        pytest.param({"tokens": 5}, {"cost": 7}, "tokens", 5, id="09 measure by measure"),
        pytest.param(
            {"input_tokens": 5, "output_tokens": 7}, {}, "tokens", 12, id="10 tokens are their sum"
        ),
        pytest.param({"output_tokens": 7}, {}, "tokens", 7, id="11 of one as well"),
        pytest.param(
            {"tokens": 3, "output_tokens": 7}, {}, "tokens", 3, id="12 unless they are said"
        ),
        pytest.param(
            {"input_tokens": 5}, {"output_tokens": 7}, "tokens", 12, id="13 wherever they are said"
        ),
        pytest.param({"tokens": 9}, {}, "input_tokens", 0, id="14 no part follows from the sum"),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0}, {}, "tokens", 0, id="15 the sum of nothing"
        ),
    ],
)
def test_asked(shared: dict[str, int], own: dict[str, int], measure: str, asked: int) -> None:
    assert Amounts(amounts(**shared), amounts(**own)).asked(measure) == asked


@pytest.mark.parametrize(
    ("said", "minimums", "measure", "least"),
    [
        pytest.param({"tokens": 100}, {}, "tokens", 100, id="01 all, if nobody says"),
        pytest.param({"tokens": 100}, {"tokens": 10}, "tokens", 10, id="02 what is said"),
        pytest.param({"tokens": 100}, {"tokens": 0}, "tokens", 0, id="03 even 0"),
        pytest.param({}, {}, "requests", 1, id="04 one call is one call"),
        pytest.param(
            {"input_tokens": 30, "output_tokens": 100},
            {"output_tokens": 10},
            "tokens",
            40,
            id="05 the part that can be cut, and the other whole",
        ),
        pytest.param(
            {"input_tokens": 30, "output_tokens": 100},
            {"tokens": 50},
            "tokens",
            50,
            id="06 as said",
        ),
        pytest.param(
            {"tokens": 99, "output_tokens": 100},
            {"output_tokens": 10},
            "tokens",
            99,
            id="07 tokens that were said do not follow",
        ),
    ],
)
def test_least(said: dict[str, int], minimums: dict[str, int], measure: str, least: int) -> None:
    assert Amounts(amounts(**said)).least(measure, Amounts(amounts(**minimums))) == least


def test_an_extension_asks_for_nothing_that_is_not_said() -> None:
    assert with_tokens(amounts(cost=5)) == amounts(cost=5)
    assert with_tokens(amounts(output_tokens=5)) == amounts(output_tokens=5, tokens=5)


def test_what_was_used_implies_tokens_for_each_descriptor() -> None:
    usage = Usage(
        Report.AMOUNTS, amounts(input_tokens=3), (amounts(output_tokens=4), (), amounts(tokens=9))
    )

    assert usage_with_tokens(usage) == Usage(
        Report.AMOUNTS,
        amounts(input_tokens=3, tokens=3),
        (
            amounts(input_tokens=3, output_tokens=4, tokens=7),
            amounts(input_tokens=3, tokens=3),
            amounts(input_tokens=3, tokens=9),
        ),
    )
