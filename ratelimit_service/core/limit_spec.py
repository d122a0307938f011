"""Limits as rule files and callers write them, and which of that makes sense together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ratelimit_service.core.algorithms import LONGEST_WINDOW_US, Algorithm, Cap
from ratelimit_service.core.limits import (
    FIXED_WINDOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    CalendarWindow,
    Limit,
    Period,
)
from ratelimit_service.core.measures import CONCURRENCY, REQUESTS
from ratelimit_service.core.messages import HoldKind
from ratelimit_service.core.units import MAX_AMOUNT, SECOND_US
from ratelimit_service.errors import LimitError

LIFETIME: Final = "lifetime"

DEFAULT_IDLE_TTL: Final = "30d"
"""How long a lifetime may be idle before it ends, where a limit does not say."""

DEFAULT_TIME_ZONE: Final = "UTC"

LONGEST_NAME: Final = 64
"""The most characters of a limit's name, and of a measure's."""


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """A limit in the words of a rule file; what is empty was not written.

    Amounts of cost are in millionths of a dollar.
    """

    amount: int
    name: str = ""
    measure: str = REQUESTS
    window: str = ""
    algorithm: str = ""
    align: str = ""
    burst: int | None = None
    time_zone: str = ""
    idle_ttl: str = ""
    lease: str = ""
    on_expiry: str = ""
    shadow_mode: bool = False
    was: str = ""


def build_limit(spec: LimitSpec) -> Limit:
    """Make a limit of what is written. Raises LimitError for the first that makes no sense.

    Whether there is such a time zone is asked elsewhere.
    """
    _check_texts(spec)
    _check_amount("amount", spec.amount)
    if spec.measure == CONCURRENCY:
        return _concurrency(spec)
    if not spec.window:
        raise LimitError("window", f"the limit has no window; {_WINDOWS}")
    if spec.window == LIFETIME:
        return _lifetime(spec)
    if spec.window in _PERIODS:
        return _calendar(spec)
    return _timed(spec)


_PERIODS: Final = {period.value: period for period in Period}

_WINDOWS: Final = (
    f"write a time such as 1s, 5m, 1h or 7d, one of {', '.join(_PERIODS)}, or lifetime"
)

_BELONGS: Final = {
    "window": "a limit of concurrency counts what is in flight and has no window; remove it",
    "algorithm": "a limit of concurrency counts leases and has no algorithm; remove it",
    "align": "goes with fixed windows of a length only, such as 1m; remove it",
    "burst": "goes with `algorithm: token_bucket` only; remove it",
    "time_zone": "goes with windows of a calendar only, such as calendar_day; remove it",
    "idle_ttl": "goes with `window: lifetime` only; remove it",
    "lease": "goes with `measure: concurrency` only; remove it",
    "on_expiry": "a lease always comes back when it expires; remove it",
}
"""What to say of a key that has no meaning beside the others."""


def _check_texts(spec: LimitSpec) -> None:
    if not spec.measure:
        raise LimitError("measure", "must not be empty; write for example tokens")
    for field in ("name", "measure", "was"):
        if len(getattr(spec, field)) > LONGEST_NAME:
            raise LimitError(field, f"must have at most {LONGEST_NAME} characters")
    if spec.was and spec.was == spec.name:
        raise LimitError("was", "is the name that the limit has; write its former name")


def _check_amount(field: str, amount: int) -> None:
    if not 0 <= amount <= MAX_AMOUNT:
        raise LimitError(field, f"must be between 0 and {MAX_AMOUNT}")


def _refuse_others(spec: LimitSpec, *meaningful: str) -> None:
    for field, reason in _BELONGS.items():
        if field not in meaningful and getattr(spec, field) not in {"", None}:
            raise LimitError(field, reason)


def _concurrency(spec: LimitSpec) -> Limit:
    _refuse_others(spec, "lease")
    lease_us = _duration_us("lease", spec.lease) if spec.lease else 0
    return _limit(
        spec, Cap(Algorithm.CONCURRENCY, spec.amount), kind=HoldKind.LEASE, lease_us=lease_us
    )


def _lifetime(spec: LimitSpec) -> Limit:
    _refuse_others(spec, "window", "algorithm", "idle_ttl", "on_expiry")
    _require_fixed(spec, "a lifetime")
    idle_us = _duration_us("idle_ttl", spec.idle_ttl or DEFAULT_IDLE_TTL)
    return _limit(spec, Cap(Algorithm.LIFETIME, spec.amount, idle_us), kind=_kind(spec))


def _calendar(spec: LimitSpec) -> Limit:
    _refuse_others(spec, "window", "algorithm", "time_zone", "on_expiry")
    _require_fixed(spec, "a window of a calendar")
    window = CalendarWindow(_PERIODS[spec.window], spec.time_zone or DEFAULT_TIME_ZONE)
    cap = Cap(Algorithm.CALENDAR, spec.amount)
    return _limit(spec, cap, kind=_kind(spec), calendar=window)


def _timed(spec: LimitSpec) -> Limit:
    make = _TIMED.get(spec.algorithm or FIXED_WINDOW)
    if make is None:
        known = ", ".join(_TIMED)
        raise LimitError("algorithm", f"unknown algorithm `{spec.algorithm}`; write {known}")
    cap = make(spec, _duration_us("window", spec.window))
    return _limit(spec, cap, kind=_kind(spec))


def _fixed(spec: LimitSpec, window_us: int) -> Cap:
    _refuse_others(spec, "window", "algorithm", "align", "on_expiry")
    algorithm = _ALIGNS.get(spec.align)
    if algorithm is None:
        raise LimitError("align", f"unknown alignment `{spec.align}`; write epoch or first_hit")
    return Cap(algorithm, spec.amount, window_us)


def _sliding(spec: LimitSpec, window_us: int) -> Cap:
    _refuse_others(spec, "window", "algorithm", "on_expiry")
    return Cap(Algorithm.SLIDING_WINDOW, spec.amount, window_us)


def _bucket(spec: LimitSpec, window_us: int) -> Cap:
    _refuse_others(spec, "window", "algorithm", "burst", "on_expiry")
    burst = spec.amount if spec.burst is None else spec.burst
    _check_amount("burst", burst)
    if burst and not spec.amount:
        raise LimitError("burst", "without an amount the bucket never drains; write a lifetime")
    if spec.amount and not burst:
        raise LimitError("burst", "nothing ever fits into a burst of 0; write at least 1")
    return Cap(Algorithm.TOKEN_BUCKET, burst, window_us, refill=spec.amount)


_ALIGNS: Final = {
    "": Algorithm.FIXED_WINDOW,
    "epoch": Algorithm.FIXED_WINDOW,
    "first_hit": Algorithm.FIRST_HIT,
}

_TIMED: Final[dict[str, Callable[[LimitSpec, int], Cap]]] = {
    FIXED_WINDOW: _fixed,
    SLIDING_WINDOW: _sliding,
    TOKEN_BUCKET: _bucket,
}


def _limit(
    spec: LimitSpec,
    cap: Cap,
    *,
    kind: HoldKind,
    lease_us: int = 0,
    calendar: CalendarWindow | None = None,
) -> Limit:
    return Limit(
        cap,
        spec.name,
        spec.measure,
        calendar=calendar,
        kind=kind,
        lease_us=lease_us,
        shadow_mode=spec.shadow_mode,
        was=spec.was,
    )


def _require_fixed(spec: LimitSpec, window: str) -> None:
    if spec.algorithm not in {"", FIXED_WINDOW}:
        raise LimitError(
            "algorithm", f"{window} is counted as {FIXED_WINDOW} only; write a time such as 1h"
        )


def _kind(spec: LimitSpec) -> HoldKind:
    kind = _ON_EXPIRY.get(spec.on_expiry)
    if kind is None:
        raise LimitError("on_expiry", f"unknown `{spec.on_expiry}`; write keep or release")
    return kind


_ON_EXPIRY: Final = {"": HoldKind.KEEP, "keep": HoldKind.KEEP, "release": HoldKind.RELEASE}

_DURATION: Final = re.compile(r"([0-9]{1,10})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _duration_us(field: str, text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        known = _WINDOWS if field == "window" else "write a time such as 90s, 5m, 24h or 30d"
        raise LimitError(field, f"`{text}` is no time; {known}")
    duration_us = int(found[1]) * _SECONDS[found[2]] * SECOND_US
    if not duration_us:
        raise LimitError(field, "must be longer than 0; write for example 1s")
    if duration_us > LONGEST_WINDOW_US:
        longest = LONGEST_WINDOW_US // (_SECONDS["d"] * SECOND_US)
        raise LimitError(field, f"`{text}` is too long; the most is {longest}d")
    return duration_us
