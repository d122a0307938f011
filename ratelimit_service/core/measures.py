"""What is counted: the measures that the service knows, and their amounts as people write them."""

from __future__ import annotations

from typing import Final

from ratelimit_service.core.units import MAX_AMOUNT

REQUESTS: Final = "requests"
TOKENS: Final = "tokens"
INPUT_TOKENS: Final = "input_tokens"
OUTPUT_TOKENS: Final = "output_tokens"
COST: Final = "cost"
"""Counted in millionths of a dollar, and written in dollars."""

CONCURRENCY: Final = "concurrency"
"""Calls in flight, counted by leases."""

STANDARD_MEASURES: Final = frozenset(
    {REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, COST, CONCURRENCY}
)

MICROUSD: Final = 1_000_000
"""So many units of cost are a dollar."""

_DECIMALS: Final = 6


def parse_dollars(text: str) -> int:
    """Read an amount of cost, as 5 or 0.25. Raises ValueError for anything else."""
    whole, _, part = text.partition(".")
    digits = whole + part.ljust(_DECIMALS, "0")
    if not (digits.isascii() and digits.isdigit() and whole) or len(part) > _DECIMALS:
        raise ValueError("write dollars with up to six decimals, as 5.00")
    amount = int(digits)
    if amount > MAX_AMOUNT:
        raise ValueError(f"must be at most {format_dollars(MAX_AMOUNT)[1:]} dollars")
    return amount


def format_dollars(microusd: int) -> str:
    """Write an amount of cost, with cents and as many more decimals as it takes."""
    whole, rest = divmod(microusd, MICROUSD)
    part = f"{rest:0{_DECIMALS}}".rstrip("0").ljust(2, "0")
    return f"${whole}.{part}"


def format_amount(measure: str, amount: int) -> str:
    """Write an amount for people, as ``100 tokens`` or ``$5.00``."""
    if measure == COST:
        return format_dollars(amount)
    if measure == CONCURRENCY:
        return f"{amount} calls at once"
    return f"{amount} {measure}"
