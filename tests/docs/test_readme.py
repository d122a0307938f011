"""The README's commands are run as they stand, but for ports that are free."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.clock import start_early_in_a_minute
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.service import Service

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run(script: str, service: Service) -> str:
    """Run a block of the README against a service, and return what it prints."""
    script = script.replace("localhost:8080", str(service.http_address))
    script = script.replace("localhost:8081", str(service.grpc_address))
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)  # noqa: PLW1510 - shown below
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fourth_call_is_refused_as_the_readme_shows() -> None:
    ask, promised = blocks("bash")[0], blocks("text")[0]
    with Service() as service:
        start_early_in_a_minute()
        assert run(ask, service) == promised


def test_the_service_answers_by_reflection() -> None:
    with Service() as service:
        printed = run(blocks("bash")[1], service)
    assert '"overallCode": "OK"' in printed
    assert '"requestsPerUnit": 3' in printed


def test_explain_names_the_rule_and_its_place() -> None:
    with Service() as service:
        printed = run(blocks("bash")[2], service)
    assert "deploy/examples/rules/" in printed
    assert "3 per minute" in printed


def test_make_run_serves_the_examples() -> None:
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("grpc", "http", "admin")}
    flags = " ".join(f"--{name}-address={address}" for name, address in addresses.items())
    command = ["make", "--directory", str(ROOT), "run", f"ARGS={flags}"]
    with Process(command) as make:
        make.start(lambda: "listening" in make.output)
        assert addresses["grpc"] in make.output
