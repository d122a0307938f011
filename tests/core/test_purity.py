"""The core decides; it does not look at clocks, files, sockets or the environment.

import-linter says the same of modules; this also sees calls that need no import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ratelimit_service.core

ALLOWED_MODULES = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "difflib",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "typing",
}
ALLOWED_PACKAGES = ("ratelimit_service.core", "ratelimit_service.errors")
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "globals"}

FILES = sorted(Path(ratelimit_service.core.__path__[0]).rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def _is_pure(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in ALLOWED_MODULES or module.startswith(
        ALLOWED_PACKAGES
    )


def _impurities(source: str) -> list[str]:
    tree = ast.parse(source)
    imports = [module for module in _imports(tree) if not _is_pure(module)]
    calls = [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in IMPURE_CALLS
    ]
    waits = [
        type(node).__name__
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global | ast.Nonlocal)
    ]
    return imports + calls + waits


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    assert _impurities(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", ["time"]),
        ("from os import environ", ["os"]),
        ("import ratelimit_service.store.base", ["ratelimit_service.store.base"]),
        ("from ..store import base", ["..store"]),
        ("open('f')", ["open"]),
        ("async def f():\n    await g()", ["AsyncFunctionDef", "Await"]),
        ("from math import ceil\nceil(1)", []),
    ],
)
def test_the_check_finds_what_is_impure(source: str, found: list[str]) -> None:
    assert _impurities(source) == found


def test_every_file_is_looked_at() -> None:
    assert {"plan.py", "judge.py", "rules.py"} <= {path.name for path in FILES}
