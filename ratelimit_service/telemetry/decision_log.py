"""Every decision in the log, for who looks for the reason of one."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from ratelimit_service.core.judge import Decision
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.settlement import Amount
from ratelimit_service.telemetry.recorder import Recorder


class DecisionLog:
    """Logs each decision and failure at DEBUG, and passes everything on to a recorder.

    Wrap only where DEBUG is on: the lines cost more than the decisions.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

    def decided(self, domain: str, decision: Decision, seconds: float) -> None:
        """Log the codes and the rules that led to them."""
        self._log.debug(
            "decided",
            domain=domain,
            overall=decision.overall.value,
            statuses=[f"{status.title or '-'} {status.result}" for status in decision.statuses],
            seconds=round(seconds, 6),
        )
        self._recorder.decided(domain, decision, seconds)

    def reserved(self, domain: str, result: str, granted: Sequence[Amount], seconds: float) -> None:
        """Log the result and what was granted."""
        self._log.debug(
            "reserved",
            domain=domain,
            result=result,
            granted=[f"{amount.measure} {amount.amount}" for amount in granted],
            seconds=round(seconds, 6),
        )
        self._recorder.reserved(domain, result, granted, seconds)

    def settled(self, result: str, actuals: Sequence[Amount]) -> None:
        """Log the result."""
        self._log.debug("settled", result=result)
        self._recorder.settled(result, actuals)

    def extended(self, result: str, granted: Sequence[Amount]) -> None:
        """Log the result."""
        self._log.debug("extended", result=result)
        self._recorder.extended(result, granted)

    def anomaly(self, kind: str) -> None:
        """Pass it on."""
        self._recorder.anomaly(kind)

    def failed(self, domain: str, code: str) -> None:
        """Log the code."""
        self._log.debug("failed", domain=domain, code=code)
        self._recorder.failed(domain, code)

    def store_called(self, charges: int, seconds: float) -> None:
        """Pass it on."""
        self._recorder.store_called(charges, seconds)

    def store_failed(self, kind: str) -> None:
        """Pass it on."""
        self._recorder.store_failed(kind)

    def swept(self, found: int, ended: int) -> None:
        """Pass it on."""
        self._recorder.swept(found, ended)

    def rules_loaded(self, rules: RuleSet) -> None:
        """Pass it on."""
        self._recorder.rules_loaded(rules)

    def rules_rejected(self) -> None:
        """Pass it on."""
        self._recorder.rules_rejected()

    def ready_changed(self, *, ready: bool) -> None:
        """Pass it on."""
        self._recorder.ready_changed(ready=ready)
