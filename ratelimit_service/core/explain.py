"""Why a descriptor matches the rule it does, or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from typing import Final

from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Match, Node, RuleSet

MAX_NEAR_NAMES: Final = 3


class Form(Enum):
    """The form of a candidate, in the order in which they are tried."""

    EXACT = "exact value"
    WILDCARD = "wildcard"
    ANY_VALUE = "key alone"


class Reason(Enum):
    """Why no rule holds."""

    UNKNOWN_DOMAIN = "no file defines this domain"
    NO_ENTRIES = "the descriptor has no entries"
    NO_CANDIDATE = "nothing at this level fits the entry, and earlier levels are not tried anew"
    TOO_LONG = "the descriptor has more entries than the rules have levels here"
    TOO_SHORT = "rules stand only at deeper levels; the descriptor has too few entries"
    NO_LIMIT = "the descriptor ends at a level that has no limit"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that was tried at a level, as the file writes it."""

    form: Form
    text: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Level:
    """One entry and what was tried for it, in order, until one fitted."""

    entry: Entry
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one descriptor was matched.

    Either ``match`` or ``reason`` is given. ``refused``: the domain refuses what no rule
    matches. ``near`` are names in the rules that come close to
    the one that was not found. ``replaced_by`` are titles of rules that take this one's place.
    """

    entries: tuple[Entry, ...]
    levels: tuple[Level, ...]
    match: Match | None = None
    reason: Reason | None = None
    near: tuple[str, ...] = ()
    replaced_by: tuple[str, ...] = ()
    refused: bool = False


def explain(
    rules: RuleSet, domain: str, descriptors: Sequence[tuple[Entry, ...]]
) -> tuple[Explanation, ...]:
    """Explain the descriptors of one request, which may replace each other's rules."""
    matches = [rules.match(domain, entries) for entries in descriptors]
    refused = rules.policy(domain).refuse_unmatched
    return tuple(
        _explain_match(rules.domains[domain], entries, match, matches)
        if match is not None
        else replace(_explain_miss(rules, domain, entries), refused=refused)
        for entries, match in zip(descriptors, matches, strict=True)
    )


def _explain_match(
    root: Node, entries: tuple[Entry, ...], match: Match, others: Iterable[Match | None]
) -> Explanation:
    levels = tuple(level for level, _ in _walk(root, entries))
    replaced_by = tuple(
        other.title
        for other in others
        if other is not None and match.rule.name in other.rule.replaces
    )
    return Explanation(entries, levels, match, replaced_by=replaced_by)


def _explain_miss(rules: RuleSet, domain: str, entries: tuple[Entry, ...]) -> Explanation:
    root = rules.domains.get(domain)
    if root is None:
        near = _near(domain, rules.domains)
        return Explanation(entries, (), reason=Reason.UNKNOWN_DOMAIN, near=near)
    walked = list(_walk(root, entries))
    levels = tuple(level for level, _ in walked)
    if not walked:
        return Explanation(entries, levels, reason=Reason.NO_ENTRIES)
    nodes = [root, *(node for _, node in walked if node is not None)]
    last = nodes[-1]
    if len(nodes) > len(entries):
        reason = Reason.TOO_SHORT if last.has_children else Reason.NO_LIMIT
        return Explanation(entries, levels, reason=reason)
    if not last.has_children:
        return Explanation(entries, levels, reason=Reason.TOO_LONG)
    near = _near_entries(last, entries[len(levels) - 1])
    return Explanation(entries, levels, reason=Reason.NO_CANDIDATE, near=near)


def _walk(root: Node, entries: Sequence[Entry]) -> Iterator[tuple[Level, Node | None]]:
    """Yield each level and the node that was reached; the last is None where nothing fitted."""
    node = root
    for entry in entries:
        tried: list[Candidate] = []
        reached: Node | None = None
        for candidate, below in _candidates(node, entry):
            tried.append(candidate)
            if candidate.fits:
                reached = below
                break
        yield Level(entry, tuple(tried)), reached
        if reached is None:
            return
        node = reached


def _candidates(node: Node, entry: Entry) -> Iterator[tuple[Candidate, Node | None]]:
    exact = node.exact.get((entry.key, entry.value))
    text = f"{entry.key}={entry.value}"
    yield Candidate(Form.EXACT, text, exact is not None), exact
    for wildcard in node.wildcards.get(entry.key, ()):
        fits = wildcard.pattern.matches(entry.value)
        text = f"{entry.key}={wildcard.pattern.text}"
        yield Candidate(Form.WILDCARD, text, fits), wildcard.node
    by_key = node.by_key.get(entry.key)
    yield Candidate(Form.ANY_VALUE, entry.key, by_key is not None), by_key


def _near_entries(node: Node, entry: Entry) -> tuple[str, ...]:
    """Name what the level has: near values where it knows the key, else near keys."""
    values = [value for key, value in node.exact if key == entry.key]
    values += [wildcard.pattern.text for wildcard in node.wildcards.get(entry.key, ())]
    if values:
        return tuple(f"{entry.key}={value}" for value in _near(entry.value, values))
    keys = {*(key for key, _ in node.exact), *node.wildcards, *node.by_key}
    return _near(entry.key, keys)


def _near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the names that come close, or a few of those there are."""
    names = sorted(known)
    close = get_close_matches(name, names, n=MAX_NEAR_NAMES)
    return tuple(close or names[:MAX_NEAR_NAMES])
