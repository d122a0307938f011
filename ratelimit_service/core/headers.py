"""Headers that tell a caller how near a limit is, and when to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ratelimit_service.core.judge import Code, Decision
from ratelimit_service.core.units import whole_seconds

RETRY_AFTER: Final = "retry-after"
"""RFC 9110, section 10.2.3, as seconds."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header of the gateway's response to its caller."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """What the limit headers are called."""

    limit: str
    remaining: str
    reset: str


def limit_headers(decision: Decision, names: HeaderNames) -> tuple[Header, ...]:
    """Return the headers for a decision; none where no limit applies.

    Limit, remaining and reset (seconds) are those of the status closest to its limit. A
    refusal also says after how many seconds every limit that is over has room again, unless
    waiting does not help.
    """
    nearest = decision.nearest()
    if nearest is None or nearest.limit is None:
        return ()
    headers = (
        Header(names.limit, str(nearest.limit.most)),
        Header(names.remaining, str(nearest.remaining or 0)),
        Header(names.reset, str(whole_seconds(nearest.reset_in_us or 0))),
    )
    retry_after_s = _retry_after_s(decision)
    if decision.overall is Code.OK or retry_after_s is None:
        return headers
    return (*headers, Header(RETRY_AFTER, str(retry_after_s)))


def _retry_after_s(decision: Decision) -> int | None:
    """Return the longest wait among the limits that are over, at least a second (F47).

    None where waiting does not help, or where it was no limit that refused.
    """
    over = [status.wait_us for status in decision.statuses if status.code is Code.OVER_LIMIT]
    waits_us = [wait_us for wait_us in over if wait_us is not None]
    if not waits_us or len(waits_us) < len(over):
        return None
    return max(1, whole_seconds(max(waits_us)))
