"""The image: what cannot be built here is at least held to what is in the repository."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass

import pytest

from tests.deploy.settings import DEPLOY, ports, read_settings
from tests.support.service import Service

REPOSITORY = DEPLOY.parent


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, its lines joined. ``stage`` counts from 0."""

    stage: int
    name: str
    rest: str


def _instructions() -> tuple[Instruction, ...]:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found, stage = [], -1
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            stage += name == "FROM"
            found.append(Instruction(stage, name, " ".join(rest.split())))
    return tuple(found)


INSTRUCTIONS = _instructions()


def _final(name: str) -> str:
    """Return an instruction of the last stage."""
    last = INSTRUCTIONS[-1].stage
    (found,) = [each.rest for each in INSTRUCTIONS if (each.stage, each.name) == (last, name)]
    return found


def _copied() -> list[str]:
    copies = [each.rest.split() for each in INSTRUCTIONS if each.name == "COPY"]
    return [path for words in copies if "--from=build" not in words for path in words[:-1]]


@pytest.mark.parametrize("path", _copied())
def test_what_is_copied_exists_and_is_sent_to_the_builder(path: str) -> None:
    allowed = (REPOSITORY / ".dockerignore").read_text().splitlines()

    assert (REPOSITORY / path).exists()
    assert f"!{path}" in allowed


def test_all_that_goes_into_the_wheel_is_copied() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]

    assert {*wheel, "pyproject.toml", project["project"]["readme"]} <= set(_copied())


def test_everything_from_an_index_is_checked_against_hashes() -> None:
    runs = " && ".join(each.rest for each in INSTRUCTIONS if each.name == "RUN")
    steps = [step.split() for step in runs.split(" && ")]
    installs = [step for step in steps if "pip" in step[0] or "install" in step]

    assert len(installs) == 4
    for step in installs:
        assert "--require-hashes" in step or "--no-deps" in step
    for name in [word for step in installs for word in step if word.endswith(".txt")]:
        assert "--hash=sha256:" in (REPOSITORY / name).read_text()


def test_both_stages_have_the_same_python() -> None:
    bases = {each.rest.split()[0] for each in INSTRUCTIONS if each.name == "FROM"}

    (base,) = bases
    assert ":" in base
    assert not base.endswith(":latest")


def test_it_does_not_run_as_root() -> None:
    user, group = _final("USER").split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_it_starts_without_a_shell_and_serves_on_the_exposed_ports() -> None:
    program: list[str] = json.loads(_final("ENTRYPOINT"))
    command: list[str] = json.loads(_final("CMD"))
    pairs = (part.partition("=") for part in _final("ENV").split())
    environment = {name: value for name, _, value in pairs}
    own = {name: value for name, value in environment.items() if "PYTHON" not in name}
    path = own.pop("PATH")

    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert program == list(scripts)
    assert path.startswith("/opt/ratelimit/bin:")
    settings = read_settings(command, own)
    assert ports(settings) == {int(port) for port in _final("EXPOSE").split()}


def test_the_health_check_tells_a_service_that_runs_from_none() -> None:
    command: list[str] = json.loads(_final("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"

    with Service() as service:
        address = str(service.http_address)
        check = [sys.executable, *(part.replace("127.0.0.1:8080", address) for part in command[1:])]
        healthy = subprocess.run(check, capture_output=True, check=False)
    gone = subprocess.run(check, capture_output=True, check=False)

    assert (healthy.returncode, gone.returncode) == (0, 1)
