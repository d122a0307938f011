from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ratelimit_service.core.judge import Code, Decision, Result, Status
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Node, Rule, RuleSet
from ratelimit_service.core.settlement import Amount
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import Place
from ratelimit_service.telemetry.prometheus import PrometheusRecorder

OPERATIONS: Final = Path(__file__).parents[2] / "docs" / "operations.md"


def _rule(title: str, *, detailed: bool = False) -> Node:
    place, limit = Place("rules.yaml", 1, 1), Limit.per(5, Unit.MINUTE)
    return Node(rule=Rule(title, place, (limit,), detailed_metric=detailed))


def _rules(*nodes: Node, domain: str = "shop") -> RuleSet:
    return RuleSet({domain: Node(by_key={str(at): node for at, node in enumerate(nodes)})})


def _decision(*titles: str, result: Result = Result.WITHIN) -> Decision:
    code = Code.OVER_LIMIT if result is Result.OVER else Code.OK
    return Decision(code, tuple(Status(code, result, title) for title in titles))


def _value(recorder: PrometheusRecorder, name: str, **labels: str) -> float | None:
    return recorder.registry.get_sample_value(name, labels)


def _decided(recorder: PrometheusRecorder, rule: str, **labels: str) -> float | None:
    asked = {"domain": "shop", "result": "within"} | labels
    return _value(recorder, "ratelimit_decisions_total", rule=rule, **asked)


def test_counts_each_descriptor_by_rule_and_result_and_the_call_by_code() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user"), _rule("shop.path")))
    recorder.decided("shop", _decision("shop.user", "shop.path", "shop.user"), 0.004)
    recorder.decided("shop", _decision("shop.user", result=Result.OVER), 0.004)
    assert _decided(recorder, "shop.user") == 2
    assert _decided(recorder, "shop.path") == 1
    assert _decided(recorder, "shop.user", result="over") == 1
    assert _value(recorder, "ratelimit_calls_total", domain="shop", code="OK") == 1
    assert _value(recorder, "ratelimit_calls_total", domain="shop", code="OVER_LIMIT") == 1


@pytest.mark.parametrize(
    ("seconds", "below", "first"), [(0.004, "0.002", "0.005"), (0.005, "0.002", "0.005")]
)
def test_a_latency_falls_into_the_bucket_whose_bound_it_does_not_pass(
    seconds: float, below: str, first: str
) -> None:
    recorder = PrometheusRecorder()
    recorder.decided("shop", _decision(""), seconds)
    name = "ratelimit_decision_duration_seconds"
    assert _value(recorder, f"{name}_bucket", le=below) == 0
    assert _value(recorder, f"{name}_bucket", le=first) == 1
    assert _value(recorder, f"{name}_bucket", le="+Inf") == 1
    assert _value(recorder, f"{name}_sum") == seconds


def test_descriptors_that_no_rule_matches_are_visible_f46() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    recorder.decided("shop", _decision("", result=Result.UNMATCHED), 0.001)
    assert _decided(recorder, "", result="unmatched") == 1


def test_a_rule_that_was_never_enforced_is_visible_at_zero_f46() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user"), _rule("shop.detailed", detailed=True)))
    assert _decided(recorder, "shop.user") == 0
    assert _decided(recorder, "shop.detailed") is None


def test_rules_beyond_the_bound_are_folded_and_counted_f54() -> None:
    recorder = PrometheusRecorder(max_rules=3)
    recorder.rules_loaded(_rules(_rule("shop.user"), _rule("shop.user", detailed=True)))
    for at in range(10):
        recorder.decided("shop", _decision(f"shop.user_{at}"), 0.001)
    assert _decided(recorder, "shop.user_1") == 1
    assert _decided(recorder, "shop.user_2") is None
    assert _decided(recorder, "other") == 8
    assert _value(recorder, "ratelimit_folded_decisions_total") == 8


def test_a_million_domains_of_callers_make_one_series_f54() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    for at in range(1_000):
        recorder.decided(f"guess{at}", _decision("", result=Result.UNMATCHED), 0.001)
        recorder.failed(f"guess{at}", "INVALID_ARGUMENT")
    unknown = {"domain": "unknown"}
    assert _decided(recorder, "", result="unmatched", **unknown) == 1_000
    assert _value(recorder, "ratelimit_calls_total", code="OK", **unknown) == 1_000
    assert _value(recorder, "ratelimit_errors_total", code="INVALID_ARGUMENT", **unknown) == 1_000
    assert "guess" not in generate_latest(recorder.registry).decode()


@pytest.mark.parametrize("title", ["shop.user_" + "x" * 300, "shop.user_\ud800"])
def test_a_name_that_would_spoil_the_answer_is_folded(title: str) -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    recorder.decided("shop", _decision(title), 0.001)
    assert _decided(recorder, "other") == 1
    generate_latest(recorder.registry)


def test_a_value_with_quotes_and_line_ends_stays_one_label() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    title = 'shop.user_"}\nforged 1\n\\'
    recorder.decided("shop", _decision(title), 0.001)
    families = {
        family.name: family
        for family in text_string_to_metric_families(generate_latest(recorder.registry).decode())
    }
    assert "forged" not in families
    rules = [sample.labels["rule"] for sample in families["ratelimit_decisions"].samples]
    assert title in rules


def test_what_was_counted_stays_when_the_rules_change() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    recorder.decided("shop", _decision("shop.user"), 0.001)
    recorder.rules_loaded(_rules(_rule("bank.user"), domain="bank"))
    recorder.decided("bank", _decision("bank.user"), 0.001)
    assert _decided(recorder, "shop.user") == 1
    assert _decided(recorder, "bank.user", domain="bank") == 1
    assert _value(recorder, "ratelimit_rules") == 1
    assert _value(recorder, "ratelimit_rule_loads_total", result="ok") == 2


def test_two_recorders_share_nothing() -> None:
    first, second = PrometheusRecorder(), PrometheusRecorder()
    first.store_failed("timeout")
    assert _value(second, "ratelimit_store_failures_total", kind="timeout") is None


def test_a_title_means_the_rule_that_matching_names() -> None:
    """The zero of a rule and the count of its first decision are one series."""
    rules = _rules(_rule("shop.0"))
    recorder = PrometheusRecorder()
    recorder.rules_loaded(rules)
    match = rules.match("shop", (Entry("0", "a"),))
    assert match is not None
    recorder.decided("shop", _decision(match.title), 0.001)
    assert _decided(recorder, "shop.0") == 1


def test_reservations_are_counted_with_what_they_hold() -> None:
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    recorder.reserved("shop", "granted", (Amount("tokens", 9), Amount("pages", 2)), 0.004)
    recorder.extended("topped_up", (Amount("tokens", 3),))
    recorder.settled("late", (Amount("tokens", 4),))
    assert _value(recorder, "ratelimit_reservations_total", domain="shop", result="granted") == 1
    assert _value(recorder, "ratelimit_reserved_amount_total", measure="tokens") == 12
    assert _value(recorder, "ratelimit_settled_amount_total", measure="tokens") == 4
    assert _value(recorder, "ratelimit_settlements_total", result="late") == 1


def test_measures_and_domains_of_callers_make_one_series_f54() -> None:
    recorder = PrometheusRecorder()
    for number in range(100):
        granted = (Amount(f"m{number}", 1),)
        recorder.reserved(f"domain {number}", "granted", granted, 0.001)
    assert _value(recorder, "ratelimit_reserved_amount_total", measure="other") == 100
    labels = {"domain": "unknown", "result": "granted"}
    assert _value(recorder, "ratelimit_reservations_total", **labels) == 100


def test_the_documented_metrics_are_those_that_are_served() -> None:
    assert _served(_busy_recorder().registry) == _documented()


def _busy_recorder() -> PrometheusRecorder:
    """Everything has happened once, since metrics without a sample show no labels."""
    recorder = PrometheusRecorder()
    recorder.rules_loaded(_rules(_rule("shop.user")))
    recorder.rules_rejected()
    recorder.ready_changed(ready=True)
    recorder.decided("shop", _decision("shop.user"), 0.001)
    recorder.failed("shop", "UNAVAILABLE")
    recorder.reserved("shop", "granted", (Amount("tokens", 9),), 0.001)
    recorder.settled("in_time", (Amount("tokens", 4),))
    recorder.extended("renewed", ())
    recorder.swept(2, 1)
    recorder.anomaly("refund_below_zero")
    recorder.store_called(2, 0.001)
    recorder.store_failed("timeout")
    return recorder


def _served(registry: CollectorRegistry) -> dict[str, tuple[str, frozenset[str]]]:
    return {_exposed_name(family): _shape(family) for family in registry.collect()}


def _exposed_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _shape(family: Metric) -> tuple[str, frozenset[str]]:
    labels = {label for sample in family.samples for label in sample.labels}
    return family.type, frozenset(labels - {"le"})


def _documented() -> dict[str, tuple[str, frozenset[str]]]:
    section = OPERATIONS.read_text(encoding="utf-8").split("## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
