"""From the place where rule files are to the rules in force."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from ratelimit_service.config.build import build_rules
from ratelimit_service.config.parse import ParsedFile, parse_file
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.errors import ConfigError, Place

SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Source:
    """A rule file's content, or why it cannot be read."""

    path: Path
    content: bytes | ConfigError


@dataclass(frozen=True, slots=True)
class Checked:
    """The rules of some files, or everything that is wrong with them."""

    rules: RuleSet | None
    errors: tuple[ConfigError, ...]

    def in_force(self) -> RuleSet:
        """Return the rules. Raises the first error, which counts those that follow."""
        if self.rules is not None:
            return self.rules
        first, *others = self.errors
        if others:
            more = f"{len(others)} more error{'s' if len(others) > 1 else ''}"
            raise ConfigError(first.place, f"{first.reason} (and {more}; see check-config)")
        raise first


def load_rules(settings: RulesSettings) -> RuleSet:
    """Read all rule files. Raises ConfigError for the first thing that is wrong."""
    return check_rules(settings).in_force()


def check_rules(settings: RulesSettings) -> Checked:
    """Read all rule files and gather everything that is wrong."""
    return check_sources(read_sources(settings), merge_domains=settings.merge_domains)


def find_files(settings: RulesSettings) -> tuple[Path, ...]:
    """Name the rule files, in a stable order. Raises ConfigError where there are none."""
    path = settings.path
    try:
        if path.is_file():
            return (path,)
        files = [*_files_in(path)] if path.is_dir() or not settings.with_siblings else []
        if settings.with_siblings:
            files += [
                file for file in _files_in(path.parent) if file.name.startswith(f"{path.name}.")
            ]
    except OSError as error:
        raise ConfigError(Place(str(path)), _unreadable(error)) from error
    kept = [file for file in files if not (settings.ignore_dotfiles and file.name.startswith("."))]
    if not kept:
        raise ConfigError(Place(str(path)), "no rule files here; put a *.yaml file into the folder")
    return tuple(sorted(kept))


def read_sources(settings: RulesSettings) -> tuple[Source, ...]:
    """Read all rule files; what cannot be read keeps its error in place of its content."""
    try:
        return tuple(_read(path) for path in find_files(settings))
    except ConfigError as error:
        return (Source(settings.path, error),)


def check_sources(sources: Iterable[Source], *, merge_domains: bool) -> Checked:
    """Put files together to rules, or gather everything that is wrong with them."""
    with _no_collections():
        return _check_sources(sources, merge_domains=merge_domains)


def _check_sources(sources: Iterable[Source], *, merge_domains: bool) -> Checked:
    files: list[ParsedFile] = []
    errors: list[ConfigError] = []
    for source in sources:
        if isinstance(source.content, ConfigError):
            errors.append(source.content)
            continue
        parsed = parse_file(source.content, str(source.path))
        if isinstance(parsed, ParsedFile):
            files.append(parsed)
        else:
            errors += parsed
    built = build_rules(files, merge_domains=merge_domains)
    errors += built.errors
    return Checked(None, tuple(errors)) if errors else Checked(built.rules, ())


@contextmanager
def _no_collections() -> Iterator[None]:
    """Look for no garbage meanwhile: large files make many objects, all of them in use.

    Looking through them again and again would take most of the time of a load.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def digest(sources: Iterable[Source]) -> bytes:
    """Tell sets of files apart by what they say."""
    total = blake2b()
    for source in sources:
        content = source.content
        written = content if isinstance(content, bytes) else str(content).encode()
        for part in (str(source.path).encode(), written):
            total.update(len(part).to_bytes(8))
            total.update(part)
    return total.digest()


def _files_in(folder: Path) -> list[Path]:
    """Name the YAML files of a folder; a link that leads nowhere is one, so that it is noticed."""
    named = [file for file in folder.iterdir() if file.suffix in SUFFIXES]
    return [file for file in named if file.is_file() or not file.exists()]


def _read(path: Path) -> Source:
    try:
        return Source(path, path.read_bytes())
    except OSError as error:
        return Source(path, ConfigError(Place(str(path)), _unreadable(error)))


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}; check the path and its permissions"
