"""From a counter's identity to its key in the store, and never two counters to one key.

    {prefix}{{domain/key=value/key=[pattern]}}name;measure;algorithm;window[;override]
    {prefix}{{domain/key=value}}/key=value/key=[pattern];name;measure;...

The part in braces is the hash tag, so that all limits of a descriptor share a slot. Where the
domain's `colocate_by` says what the tag is made of, the descriptor itself follows it. Whatever
is not plainly harmless in a name or a value is percent-escaped, so that no text can forge a
separator or a tag. A tag or a suffix that grows long is replaced by ``#`` and its digest.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from urllib.parse import quote

from ratelimit_service.core.algorithms import Algorithm
from ratelimit_service.core.counters import LONGEST_REMEMBERED, REMEMBERED, Counter
from ratelimit_service.core.rules import Step
from ratelimit_service.core.units import SECOND_US

LONGEST: Final = 200
"""A tag or a suffix of more bytes than this is kept as its digest."""

# What stands for itself inside a component, besides ASCII letters and digits. Everything that
# the format itself uses is missing: % { } / = ; [ ] #
_SAFE: Final = "_.-~:@*+,!"
_is_unsafe: Final = re.compile(r"[^A-Za-z0-9_.\-~:@*+,!]").search
_DIGEST_BYTES: Final = 20


class KeyEncoder:
    """Writes the keys of one deployment, whose prefix keeps it apart from others."""

    def __init__(self, prefix: str = "") -> None:
        """``prefix`` stands as it is before every key, but for braces, which would be a tag."""
        self.prefix: Final = prefix.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        self._remembered_key = lru_cache(maxsize=REMEMBERED)(self._key)

    def key(self, counter: Counter) -> str:
        """Return the key of a counter."""
        if counter.text_length <= LONGEST_REMEMBERED:
            return self._remembered_key(counter)
        return self._key(counter)

    def _key(self, counter: Counter) -> str:
        tag = _tag(counter.domain, counter.colocation or counter.path)
        suffix = _suffix(
            counter.limit_name,
            counter.measure,
            counter.algorithm,
            _window(counter),
            counter.overridden,
        )
        if counter.colocation:
            suffix = _shorten(f"/{_steps(counter.path)};{suffix}")
        return f"{self.prefix}{{{tag}}}{suffix}"


def _tag(domain: str, path: tuple[Step, ...]) -> str:
    """Name a descriptor. Never empty, since an empty tag would be none."""
    return _shorten(f"{_escape(domain)}/{_steps(path)}")


def _steps(path: tuple[Step, ...]) -> str:
    steps: list[str] = []
    for step in path:
        key = _escape(step.key) if _is_unsafe(step.key) else step.key
        value = _escape(step.value) if _is_unsafe(step.value) else step.value
        steps.append(f"{key}=[{value}]" if step.shared else f"{key}={value}")
    return "/".join(steps)


@lru_cache(maxsize=4096)
def _suffix(name: str, measure: str, algorithm: Algorithm, window: str, overridden: bool) -> str:
    """Name a limit of a descriptor. Most names come from rule files, so that there are few."""
    parts = [_escape(name), _escape(measure), algorithm.value, window]
    return _shorten(";".join([*parts, "override"] if overridden else parts))


def _window(counter: Counter) -> str:
    """Name a window by its length, or by its calendar; a lifetime has neither."""
    if counter.calendar is not None:
        return f"{counter.calendar.period.value}@{_escape(counter.calendar.time_zone)}"
    seconds, rest_us = divmod(counter.window_us, SECOND_US)
    return f"{counter.window_us}us" if rest_us else f"{seconds}s"


def _escape(text: str) -> str:
    # Half a surrogate pair can come in by JSON; it is a text of its own like any other.
    return quote(text, safe=_SAFE, errors="surrogatepass") if _is_unsafe(text) else text


def _shorten(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return "#" + blake2b(text.encode("ascii"), digest_size=_DIGEST_BYTES).hexdigest()
