"""What is wrong with a wish by itself, whatever the rules say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ratelimit_service.core.amounts import Amounts
from ratelimit_service.core.limit_spec import LONGEST_NAME
from ratelimit_service.core.measures import TOKENS
from ratelimit_service.core.requests import Described, Wish
from ratelimit_service.core.settlement import Amount
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.errors import InvalidFieldError

MAX_DESCRIPTORS: Final = 64
MAX_ENTRIES: Final = 32
"""The most entries of a descriptor."""

MAX_MEASURES: Final = 32
"""The most measures that one list of amounts names."""

MAX_INLINE_LIMITS: Final = 16
"""The most limits that a caller brings along with one descriptor."""


def check_wish(wish: Wish) -> None:
    """Raise InvalidFieldError for the first thing that cannot be decided."""
    check_descriptors(wish.domain, wish.descriptors)
    _check_amounts("amounts", wish.amounts)
    _check_amounts("min_amounts", wish.min_amounts)
    for at, descriptor in enumerate(wish.descriptors):
        _check_tokens(f"descriptors[{at}].amounts", Amounts(wish.amounts, descriptor.amounts))


def check_descriptors(domain: str, descriptors: Sequence[Described]) -> None:
    """Raise InvalidFieldError for a missing domain, and for descriptors that make no sense."""
    if not domain:
        raise InvalidFieldError("domain", "must not be empty")
    if not descriptors:
        raise InvalidFieldError("descriptors", "must not be empty; name what is to be limited")
    _check_count("descriptors", descriptors, MAX_DESCRIPTORS)
    first: dict[Described, int] = {}
    for at, descriptor in enumerate(descriptors):
        _check_descriptor(f"descriptors[{at}]", descriptor)
        before = first.setdefault(descriptor, at)
        if before != at:
            raise InvalidFieldError(
                f"descriptors[{at}]", f"is the same as descriptors[{before}]; send it once"
            )


def _check_descriptor(field: str, descriptor: Described) -> None:
    if not descriptor.entries:
        raise InvalidFieldError(f"{field}.entries", "must not be empty")
    _check_count(f"{field}.entries", descriptor.entries, MAX_ENTRIES)
    for at, entry in enumerate(descriptor.entries):
        if not entry.key:
            raise InvalidFieldError(f"{field}.entries[{at}].key", "must not be empty")
    _check_count(f"{field}.limits", descriptor.limits, MAX_INLINE_LIMITS)
    _check_amounts(f"{field}.amounts", descriptor.amounts)
    if descriptor.parent:
        raise InvalidFieldError(f"{field}.parent", "no rule lets a descriptor have a parent")


def _check_amounts(field: str, amounts: Sequence[Amount]) -> None:
    _check_count(field, amounts, MAX_MEASURES)
    seen: set[str] = set()
    for amount in amounts:
        if not 0 < len(amount.measure) <= LONGEST_NAME:
            reason = f"the name of a measure must have 1 to {LONGEST_NAME} characters"
            raise InvalidFieldError(field, reason)
        if amount.measure in seen:
            raise InvalidFieldError(f"{field}[{amount.measure}]", "stands there twice")
        seen.add(amount.measure)
        _check_amount(f"{field}[{amount.measure}]", amount.amount)


def _check_amount(field: str, amount: int) -> None:
    if not 0 <= amount <= MAX_AMOUNT:
        raise InvalidFieldError(field, f"is {amount}; it must be between 0 and {MAX_AMOUNT}")


def _check_tokens(field: str, amounts: Amounts) -> None:
    """Check the sum of tokens that follows from two amounts that are right by themselves."""
    _check_amount(f"{field}[{TOKENS}]", amounts.asked(TOKENS))


def _check_count(field: str, items: Sequence[object], most: int) -> None:
    if len(items) > most:
        raise InvalidFieldError(field, f"has {len(items)} elements; the most is {most}")
