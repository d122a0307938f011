"""Headers for the response to the caller of a reservation, allowed or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from ratelimit_service.core.headers import RETRY_AFTER, Header, HeaderNames
from ratelimit_service.core.judge import Code
from ratelimit_service.core.model import Entry
from ratelimit_service.core.problem import CONTENT_TYPE
from ratelimit_service.core.refusal import Refusal
from ratelimit_service.core.statuses import DescriptorStatus, LimitStatus
from ratelimit_service.core.units import whole_seconds

LONGEST_PART: Final = 64
"""The most characters of a key or a measure in a header's name."""

_not_in_names: Final = re.compile(r"[^a-z0-9-]+")


def reservation_headers(
    descriptors: Sequence[tuple[Entry, ...]],
    statuses: Sequence[DescriptorStatus],
    refusal: Refusal | None,
    names: HeaderNames | None,
) -> tuple[Header, ...]:
    """Return the headers for an answer.

    ``x-ratelimit-{scope}-limit-{measure}`` and ``-remaining-{measure}`` for each descriptor,
    whose scope is its last key, and each measure; of several limits those of the nearest.
    With ``names`` also limit, remaining and reset (seconds) of the nearest limit of all, which
    is the one that refused. A refusal adds its content type, and the seconds to wait.
    """
    headers: list[Header] = []
    nearest = _nearest_of_all(statuses, refusal)
    if names is not None and nearest is not None:
        headers += _limit_headers(nearest, names)
    headers += _scoped(descriptors, statuses)
    if refusal is not None:
        headers.append(Header("content-type", CONTENT_TYPE))
        if refusal.retry_after_us is not None:
            seconds = max(1, whole_seconds(refusal.retry_after_us))
            headers.append(Header(RETRY_AFTER, str(seconds)))
    return tuple(headers)


def _limit_headers(status: LimitStatus, names: HeaderNames) -> Iterator[Header]:
    yield Header(names.limit, str(status.limit))
    yield Header(names.remaining, str(status.remaining))
    if status.until_reset_us is not None:
        yield Header(names.reset, str(whole_seconds(status.until_reset_us)))


def _scoped(
    descriptors: Sequence[tuple[Entry, ...]], statuses: Sequence[DescriptorStatus]
) -> Iterator[Header]:
    nearest: dict[tuple[str, str], LimitStatus] = {}
    for entries, descriptor in zip(descriptors, statuses, strict=True):
        scope = _part(entries[-1].key)
        for status in descriptor.limits:
            name = scope, _part(status.measure)
            if name not in nearest or _nearness(status) < _nearness(nearest[name]):
                nearest[name] = status
    for (scope, measure), status in nearest.items():
        yield Header(f"x-ratelimit-{scope}-limit-{measure}", str(status.limit))
        yield Header(f"x-ratelimit-{scope}-remaining-{measure}", str(status.remaining))


def _nearest_of_all(
    statuses: Sequence[DescriptorStatus], refusal: Refusal | None
) -> LimitStatus | None:
    every = [status for descriptor in statuses for status in descriptor.limits]
    if refusal is not None:
        named = [status for status in every if _is_of(refusal, status)]
        every = named or every
    return min(every, key=_nearness, default=None)


def _is_of(refusal: Refusal, status: LimitStatus) -> bool:
    return (status.name, status.measure, status.limit) == (
        refusal.limit_name,
        refusal.measure,
        refusal.limit,
    )


def _nearness(status: LimitStatus) -> tuple[bool, float]:
    """Order limits by how near they are to refusing; measures compare by their shares."""
    share = status.remaining / status.limit if status.limit else 0.0
    return status.code is Code.OK, share


def _part(text: str) -> str:
    """Make a key or a measure fit for the name of a header (RFC 9110, a token), and short."""
    return _not_in_names.sub("-", text.lower())[:LONGEST_PART]
