"""docs/envoy.md and docs/deploy.md show what the tests run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deploy.settings import DEPLOY
from tests.support.envoy import CONFIGS, ENVOY
from tests.support.service import PROGRAM

REPOSITORY = DEPLOY.parent
PAGES = [REPOSITORY / "docs" / name for name in ("envoy.md", "deploy.md")]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def _commands(program: str) -> list[str]:
    lines = [line for page in PAGES for block in _blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.split()[0] == program]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configurations_shown_are_cut_from_the_files(page: Path) -> None:
    shipped = [path.read_text() for path in DEPLOY.rglob("*.yaml")]

    for block in _blocks(page, "yaml"):
        assert any(block in text for text in shipped), block


def test_the_local_trial_makes_a_configuration_that_envoy_accepts(tmp_path: Path) -> None:
    (command,) = _commands("sed")
    made = tmp_path / "envoy.yaml"
    placed = command.replace("/tmp/envoy.yaml", str(made))  # noqa: S108 - the reader's, not ours

    subprocess.run(placed, shell=True, cwd=REPOSITORY, check=True)  # noqa: S602 - a line of our docs

    text = made.read_text()
    assert text.count("socket_address: {address: 127.0.0.1, port_value:") == 3
    subprocess.run(
        [ENVOY, "--mode", "validate", "--use-dynamic-base-id", "-c", made],
        check=True,
        capture_output=True,
    )


def test_the_calls_to_try_are_those_of_the_compose_file() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()

    assert len(set(_commands("for"))) == 1
    for line in {*_commands("for"), "docker compose up --build --wait"}:
        assert f"#   {line}\n" in compose


def test_explain_says_what_the_page_promises() -> None:
    page = (REPOSITORY / "docs" / "envoy.md").read_text()
    (command,) = re.findall(r"`ratelimit-service (explain [^`]+)`", page)

    done = subprocess.run(
        [PROGRAM, *shlex.split(command)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert "demo.user" in done.stdout


def test_the_secret_is_made_as_the_manifest_says() -> None:
    (command,) = [line for line in _commands("kubectl") if "secret" in line]

    assert command in (DEPLOY / "kubernetes" / "deployment.yaml").read_text()


def test_every_configuration_has_its_row() -> None:
    page = (REPOSITORY / "docs" / "envoy.md").read_text()
    shipped = {path.name for path in CONFIGS.glob("*.yaml")} - {"upstream.yaml"}

    assert set(re.findall(r"^\| \[`(\w+\.yaml)`\]", page, re.MULTILINE)) == shipped
