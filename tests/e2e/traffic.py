"""Callers that do not stop while something happens to the service."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from tests.support.envoy import Answer
from tests.support.processes import wait_until

# Enough to leave the machine to the service that starts meanwhile.
_BETWEEN_CALLS_S: Final = 0.005


class Traffic:
    """Repeats a call from some threads while the ``with`` block runs."""

    def __init__(self, call: Callable[[], Answer], callers: int = 2) -> None:
        self._call = call
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._statuses: Counter[int] = Counter()
        self._threads = [threading.Thread(target=self._run) for _ in range(callers)]

    @property
    def statuses(self) -> Counter[int]:
        """How many answers had each HTTP status so far."""
        with self._lock:
            return self._statuses.copy()

    def flow(self, calls: int = 20) -> None:
        """Return when so many calls more are answered."""
        aim = self.statuses.total() + calls
        wait_until(lambda: self.statuses.total() >= aim, f"{calls} calls more")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.flow()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_BETWEEN_CALLS_S):
            answer = self._call()
            with self._lock:
                self._statuses[answer.status] += 1
