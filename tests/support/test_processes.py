"""Servers that tests start do not outlive them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Process, wait_until

STARTS_A_SERVER = """
import signal
from tests.support.valkey import Standalone
server = Standalone().start()
print(server.pid, server.folder, flush=True)
signal.pause()
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_a_server_ends_with_tests_that_are_killed() -> None:
    tests = subprocess.Popen([sys.executable, "-c", STARTS_A_SERVER], stdout=subprocess.PIPE)
    assert tests.stdout is not None
    pid, folder = tests.stdout.readline().decode().split()
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    tests.stdout.close()
    wait_until(lambda: not _runs(int(pid)), "the server has ended")
    shutil.rmtree(folder)


def test_a_process_that_ends_at_once_is_an_error_with_its_output() -> None:
    command = ["sh", "-c", "echo no such flag; exit 3"]
    with Process(command) as process, pytest.raises(RuntimeError, match="no such flag"):
        process.start(lambda: False)


def test_a_process_that_never_gets_ready_is_stopped() -> None:
    with Process(["sleep", "60"]) as process:
        with pytest.raises(TimeoutError):
            process.start(lambda: False, deadline_s=0.1)
        assert not process.running


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
