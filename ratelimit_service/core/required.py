"""Entries that a request must not lack: a missing identity is refused, never skipped (F50)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Node, Requirement, descend


def missing_entry(root: Node, descriptors: Sequence[tuple[Entry, ...]]) -> Requirement | None:
    """Return the first required entry that no descriptor of a request has.

    A level's requirements hold once its first entries are there: the entries before it are
    those of some descriptor, and one that begins alike must go on with what is required.
    """
    for prefix, node in _levels(root, descriptors):
        following = [
            entries[len(prefix)]
            for entries in descriptors
            if len(entries) > len(prefix) and entries[: len(prefix)] == prefix
        ]
        for requirement in node.required:
            if not any(requirement.is_met_by(entry) for entry in following):
                return requirement
    return None


def _levels(
    root: Node, descriptors: Sequence[tuple[Entry, ...]]
) -> Iterator[tuple[tuple[Entry, ...], Node]]:
    """Yield each level that a descriptor comes through, with the entries that led there."""
    yield (), root
    seen: set[tuple[Entry, ...]] = set()
    for entries in descriptors:
        node = root
        for depth, entry in enumerate(entries, start=1):
            hop = descend(node, entry)
            if hop is None:
                break
            node, _ = hop
            prefix = entries[:depth]
            if prefix not in seen:
                seen.add(prefix)
                yield prefix, node
