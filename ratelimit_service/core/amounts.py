"""How much a call asks of each measure, said or implied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ratelimit_service.core.measures import (
    CONCURRENCY,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REQUESTS,
    TOKENS,
)
from ratelimit_service.core.settlement import Amount, Usage

_ONE_BY_ITSELF: Final = frozenset({REQUESTS, CONCURRENCY})


class Amounts:
    """The amounts of one descriptor, by measure.

    ``own`` go before those ``shared`` by all descriptors. Tokens are those of input and
    output where only they are named.
    """

    def __init__(self, shared: Iterable[Amount], own: Iterable[Amount] = ()) -> None:
        said = {amount.measure: amount.amount for amount in (*shared, *own)}
        parts = [part for part in (INPUT_TOKENS, OUTPUT_TOKENS) if part in said]
        self._parts = parts if TOKENS not in said else []
        if self._parts:
            said[TOKENS] = sum(said[part] for part in parts)
        self._said: Mapping[str, int] = said

    def asked(self, measure: str) -> int:
        """Return what a call asks of a measure: one request, one call in flight, else nothing."""
        return self._said.get(measure, 1 if measure in _ONE_BY_ITSELF else 0)

    def least(self, measure: str, minimums: Amounts) -> int:
        """Return the least of a measure that is of use; all that is asked where nobody says.

        Of tokens that follow from their parts, the least follows from the least of the parts.
        """
        named = minimums._named(measure)
        if named is not None:
            return named
        if measure == TOKENS and self._parts:
            return sum(self.least(part, minimums) for part in self._parts)
        return self.asked(measure)

    def _named(self, measure: str) -> int | None:
        return None if measure == TOKENS and self._parts else self._said.get(measure)

    def all(self) -> tuple[Amount, ...]:
        """Return every amount that was named, and tokens where they follow."""
        return tuple(Amount(measure, amount) for measure, amount in self._said.items())


def with_tokens(amounts: Iterable[Amount]) -> tuple[Amount, ...]:
    """Return amounts, and the tokens that follow from them: what Extend adds."""
    return Amounts(amounts).all()


def usage_with_tokens(usage: Usage) -> Usage:
    """Return what was used, and the tokens that follow from it, descriptor by descriptor."""
    descriptors = tuple(Amounts(usage.amounts, own).all() for own in usage.descriptors)
    return replace(usage, amounts=with_tokens(usage.amounts), descriptors=descriptors)
