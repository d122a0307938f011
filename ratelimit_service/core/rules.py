"""Rules in force, and which of them a descriptor matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ratelimit_service.core.limits import Limit
from ratelimit_service.core.measures import REQUESTS
from ratelimit_service.core.model import Entry
from ratelimit_service.errors import Place

Metadata: TypeAlias = Mapping[str, "MetadataValue"]
MetadataValue: TypeAlias = bool | int | float | str | Sequence["MetadataValue"] | Metadata | None


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the descriptors that end at one node.

    There are no ``limits`` exactly where ``unlimited`` is set. ``title`` names the rule
    in metrics: the domain and each level's key, with its value where it has one.
    ``hits_measure`` is what the hits of ShouldRateLimit are charged to;
    ``written_as_limits`` tells a list of limits from a ``rate_limit`` of the reference.
    """

    title: str
    place: Place
    limits: tuple[Limit, ...]
    unlimited: bool = False
    name: str = ""
    replaces: frozenset[str] = frozenset()
    shadow_mode: bool = False
    quota_mode: bool = False
    detailed_metric: bool = False
    metadata: Metadata = field(default_factory=dict)
    hits_measure: str = REQUESTS
    written_as_limits: bool = False

    @property
    def rate_limit(self) -> Limit | None:
        """The limit of a rule in the reference's words."""
        return None if self.written_as_limits or not self.limits else self.limits[0]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A value with at least one wildcard: each ``*`` stands for zero or more characters."""

    text: str

    def matches(self, value: str) -> bool:
        """Tell whether the value fits, in time linear in its length for each star."""
        first, *inner, last = self.text.split("*")
        if len(value) < len(first) + len(last):
            return False
        if not (value.startswith(first) and value.endswith(last)):
            return False
        at, end = len(first), len(value) - len(last)
        for part in inner:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


@dataclass(frozen=True, slots=True)
class Requirement:
    """An entry that descriptors must have at a level; any value but an empty one, or these."""

    key: str
    value: str = ""
    pattern: Pattern | None = None

    def is_met_by(self, entry: Entry) -> bool:
        """Tell whether an entry is the one that is required."""
        if entry.key != self.key or not entry.value:
            return False
        if self.pattern is not None:
            return self.pattern.matches(entry.value)
        return not self.value or entry.value == self.value


@dataclass(frozen=True, slots=True)
class Node:
    """One level of a rule file; where a path of entries ends, its rule holds.

    ``label`` is what the file says of the level: its key, with the value if it has one.
    ``exempt`` are the values of the level's entry that are not limited here or below.
    ``required`` are entries of the next level that no request may lack.
    """

    label: str = ""
    rule: Rule | None = None
    exact: Mapping[tuple[str, str], Node] = field(default_factory=dict)
    wildcards: Mapping[str, tuple[Wildcard, ...]] = field(default_factory=dict)
    by_key: Mapping[str, Node] = field(default_factory=dict)
    value_to_metric: bool = False
    exempt: frozenset[str] = frozenset()
    required: tuple[Requirement, ...] = ()

    @property
    def has_children(self) -> bool:
        """Whether a longer descriptor can match below this node."""
        return bool(self.exact or self.wildcards or self.by_key)

    def children(self) -> Iterator[Node]:
        """Yield the nodes one level down, in no promised order."""
        yield from self.exact.values()
        for wildcards in self.wildcards.values():
            yield from (wildcard.node for wildcard in wildcards)
        yield from self.by_key.values()


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A node that is reached by a pattern; with ``shared`` all its values share one counter."""

    pattern: Pattern
    node: Node
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a counter's identity; ``shared`` tells a pattern from a value of that text."""

    key: str
    value: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that a descriptor ended at, and the identity of what it counts.

    ``exempt``: the rules name one of its values as not limited.
    """

    rule: Rule
    path: tuple[Step, ...]
    title: str
    exempt: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a whole domain.

    ``strict``: ShouldRateLimit counts no call that it refuses. ``colocate_by`` are the keys
    whose entries say where counters lie. ``inline_limits``: callers may bring limits along.
    ``refuse_unmatched``: a descriptor that no rule matches is refused. ``measures`` are all
    that the domain's limits count, ``requires`` says that some entry is required.
    """

    strict: bool = False
    colocate_by: tuple[str, ...] = ()
    inline_limits: bool = False
    refuse_unmatched: bool = False
    measures: frozenset[str] = frozenset()
    requires: bool = False


_PLAIN: Final = Policy()


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """All rules that are in force at one moment, by domain. It never changes.

    It is equal to itself alone, which makes it a quick key for what is remembered of it.
    """

    domains: Mapping[str, Node]
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def policy(self, domain: str) -> Policy:
        """Return what holds for a domain, also for one without rules."""
        return self.policies.get(domain, _PLAIN)

    def match(self, domain: str, entries: Sequence[Entry]) -> Match | None:
        """Return the rule that holds for the entries, or None.

        At each level an exact value comes before wildcards in file order, and these
        before the key alone. A choice is final: no other is tried when a deeper
        level finds nothing. Only a rule as deep as the descriptor is long holds.
        """
        node = self.domains.get(domain)
        if node is None:
            return None
        path: list[Step] = []
        walked: list[Node] = []
        exempt = False
        for entry in entries:
            hop = descend(node, entry)
            if hop is None:
                return None
            node, step = hop
            path.append(step)
            walked.append(node)
            exempt = exempt or entry.value in node.exempt
        if node.rule is None or not path:
            return None
        return Match(node.rule, tuple(path), _title(domain, node.rule, path, walked), exempt)

    def rules(self) -> Iterator[Rule]:
        """Yield every rule of every domain."""
        pending = list(self.domains.values())
        while pending:
            node = pending.pop()
            if node.rule is not None:
                yield node.rule
            pending.extend(node.children())


def descend(node: Node, entry: Entry) -> tuple[Node, Step] | None:
    """Return the node that an entry leads to, and the entry's part of the identity."""
    child = node.exact.get((entry.key, entry.value))
    if child is None:
        for wildcard in node.wildcards.get(entry.key, ()):
            if wildcard.pattern.matches(entry.value):
                if wildcard.shared:
                    return wildcard.node, Step(entry.key, wildcard.pattern.text, shared=True)
                return wildcard.node, Step(entry.key, entry.value)
        child = node.by_key.get(entry.key)
    if child is None:
        return None
    return child, Step(entry.key, entry.value)


def _title(domain: str, rule: Rule, path: Sequence[Step], walked: Sequence[Node]) -> str:
    """Name the rule in metrics, with callers' values only where the file asks for them.

    Values that share one counter share one name: their pattern.
    """
    if rule.detailed_metric:
        return ".".join([domain, *(f"{step.key}_{step.value}" for step in path)])
    if not any(node.value_to_metric for node in walked):
        return rule.title
    levels = [
        f"{step.key}_{step.value}" if node.value_to_metric else node.label
        for step, node in zip(path, walked, strict=True)
    ]
    return ".".join([domain, *levels])
