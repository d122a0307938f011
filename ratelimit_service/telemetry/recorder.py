"""What the service reports of itself, whoever listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ratelimit_service.core.judge import Decision
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.settlement import Amount


class Recorder(Protocol):
    """Receives what happened. No method may raise or block."""

    def decided(self, domain: str, decision: Decision, seconds: float) -> None:
        """Note that a call was decided, ``seconds`` after it was asked."""

    def reserved(self, domain: str, result: str, granted: Sequence[Amount], seconds: float) -> None:
        """Note what became of a call that would reserve, and what it reserved.

        ``result`` is a short word: granted, repeated, dry_run, or why it was refused.
        """

    def settled(self, result: str, actuals: Sequence[Amount]) -> None:
        """Note a settlement: in_time, late or repeated, and what was used."""

    def extended(self, result: str, granted: Sequence[Amount]) -> None:
        """Note what became of a call that would extend, and what it reserved more."""

    def anomaly(self, kind: str) -> None:
        """Note what should never be; ``kind`` is a short word for it."""

    def failed(self, domain: str, code: str) -> None:
        """Note that a call ended with an error; ``code`` is the name of a gRPC status."""

    def store_called(self, charges: int, seconds: float) -> None:
        """Note a script call that was answered, and how many charges it carried."""

    def store_failed(self, kind: str) -> None:
        """Note a script call that failed; ``kind`` is a short word for the reason."""

    def swept(self, found: int, ended: int) -> None:
        """Note reservations that were left undone, and how many of them were now ended."""

    def rules_loaded(self, rules: RuleSet) -> None:
        """Note that a set of rules came into force."""

    def rules_rejected(self) -> None:
        """Note that rules were found that cannot come into force."""

    def ready_changed(self, *, ready: bool) -> None:
        """Note that the service can decide from now on, or cannot any more."""


class NullRecorder:
    """Listens to nothing."""

    def decided(self, domain: str, decision: Decision, seconds: float) -> None:
        """Drop it."""

    def reserved(self, domain: str, result: str, granted: Sequence[Amount], seconds: float) -> None:
        """Drop it."""

    def settled(self, result: str, actuals: Sequence[Amount]) -> None:
        """Drop it."""

    def extended(self, result: str, granted: Sequence[Amount]) -> None:
        """Drop it."""

    def anomaly(self, kind: str) -> None:
        """Drop it."""

    def failed(self, domain: str, code: str) -> None:
        """Drop it."""

    def store_called(self, charges: int, seconds: float) -> None:
        """Drop it."""

    def store_failed(self, kind: str) -> None:
        """Drop it."""

    def swept(self, found: int, ended: int) -> None:
        """Drop it."""

    def rules_loaded(self, rules: RuleSet) -> None:
        """Drop it."""

    def rules_rejected(self) -> None:
        """Drop it."""

    def ready_changed(self, *, ready: bool) -> None:
        """Drop it."""
