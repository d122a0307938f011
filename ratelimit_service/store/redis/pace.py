"""How many operations to gather into one call: as many as will come in a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FIRST_TRIAL: Final = 4
_RAREST_TRIAL: Final = 64


@dataclass(slots=True)
class Pace:
    """Expects of the next call what the last one carried, and tries now and then for more.

    A call costs the processor as much as several operations, so that a busy service wants few
    of them. But callers who all wait for their answers send nothing more until they have them,
    and waiting for a fixed time would slow them down: a trial that brings nothing makes the
    next one rarer, and where less comes than was expected, less is expected soon.
    """

    _expected: int = 1
    _calls: int = 0
    _next_trial: int = _FIRST_TRIAL

    @property
    def target(self) -> int:
        """How many operations are worth waiting for, a moment at most; 1 waits for nobody."""
        return 2 * self._expected if self._on_trial else self._expected

    def sent(self, operations: int) -> None:
        """Note how many operations the call carried."""
        if not self._on_trial:
            self._calls += 1
        else:
            self._calls = 0
            grew = operations > self._expected
            self._next_trial = _FIRST_TRIAL if grew else min(2 * self._next_trial, _RAREST_TRIAL)
        # Falls by a quarter at most: operations come unevenly, and one lean call says little.
        self._expected = max(operations, self._expected * 3 // 4)

    @property
    def _on_trial(self) -> bool:
        # One alone is not kept waiting: others show themselves by coming during its call.
        return self._expected > 1 and self._calls >= self._next_trial
