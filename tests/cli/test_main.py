"""The program's help, version and exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ratelimit_service import __version__
from ratelimit_service.cli import main
from tests.support.service import PROGRAM


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_help_names_every_command() -> None:
    ended = run("--help")

    assert ended.returncode == 0
    assert all(name in ended.stdout for name in ("serve", "check-config", "explain"))


@pytest.mark.parametrize("command", ["serve", "check-config", "explain"])
def test_every_command_has_help(command: str) -> None:
    ended = run(command, "--help")

    assert ended.returncode == 0
    assert ended.stdout.startswith(f"usage: ratelimit-service {command}")


def test_help_of_serve_names_every_flag_with_its_default() -> None:
    text = " ".join(run("serve", "--help").stdout.split())

    for flag in ("--config", "--store", "--grpc-address", "--http-address", "--admin-address"):
        assert f"{flag} " in text
    for default in ("0.0.0.0:8081", "0.0.0.0:8080", "127.0.0.1:6070", "memory://"):
        assert default in text


def test_version() -> None:
    assert run("--version").stdout == f"ratelimit-service {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["serve", "--unknown"], ["serve", "extra"]])
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: ratelimit-service" in capsys.readouterr().err


def test_looking_at_rules_does_not_wait_for_what_only_serving_needs() -> None:
    """Half a second of imports would show in every use of check-config."""
    script = (
        "import sys, ratelimit_service.cli as c; "
        "heavy = {'grpc', 'aiohttp', 'redis', 'uvloop', 'prometheus_client'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == 0, ended.stderr
