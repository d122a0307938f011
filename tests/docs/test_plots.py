"""The pictures of the documentation show what the code does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PLOTS = DOCS / "plots"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plots")
    subprocess.run(
        [sys.executable, PLOTS / "plot.py", folder],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
    )
    return folder


def _read(path: Path) -> Element:
    return fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - the project's own file


def test_the_plots_are_those_that_the_script_draws(drawn: Path) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in PLOTS.glob("*.svg")}
    assert kept == {path.name: path.read_text(encoding="utf-8") for path in drawn.glob("*.svg")}


def test_every_plot_is_shown_and_says_what_it_is(drawn: Path) -> None:
    page = (DOCS / "algorithms.md").read_text(encoding="utf-8")
    for path in drawn.glob("*.svg"):
        assert f"](plots/{path.name})" in page
        assert _read(path).findtext(f"{SVG}title")


@pytest.mark.parametrize(
    ("name", "admitted"),
    [("fixed_window", 26), ("first_hit", 17), ("lifetime", 10)],
)
def test_a_plot_shows_each_call_that_was_admitted(drawn: Path, name: str, admitted: int) -> None:
    assert len(_read(drawn / f"{name}.svg").findall(f"{SVG}circle")) == admitted
