"""What a first start prints works as it is printed."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratelimit_service.resources import example_rules
from tests.support.clock import start_early_in_a_minute
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.service import PROGRAM, Service


class Terminal:
    """Runs a command on a terminal of its own, and reads what it shows."""

    def __init__(self, *command: str) -> None:
        ours, theirs = pty.openpty()
        self._shown = bytearray()
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._reading = threading.Thread(target=self._read, args=(ours,))
        self._reading.start()

    @property
    def shown(self) -> str:
        return self._shown.decode().replace("\r\n", "\n")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._reading.join()

    def _read(self, ours: int) -> None:
        with open(ours, "rb", buffering=0) as terminal:
            while True:
                try:
                    chunk = terminal.read(4096)
                except OSError:
                    return
                if not chunk:
                    return
                self._shown += chunk


@contextmanager
def on_a_terminal() -> Iterator[Terminal]:
    addresses = [f"--{name}-address=127.0.0.1:{free_port()}" for name in ("grpc", "http", "admin")]
    terminal = Terminal(str(PROGRAM), "serve", *addresses)
    try:
        yield terminal
    finally:
        terminal.stop()


def shell(command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed commands use curl")
def test_the_printed_commands_work() -> None:
    with on_a_terminal() as terminal:
        wait_until(lambda: "Ctrl-C" in terminal.shown, "the text")
        wait_until(lambda: "the store answers" in terminal.shown, "ready")
        start_early_in_a_minute()
        commands = re.findall(r"^    (\S.*)$", terminal.shown, re.MULTILINE)
        four_calls, over_grpc, rules, metrics = (shell(command) for command in commands)

    assert [line[-3:] for line in four_calls.splitlines()] == ["200", "200", "200", "429"]
    assert json.loads(over_grpc)["overallCode"] == "OVER_LIMIT"
    assert "demo.user" in rules
    assert "ratelimit_decisions_total" in metrics


@pytest.mark.parametrize(
    ("rules", "environment", "printed"),
    [
        (None, {}, True),
        (None, {"LOG_FORMAT": "json"}, False),
        (example_rules() / "demo.yaml", {}, False),
    ],
)
def test_who_serves_the_examples_is_told_what_to_try(
    rules: Path | None, environment: Mapping[str, str], *, printed: bool
) -> None:
    with Service(rules, environment=environment) as service:
        service.end()

        assert ("Try next" in service.output) is printed
