"""How much of each measure a caller was granted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ratelimit_service.core.measures import INPUT_TOKENS, OUTPUT_TOKENS, TOKENS
from ratelimit_service.core.requests import Wish
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.settlement import Amount


def granted_amounts(wish: Wish, lines: Sequence[PlannedLine]) -> tuple[Amount, ...]:
    """Return what each descriptor was granted: of several, the least; all of what nothing limits.

    Where tokens follow from those of input and output and were cut, so is the output: that
    is what a caller can still shorten.
    """
    amounts = {amount.measure: amount.amount for amount in wish.amounts}
    follows = TOKENS not in amounts
    for granted in _by_share(lines):
        measure = granted.measure
        if granted.amount or measure in amounts:
            amounts[measure] = min(granted.amount, amounts.get(measure, granted.amount))
    if follows and TOKENS in amounts and OUTPUT_TOKENS in amounts:
        left = max(0, amounts[TOKENS] - amounts.get(INPUT_TOKENS, 0))
        amounts[OUTPUT_TOKENS] = min(amounts[OUTPUT_TOKENS], left)
    return tuple(Amount(measure, amount) for measure, amount in sorted(amounts.items()))


def _by_share(lines: Sequence[PlannedLine]) -> Iterator[Amount]:
    for line in lines:
        whole = line.amount >= sum(share.amount for share in line.shares)
        for share in line.shares:
            amount = share.amount if whole else line.amount // len(line.shares)
            yield Amount(line.measure, amount)
