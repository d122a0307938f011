"""Servers that tests start as processes of their own, and always stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_POLL_S: Final = 0.02


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 20.0) -> None:
    """Return when the condition holds; fail with ``what`` when it does not in time."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {deadline_s:g} s still not: {what}")
        time.sleep(_POLL_S)


class Process:
    """A command whose output goes to a file, and that does not outlive these tests."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment`` is added to that of the tests."""
        self.command = tuple(command)
        self._environment = {**os.environ, "LC_ALL": "C", **(environment or {})}
        self._popen: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="process-"))
        self._log = self._folder / "output"
        self._log.touch()

    @property
    def pid(self) -> int:
        """The process id; the process must have been started."""
        return self._started.pid

    @property
    def output(self) -> str:
        """What all runs of the process have written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """Whether the process lives. A paused process lives."""
        return self._popen is not None and self._popen.poll() is None

    def start(self, ready: Callable[[], bool], deadline_s: float = 20.0) -> None:
        """Start, and return when ``ready`` holds."""
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*_tied_to_us(), *self.command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: not self.running or ready(), "ready", deadline_s)
        except TimeoutError as error:
            self.kill()
            raise TimeoutError(f"{self.command}: {error}\n{self.output}") from error
        if not self.running:
            raise RuntimeError(f"{self.command} ended at once:\n{self.output}")

    def wait(self, deadline_s: float = 20.0) -> int:
        """Wait for the end of the process and return its exit code."""
        return self._started.wait(deadline_s)

    def terminate(self) -> None:
        """Ask the process to end."""
        self._started.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self.running:
            self._started.kill()
            self._started.wait()

    def pause(self) -> None:
        """Stall the process: its connections stay open and nothing answers."""
        self._started.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._started.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the process, politely at first. Nothing happens when it has ended."""
        if not self.running:
            return
        self.resume()
        self.terminate()
        try:
            self.wait(deadline_s=10.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError(f"{self.command} was never started")
        return self._popen


def _tied_to_us() -> Sequence[str]:
    """Make the kernel end the process when these tests die."""
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL")
