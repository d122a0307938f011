"""Rule files for tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from ratelimit_service.config.load import check_rules, load_rules
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.core.rules import RuleSet


def write(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def load(folder: Path, text: str) -> RuleSet:
    return load_rules(RulesSettings(write(folder, text)))


def errors_of(folder: Path, text: str) -> list[str]:
    """Return `line:column reason` for each error of a file."""
    path = write(folder, text)
    errors = check_rules(RulesSettings(path)).errors
    assert all(error.place.file == str(path) for error in errors)
    return [f"{error.place.line}:{error.place.column} {error.reason}" for error in errors]
