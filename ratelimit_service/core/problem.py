"""The body of a refused call's response, as a JSON problem (RFC 9457)."""

from __future__ import annotations

import json
from typing import Final

from ratelimit_service.core.refusal import Refusal
from ratelimit_service.core.units import whole_seconds

CONTENT_TYPE: Final = "application/problem+json"

_STATUS: Final = 429
_TITLE: Final = "Too Many Requests"


def problem_of(refusal: Refusal) -> bytes:
    """Write a refusal; ``retry_after`` is in seconds, and absent where waiting does not help.

    It names the limit, and nothing that the caller sent.
    """
    problem: dict[str, str | int] = {
        "type": "about:blank",
        "title": _TITLE,
        "status": _STATUS,
        "detail": refusal.detail,
        "reason": refusal.reason.value,
    }
    if refusal.measure:
        problem |= {
            "limit_name": refusal.limit_name,
            "measure": refusal.measure,
            "limit": refusal.limit,
            "used": refusal.used,
            "held": refusal.held,
            "requested": refusal.requested,
        }
    if refusal.retry_after_us is not None:
        problem["retry_after"] = max(1, whole_seconds(refusal.retry_after_us))
    return json.dumps(problem, separators=(",", ":")).encode("ascii")
