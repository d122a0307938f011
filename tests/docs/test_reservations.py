"""What the page on reservations shows is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ratelimit_service.config.load import load_rules
from ratelimit_service.config.settings import RulesSettings
from tests.support.service import Service

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "reservations.md", DOCS / "algorithms.md"]


def _blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_example_does_what_the_page_says(tmp_path: Path) -> None:
    (rules,), (program,) = (_blocks(PAGES[0], language) for language in ("yaml", "python"))
    path = tmp_path / "rules.yaml"
    path.write_text(rules, encoding="utf-8")
    with Service(path) as service:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "RATELIMIT_TARGET": str(service.grpc_address),
                "PYTHONPATH": str(DOCS.parent),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 50
    admitted = [line for line in lines if line.startswith("200 ")]
    assert 40 <= len(admitted) <= 42  # forty fit, as the page says, and the bucket drains
    assert lines[-1].startswith('429 {"type":"about:blank"')
    assert '"limit_name":"tph"' in lines[-1]


@pytest.mark.parametrize("number", range(7))
def test_limits_shown_are_limits(tmp_path: Path, number: int) -> None:
    shown = _blocks(PAGES[1], "yaml")
    assert len(shown) == 7
    path = tmp_path / "rules.yaml"
    limits = "".join(f"    {line}\n" for line in shown[number].splitlines())
    path.write_text(f"domain: d\ndescriptors:\n  - key: k\n{limits}", encoding="utf-8")
    assert load_rules(RulesSettings(path)).domains
