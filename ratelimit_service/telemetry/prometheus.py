"""Metrics for Prometheus. docs/operations.md lists them; a test holds the list true."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from ratelimit_service import __version__
from ratelimit_service.core.judge import Decision
from ratelimit_service.core.measures import STANDARD_MEASURES
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.core.settlement import Amount
from ratelimit_service.telemetry.tally import LATENCY_BUCKETS_S, MAX_RULES, OTHER, DecisionTally

CHARGES_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class PrometheusRecorder:
    """Counts what happens, in a registry of its own.

    Records on the event loop's thread only; ``registry`` may be read from any.
    ``max_rules`` bounds how many pairs of domain and rule have series of their own.
    """

    def __init__(self, max_rules: int = MAX_RULES) -> None:
        # One series more for each counter, which nobody reads. The library left it untyped.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        self._tally = DecisionTally(max_rules)
        self.registry.register(self._tally)
        ProcessCollector(registry=self.registry)
        self._errors = self._counter("errors", "Calls that ended with an error.", "domain", "code")
        self._reservations = self._counter(
            "reservations", "Calls that would reserve, by what became of them.", "domain", "result"
        )
        self._reservation_seconds = Histogram(
            "ratelimit_reservation_duration_seconds",
            "Time from asking for a reservation to its answer, in seconds.",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._reserved = self._counter("reserved_amount", "Amounts that were reserved.", "measure")
        self._settled = self._counter(
            "settled_amount", "Amounts that reservations were settled to.", "measure"
        )
        self._settlements = self._counter("settlements", "Reservations settled.", "result")
        self._extensions = self._counter("extensions", "Calls that would extend.", "result")
        self._anomalies = self._counter("anomalies", "What should never be.", "kind")
        self._store_seconds = Histogram(
            "ratelimit_store_call_duration_seconds",
            "Time of script calls that were answered, in seconds.",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._store_charges = Histogram(
            "ratelimit_store_call_charges",
            "Charges that went together in one script call.",
            buckets=CHARGES_BUCKETS,
            registry=self.registry,
        )
        self._store_failures = self._counter("store_failures", "Script calls that failed.", "kind")
        self._swept = self._counter(
            "swept_reservations", "Reservations that were left undone, as found.", "result"
        )
        self._loads = self._counter("rule_loads", "Times that new rules were found.", "result")
        self._loaded, self._rejected = self._loads.labels("ok"), self._loads.labels("failed")
        self._rules = self._gauge("rules", "Rules in force.")
        self._loaded_at = self._gauge(
            "rules_loaded_timestamp_seconds", "When the rules in force were loaded."
        )
        self._ready = self._gauge("ready", "1 while the service can decide, else 0.")
        self._gauge("build_info", "Always 1; what is running.", "version", "python_version").labels(
            __version__, platform.python_version()
        ).set(1)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"ratelimit_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"ratelimit_{name}", help_text, labels, registry=self.registry)

    def decided(self, domain: str, decision: Decision, seconds: float) -> None:
        """Count each descriptor by its rule and result, and the call by its code."""
        self._tally.add(domain, decision, seconds)

    def reserved(self, domain: str, result: str, granted: Sequence[Amount], seconds: float) -> None:
        """Count a call that would reserve, and what it reserved."""
        self._reservations.labels(self._tally.domain(domain), result).inc()
        self._reservation_seconds.observe(seconds)
        _add(self._reserved, granted)

    def settled(self, result: str, actuals: Sequence[Amount]) -> None:
        """Count a settlement, and what was used."""
        self._settlements.labels(result).inc()
        _add(self._settled, actuals)

    def extended(self, result: str, granted: Sequence[Amount]) -> None:
        """Count a call that would extend, and what it reserved more."""
        self._extensions.labels(result).inc()
        _add(self._reserved, granted)

    def anomaly(self, kind: str) -> None:
        """Count what should never be."""
        self._anomalies.labels(kind).inc()

    def failed(self, domain: str, code: str) -> None:
        """Count a call that ended with an error."""
        self._errors.labels(self._tally.domain(domain), code).inc()

    def store_called(self, charges: int, seconds: float) -> None:
        """Count a script call that was answered."""
        self._store_charges.observe(charges)
        self._store_seconds.observe(seconds)

    def store_failed(self, kind: str) -> None:
        """Count a script call that failed."""
        self._store_failures.labels(kind).inc()

    def swept(self, found: int, ended: int) -> None:
        """Count reservations that were left undone."""
        self._swept.labels("ended").inc(ended)
        self._swept.labels("left").inc(found - ended)

    def rules_loaded(self, rules: RuleSet) -> None:
        """Count a load, and learn which domains and rules may have series of their own."""
        self._tally.expect(rules)
        self._rules.set(sum(1 for _ in rules.rules()))
        self._loaded_at.set_to_current_time()
        self._loaded.inc()

    def rules_rejected(self) -> None:
        """Count a load that failed."""
        self._rejected.inc()

    def ready_changed(self, *, ready: bool) -> None:
        """Show whether the service can decide."""
        self._ready.set(ready)


def _add(counter: Counter, amounts: Sequence[Amount]) -> None:
    """Count amounts by measure; callers could name any number of measures."""
    for amount in amounts:
        known = amount.measure in STANDARD_MEASURES
        counter.labels(amount.measure if known else OTHER).inc(amount.amount)
