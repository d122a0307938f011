"""Checked rule files, put together to the rules in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ratelimit_service.config.parse import ParsedFile
from ratelimit_service.config.policies import PolicyParts
from ratelimit_service.config.schema import WILDCARD, DescriptorTable, RateLimitTable
from ratelimit_service.config.yaml_tree import Spot
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.measures import REQUESTS
from ratelimit_service.core.rules import Node, Pattern, Requirement, Rule, RuleSet, Wildcard
from ratelimit_service.errors import ConfigError, Place


@dataclass(frozen=True, slots=True)
class Built:
    """A set of rules, and what is wrong with it; with errors it must not come into force."""

    rules: RuleSet
    errors: tuple[ConfigError, ...]


def build_rules(files: Iterable[ParsedFile], *, merge_domains: bool) -> Built:
    """Put files together. Each domain belongs to one file, unless domains are merged."""
    domains: dict[str, _Domain] = {}
    errors: list[ConfigError] = []
    for file in files:
        name, place = file.table.domain, file.spot.at(("domain",))
        known = domains.get(name)
        if known is not None and not merge_domains:
            errors.append(_domain_twice(name, place, known.place))
            continue
        domain = known or domains.setdefault(name, _Domain(place))
        errors += domain.policy.add(file)
        descriptors = _located(file.table.descriptors, file.spot)
        errors += domain.level.add(descriptors, (name,))
    nodes = {name: domain.level.node() for name, domain in domains.items()}
    policies = {name: domains[name].policy.build(node) for name, node in nodes.items()}
    for name, node in nodes.items():
        errors += domains[name].policy.unknown_keys(node)
    return Built(RuleSet(nodes, policies), tuple(errors))


@dataclass(slots=True)
class _Level:
    """The descriptors of one level while they are gathered."""

    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    exact: dict[tuple[str, str], Node] = field(default_factory=dict)
    wildcards: dict[str, list[Wildcard]] = field(default_factory=dict)
    by_key: dict[str, Node] = field(default_factory=dict)
    required: list[Requirement] = field(default_factory=list)

    def add(
        self, descriptors: Iterable[tuple[DescriptorTable, Spot]], titles: tuple[str, ...]
    ) -> list[ConfigError]:
        errors: list[ConfigError] = []
        for table, spot in descriptors:
            identity = (table.key, table.value)
            first = self.places.setdefault(identity, spot.place)
            if first is not spot.place:
                errors.append(_descriptor_twice(identity, spot.place, first))
                continue
            below = _Level()
            path = (*titles, _label(table))
            errors += below.add(_located(table.descriptors, spot), path)
            self._put(table, below.node(_label(table), _rule(table, spot, path), table))
        return errors

    def node(
        self, label: str = "", rule: Rule | None = None, table: DescriptorTable | None = None
    ) -> Node:
        return Node(
            label,
            rule,
            self.exact,
            {key: tuple(found) for key, found in self.wildcards.items()},
            self.by_key,
            value_to_metric=table is not None and table.value_to_metric,
            exempt=frozenset(table.exempt if table is not None else ()),
            required=tuple(self.required),
        )

    def _put(self, table: DescriptorTable, node: Node) -> None:
        if table.required:
            pattern = Pattern(table.value) if WILDCARD in table.value else None
            self.required.append(Requirement(table.key, table.value, pattern))
        if WILDCARD in table.value:
            wildcard = Wildcard(Pattern(table.value), node, table.share_threshold)
            self.wildcards.setdefault(table.key, []).append(wildcard)
        elif table.value:
            self.exact[table.key, table.value] = node
        else:
            self.by_key[table.key] = node


@dataclass(frozen=True, slots=True)
class _Domain:
    place: Place
    level: _Level = field(default_factory=_Level)
    policy: PolicyParts = field(default_factory=PolicyParts)


def _located(
    descriptors: Sequence[DescriptorTable], spot: Spot
) -> Iterable[tuple[DescriptorTable, Spot]]:
    """Pair descriptors with their places."""
    if not descriptors:
        return ()
    below = spot.below["descriptors"].below
    return ((table, below[index]) for index, table in enumerate(descriptors))


def _label(table: DescriptorTable) -> str:
    return f"{table.key}_{table.value}" if table.value else table.key


def _rule(table: DescriptorTable, spot: Spot, path: tuple[str, ...]) -> Rule | None:
    limit = table.rate_limit
    if limit is None and not table.limits:
        return None
    rule = Rule(
        title=".".join(path),
        place=spot.place,
        limits=tuple(own.limit() for own in table.limits),
        shadow_mode=table.shadow_mode,
        quota_mode=table.quota_mode,
        detailed_metric=table.detailed_metric,
        metadata=table.metadata,
        hits_measure=table.hits_measure or REQUESTS,
        written_as_limits=True,
    )
    return rule if limit is None else _in_words_of_the_reference(rule, limit)


def _in_words_of_the_reference(rule: Rule, table: RateLimitTable) -> Rule:
    return replace(
        rule,
        limits=() if table.unlimited else (_per_unit(table),),
        unlimited=table.unlimited,
        name=table.name,
        replaces=frozenset(item.name for item in table.replaces),
        written_as_limits=False,
    )


def _per_unit(table: RateLimitTable) -> Limit:
    return Limit.per(table.requests_per_unit, table.parsed_unit, table.name)


def _descriptor_twice(identity: tuple[str, str], place: Place, first: Place) -> ConfigError:
    key, value = identity
    what = f"key `{key}` with value `{value}`" if value else f"key `{key}` without a value"
    return ConfigError(
        place, f"{what} stands twice at one level; first at {first}: remove one of them"
    )


def _domain_twice(name: str, place: Place, first: Place) -> ConfigError:
    return ConfigError(
        place,
        f"domain `{name}` is defined already at {first}; "
        "rename one, or set MERGE_DOMAIN_CONFIG=true to merge them",
    )
