"""Rule files that change while the service runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from ratelimit_service.config.load import (
    Source,
    check_sources,
    digest,
    find_files,
    read_sources,
)
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.errors import ConfigError

POLL_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class RulesStatus:
    """What is in force, and what stands in the way of newer rules.

    ``loaded_at`` is in seconds since the epoch, None until rules came into force;
    ``rules`` is how many they are. ``error`` is None where the files are right, and
    ``error_at`` says since when they are not.
    """

    loaded_at: float | None = None
    rules: int = 0
    error: ConfigError | None = None
    error_at: float | None = None


_Signature: TypeAlias = "tuple[_FileSignature, ...] | str"


@dataclass(frozen=True, slots=True)
class _FileSignature:
    """What tells one state of a file from the next, with symbolic links followed."""

    path: str
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """The files at one moment; ``result`` is None where they say what they said before."""

    signature: _Signature
    digest: bytes
    result: RuleSet | ConfigError | None


class RulesWatcher:
    """Polls the rule files and hands out each new state of them once.

    Polling sees edits, files that come and go, and swapped symbolic links alike, on every
    file system. Rules that are wrong go to ``on_error``; those in force stay.
    """

    def __init__(
        self,
        settings: RulesSettings,
        on_rules: Callable[[RuleSet], None],
        on_error: Callable[[ConfigError], None],
        interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._settings = settings
        self._on_rules = on_rules
        self._on_error = on_error
        self._interval_s = interval_s
        self._status = RulesStatus()
        self._signature: _Signature | None = None
        self._digest: bytes | None = None

    @property
    def status(self) -> RulesStatus:
        """What the last poll that found a change has led to."""
        return self._status

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll_once()
            await asyncio.sleep(self._interval_s)

    async def poll_once(self) -> None:
        """Look once, off the event loop; call back if there is something new."""
        reading = await asyncio.to_thread(self._read)
        if reading is None:
            return
        self._signature, self._digest = reading.signature, reading.digest
        if reading.result is not None:
            self._hand_out(reading.result)

    def _hand_out(self, result: RuleSet | ConfigError) -> None:
        if isinstance(result, ConfigError):
            self._status = replace(self._status, error=result, error_at=time.time())
            self._on_error(result)
            return
        rules = sum(1 for _ in result.rules())
        self._status = RulesStatus(time.time(), rules)
        self._on_rules(result)

    def _read(self) -> _Reading | None:
        """Read the files if they changed; None also while they are still changing."""
        signature = _sign(self._settings)
        if signature == self._signature:
            return None
        sources = read_sources(self._settings)
        if _sign(self._settings) != signature:
            return None
        read = digest(sources)
        changed = read != self._digest
        return _Reading(signature, read, self._check(sources) if changed else None)

    def _check(self, sources: tuple[Source, ...]) -> RuleSet | ConfigError:
        try:
            return check_sources(sources, merge_domains=self._settings.merge_domains).in_force()
        except ConfigError as error:
            return error


def _sign(settings: RulesSettings) -> _Signature:
    try:
        return tuple(_sign_file(path) for path in find_files(settings))
    except ConfigError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"


def _sign_file(path: Path) -> _FileSignature:
    found = path.stat()
    return _FileSignature(
        str(path), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )
