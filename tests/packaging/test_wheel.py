"""The built wheel holds all that the service needs, and runs without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.clock import start_early_in_a_minute
from tests.support.service import Service

CHECKOUT: Final = Path(__file__).resolve().parents[2]
CALL: Final = json.dumps(
    {"domain": "demo", "descriptors": [{"entries": [{"key": "user", "value": "ann"}]}]}
)


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel in an environment of its own, and a folder far from the checkout."""

    wheel: Path
    python: Path
    program: Path
    folder: Path

    def run(self, *arguments: str) -> str:
        """Run the environment's Python, and return what it writes."""
        return _run(str(self.python), "-I", *arguments, folder=self.folder)


def _run(*command: str, folder: Path) -> str:
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    _run(*build, str(CHECKOUT), folder=folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    install = ("-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index")
    _run(sys.executable, *install, "--quiet", str(wheel), folder=folder)
    _lend_dependencies(environment)
    return Installed(wheel, python, environment / "bin" / "ratelimit-service", folder)


def _lend_dependencies(environment: Path) -> None:
    """Make the packages of this environment importable there, but not the checkout.

    The checkout is installed here by a .pth file, which a path from a .pth does not follow.
    """
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")


def test_the_wheel_holds_scripts_protocol_examples_and_generated_code(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())

    shipped = {
        "lua": {path.name for path in (CHECKOUT / "lua").glob("*.lua")},
        "proto/ratelimit_service/pb": {path.name for path in (CHECKOUT / "proto").rglob("*.proto")},
        "examples/rules": {
            path.name for path in (CHECKOUT / "deploy/examples/rules").glob("*.yaml")
        },
    }
    for folder, files in shipped.items():
        assert files
        assert {f"ratelimit_service/_shipped/{folder}/{file}" for file in files} <= names
    assert "ratelimit_service/pb/rls_pb2.py" in names
    assert "ratelimit_service/pb/rls_pb2_grpc.py" in names
    assert not any(name.startswith(("tests/", "docs/", "deploy/")) for name in names)


def test_what_runs_is_the_wheel(installed: Installed) -> None:
    script = (
        "import ratelimit_service, ratelimit_service.resources as r; "
        "print(ratelimit_service.__file__); print(r.example_rules())"
    )

    lines = installed.run("-c", script).splitlines()

    assert len(lines) == 2
    assert all(line.startswith(str(installed.folder)) for line in lines)


def test_every_script_is_found(installed: Installed) -> None:
    names = [path.stem for path in (CHECKOUT / "lua").glob("*.lua")]
    script = (
        "import sys; from ratelimit_service.resources import lua_script; "
        "sys.exit(not all(lua_script(name) for name in sys.argv[1:]))"
    )

    assert names
    installed.run("-c", script, *names)


def test_the_service_starts_from_the_wheel_and_refuses(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(installed.folder)
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        monkeypatch.delenv(name)
    with Service(command=(installed.program, "serve")) as service:
        start_early_in_a_minute()
        answers = [service.post_json(CALL).status for _ in range(4)]
        assert f"rules={installed.folder}" in service.output
        assert service.end() == 0

    assert answers == [200, 200, 200, 429]
