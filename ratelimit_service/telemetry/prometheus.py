"""Metrics for Prometheus. docs/operations.md lists them; a test holds the list true."""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from ratelimit_service import __version__
from ratelimit_service.core.judge import Decision
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.telemetry.tally import LATENCY_BUCKETS_S, MAX_RULES, DecisionTally

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
