"""The locked requirements are those that pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())

# What each file locks: the package with its extra, or groups of dependencies.
LOCKED: Final = {
    "runtime.txt": ("project", "tracing"),
    "build.txt": ("build",),
    "dev.txt": ("project", "tracing", "dev"),
    "envoy.txt": ("envoy",),
}


def asked(source: str) -> Iterator[Requirement]:
    """Yield what a part of pyproject.toml asks for."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    if source == "project":
        items = project["dependencies"]
    else:
        items = project["optional-dependencies"].get(source) or groups[source]
    for item in items:
        if isinstance(item, dict):
            yield from asked(item["include-group"])
        else:
            yield Requirement(item)


def locked(file: str) -> dict[str, Requirement]:
    """Return the requirements of a file by name, each with its hashes cut off."""
    text = (ROOT / "requirements" / file).read_text()
    lines = re.findall(r"^([^\s#][^\\\n]*?) \\$", text, re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in found}


@pytest.mark.parametrize("file", LOCKED)
def test_what_is_locked_fits_what_is_asked_for(file: str) -> None:
    pins = locked(file)

    for requirement in (each for source in LOCKED[file] for each in asked(source)):
        pin = pins[canonicalize_name(requirement.name)]
        (exact,) = pin.specifier
        assert requirement.specifier.contains(exact.version), f"{requirement}, not {pin}"


@pytest.mark.parametrize("file", ["runtime.txt", "build.txt"])
def test_what_is_deployed_is_what_is_tested(file: str) -> None:
    tested = locked("dev.txt")

    assert {name: str(tested[name]) for name in locked(file)} == {
        name: str(pin) for name, pin in locked(file).items()
    }


def test_every_file_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "requirements").iterdir()} == set(LOCKED)
