"""What rule files say of whole domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from ratelimit_service.config.parse import ParsedFile
from ratelimit_service.core.rules import Node, Policy
from ratelimit_service.errors import ConfigError, Place

_KEYS: Final = ("enforcement", "colocate_by", "inline_limits", "unmatched")


@dataclass(frozen=True, slots=True)
class _Said:
    value: str | tuple[str, ...]
    place: Place
    items: tuple[Place, ...]


@dataclass(slots=True)
class PolicyParts:
    """What the files of one domain say of it, each thing once."""

    _said: dict[str, _Said] = field(default_factory=dict)

    def add(self, file: ParsedFile) -> Iterator[ConfigError]:
        """Take in what a file says; yield what another said otherwise."""
        for key in _KEYS:
            value = getattr(file.table, key)
            if not value:
                continue
            spot = file.spot.below[key]
            said = _Said(value, spot.place, tuple(item.place for item in spot.below.values()))
            first = self._said.setdefault(key, said)
            if first.value != value:
                yield ConfigError(
                    said.place,
                    f"`{key}` is said otherwise at {first.place}; a domain has one, so remove this",
                )

    def build(self, root: Node) -> Policy:
        """Return what holds for the domain, whose rules are given."""
        colocate_by = self._value("colocate_by")
        rules = [node.rule for node in _nodes(root) if node.rule is not None]
        return Policy(
            strict=self._value("enforcement") == "strict",
            colocate_by=colocate_by if isinstance(colocate_by, tuple) else (),
            inline_limits=self._value("inline_limits") == "allow",
            refuse_unmatched=self._value("unmatched") == "refuse",
            measures=frozenset(limit.measure for rule in rules for limit in rule.limits),
            requires=any(node.required for node in _nodes(root)),
        )

    def unknown_keys(self, root: Node) -> Iterator[ConfigError]:
        """Yield an error for each key of `colocate_by` that no descriptor has."""
        said = self._said.get("colocate_by")
        if said is None:
            return
        known = sorted({key for node in _nodes(root) for key in _keys(node)})
        for key, place in zip(said.value, said.items, strict=True):
            if key not in known:
                close = get_close_matches(key, known, n=1)
                hint = f"did you mean `{close[0]}`?" if close else "write the key of one"
                yield ConfigError(place, f"no descriptor has the key `{key}`; {hint}")

    def _value(self, key: str) -> str | tuple[str, ...]:
        said = self._said.get(key)
        return "" if said is None else said.value


def _nodes(root: Node) -> Iterator[Node]:
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.children())


def _keys(node: Node) -> Iterator[str]:
    yield from (key for key, _ in node.exact)
    yield from node.wildcards
    yield from node.by_key
