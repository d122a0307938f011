"""Amounts of cost, which people write in dollars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.measures import format_amount, format_dollars, parse_dollars
from ratelimit_service.core.units import MAX_AMOUNT


@pytest.mark.parametrize(
    ("text", "microusd"),
    [("5", 5_000_000), ("5.00", 5_000_000), ("0.25", 250_000), ("0.000001", 1), ("0", 0)],
)
def test_dollars(text: str, microusd: int) -> None:
    assert parse_dollars(text) == microusd


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".5",
        "-1",
        "+1",
        "1e3",
        "nan",
        "inf",
        "1.0000001",
        "1,5",
        "$5",
        " 5",
        "\u0665",
        "1.2.3",
        "1_0",
    ],
)
def test_what_is_no_amount_of_dollars(text: str) -> None:
    """F24."""
    with pytest.raises(ValueError, match="write dollars"):
        parse_dollars(text)


@given(st.integers(0, MAX_AMOUNT))
def test_what_is_written_is_read(microusd: int) -> None:
    assert parse_dollars(format_dollars(microusd).removeprefix("$")) == microusd


def test_the_largest_amount_is_the_last() -> None:
    with pytest.raises(ValueError, match="must be at most"):
        parse_dollars("9007199254.740992")


@pytest.mark.parametrize(
    ("measure", "amount", "text"),
    [
        ("cost", 5_000_000, "$5.00"),
        ("cost", 1_234_500, "$1.2345"),
        ("concurrency", 3, "3 calls at once"),
        ("tokens", 100, "100 tokens"),
    ],
)
def test_amounts_for_people(measure: str, amount: int, text: str) -> None:
    assert format_amount(measure, amount) == text
