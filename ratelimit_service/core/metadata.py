"""What rules tell the gateway about the descriptors that passed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ratelimit_service.core.judge import Code, Status
from ratelimit_service.core.rules import Metadata, MetadataValue


def passed_metadata(statuses: Iterable[Status]) -> Metadata:
    """Merge the metadata of the rules whose limits passed, in the order of the descriptors.

    Where two give the same key, the first value stays; two maps are merged in turn.
    """
    merged: dict[str, MetadataValue] = {}
    for status in statuses:
        if status.code is Code.OK and status.metadata:
            _merge(merged, status.metadata)
    return merged


def _merge(into: dict[str, MetadataValue], more: Metadata) -> None:
    for key, value in more.items():
        if key not in into:
            into[key] = _copied(value)
            continue
        present = into[key]
        if isinstance(present, dict) and isinstance(value, Mapping):
            _merge(present, value)


def _copied(value: MetadataValue) -> MetadataValue:
    """Copy maps, which a later merge would change, and share the rest."""
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return value
