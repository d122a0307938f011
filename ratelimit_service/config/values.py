"""Single settings, from text. Forms are those of Go, which users of the reference write.

Every function takes the name of the variable or flag for its SettingsError.
"""

from __future__ import annotations

import math
import re
from typing import Final

from ratelimit_service.errors import SettingsError

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})

_UNIT_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def boolean(name: str, text: str) -> bool:
    """Read a boolean, as strconv.ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise SettingsError(name, f"`{text}` is not a boolean; write true or false")


def duration_s(name: str, text: str) -> float:
    """Read a duration that is not negative, in seconds, as time.ParseDuration."""
    if text == "0":
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise SettingsError(name, f"`{text}` is not a duration; write 150us, 10ms, 10s, 1m30s, 24h")
    return math.fsum(float(amount) * _UNIT_S[unit] for amount, unit in _PART.findall(text))


def positive_duration_s(name: str, text: str) -> float:
    """Read a duration above 0, in seconds."""
    seconds = duration_s(name, text)
    if seconds == 0:
        raise SettingsError(name, "must be longer than 0; write for example 10s")
    return seconds


def integer(name: str, text: str, bounds: range, example: int) -> int:
    """Read a whole number within bounds."""
    try:
        number = int(text) if text.isascii() else None
    except ValueError:
        number = None
    if number is None or number not in bounds:
        raise SettingsError(
            name,
            f"`{text}` is not a whole number from {bounds[0]} to {bounds[-1]}; "
            f"write for example {example}",
        )
    return number


def ratio(name: str, text: str) -> float:
    """Read a number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1:
        raise SettingsError(name, f"`{text}` is not a number above 0 and up to 1; write 0.8")
    return number


def header_name(name: str, text: str) -> str:
    """Read the name of an HTTP header (a token of RFC 9110)."""
    if _HEADER.fullmatch(text) is None:
        raise SettingsError(name, f"`{text}` is no header name; write for example RateLimit-Limit")
    return text
