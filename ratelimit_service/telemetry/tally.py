"""Counts of decisions, kept as plain integers and made into metrics when somebody asks.

Every decision is counted, so counting must cost little: a dictionary of integers takes a
third of the time of the library's counters. How many series there can be is bounded here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ratelimit_service.core.judge import Code, Decision, Result
from ratelimit_service.core.rules import Node, RuleSet

UNKNOWN: Final = "unknown"
"""Stands for every domain that no rule file names; callers could send any number of them."""

OTHER: Final = "other"
"""Stands for the rules beyond the bound on series."""

MAX_RULES: Final = 10_000
"""How many pairs of domain and rule are told apart."""

MAX_TITLE: Final = 200
"""Rules whose name, with callers' values in it, is longer in characters go to OTHER."""

LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
"""Upper bounds in seconds; 20 ms is how long Envoy waits when nobody tells it otherwise."""


class DecisionTally(Collector):
    """Counts decisions by domain, rule and result, calls by code, and how long they took."""

    def __init__(self, max_rules: int = MAX_RULES) -> None:
        self._max_rules = max_rules
        self._domains: frozenset[str] = frozenset()
        self._rules: set[tuple[str, str]] = set()
        self._decisions: dict[tuple[str, str, str], int] = {}
        self._calls: dict[tuple[str, str], int] = {}
        self._folded = 0
        self._buckets = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._seconds = 0.0

    def expect(self, rules: RuleSet) -> None:
        """Tell the domains of these rules apart, and show each rule at zero from now on.

        A rule that stays at zero was never enforced. Rules that are named after callers'
        values appear with their first decision.
        """
        self._domains = frozenset(rules.domains)
        for domain, root in rules.domains.items():
            for title in _fixed_titles(root):
                rule = self._rule(domain, title)
                self._decisions.setdefault((domain, rule, Result.WITHIN), 0)

    def domain(self, domain: str) -> str:
        """Return the domain if a rule file names it, else what stands for all others."""
        return domain if domain in self._domains else UNKNOWN

    def add(self, domain: str, decision: Decision, seconds: float) -> None:
        """Count one decided call."""
        decisions = self._decisions
        for status in decision.statuses:
            key = (domain, status.title, status.result)
            try:
                decisions[key] += 1
            except KeyError:
                self._add_unseen(*key)
        call = (domain, decision.overall)
        try:
            self._calls[call] += 1
        except KeyError:
            self._add_unseen_call(domain, decision.overall)
        self._buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._seconds += seconds

    def _add_unseen(self, domain: str, title: str, result: Result) -> None:
        """Count a status whose labels are new or are not told apart."""
        known = self.domain(domain)
        rule = self._rule(known, title)
        self._folded += rule != title
        key = (known, rule, result)
        self._decisions[key] = self._decisions.get(key, 0) + 1

    def _add_unseen_call(self, domain: str, code: Code) -> None:
        key = (self.domain(domain), code)
        self._calls[key] = self._calls.get(key, 0) + 1

    def _rule(self, domain: str, title: str) -> str:
        """Return the title if it may have series of its own, else what stands for the rest."""
        pair = (domain, title)
        if pair in self._rules or not title:
            return title
        if len(self._rules) >= self._max_rules or len(title) > MAX_TITLE or not _encodable(title):
            return OTHER
        self._rules.add(pair)
        return title

    def collect(self) -> Iterator[Metric]:
        """Make metrics of the counts. Other threads may call it."""
        decisions = CounterMetricFamily(
            "ratelimit_decisions",
            "Descriptors decided, by domain, rule and result.",
            labels=("domain", "rule", "result"),
        )
        for labels, count in self._decisions.copy().items():
            decisions.add_metric(labels, count)
        yield decisions
        calls = CounterMetricFamily(
            "ratelimit_calls",
            "Calls decided, by domain and overall code.",
            labels=("domain", "code"),
        )
        for call, count in self._calls.copy().items():
            calls.add_metric(call, count)
        yield calls
        yield CounterMetricFamily(
            "ratelimit_folded_decisions",
            'Descriptors counted under rule="other", because too many rules have series.',
            value=self._folded,
        )
        yield HistogramMetricFamily(
            "ratelimit_decision_duration_seconds",
            "Time from asking to deciding, in seconds.",
            buckets=list(zip(_BOUNDS, accumulate(self._buckets), strict=True)),
            sum_value=self._seconds,
        )


_BOUNDS: Final = (*(str(bound) for bound in LATENCY_BUCKETS_S), "+Inf")


def _encodable(text: str) -> bool:
    """Tell whether the text has no lone surrogates, which would spoil the whole answer."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fixed_titles(node: Node) -> Iterator[str]:
    """Yield the titles of the rules below a node that hold no value of a caller."""
    if node.value_to_metric:
        return
    if node.rule is not None and not node.rule.detailed_metric:
        yield node.rule.title
    for child in node.children():
        yield from _fixed_titles(child)
