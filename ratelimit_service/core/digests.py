"""Digests by which a repeated call is known, and told from another under the same id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from hashlib import blake2b
from typing import Final, TypeAlias

from ratelimit_service.core.model import Entry
from ratelimit_service.core.requests import Described, ExtendRequest, Wish
from ratelimit_service.core.settlement import Amount

_BYTES: Final = 16

_Json: TypeAlias = str | int | bool | Sequence["_Json"] | None


def owner_digest(caller: str) -> str:
    """Return what stands for a caller's name in records."""
    return _digest("caller", caller)


def wish_digest(wish: Wish) -> str:
    """Return what two calls have in common that ask for the same, in whatever order of amounts.

    How long it shall last is no part of it: a call that is sent again may have less time left.
    """
    return _digest(
        wish.domain,
        [_described(descriptor) for descriptor in wish.descriptors],
        _amounts(wish.amounts),
        _amounts(wish.min_amounts),
        wish.model,
    )


def extension_digest(request: ExtendRequest) -> str:
    """Return what two calls have in common that extend by the same."""
    return _digest(_amounts(request.amounts))


def request_digest(request_id: str) -> str:
    """Return what stands for the id of an Extend call; empty for none."""
    return _digest("request", request_id) if request_id else ""


def _described(descriptor: Described) -> _Json:
    return [
        _entries(descriptor.entries),
        _amounts(descriptor.amounts),
        [astuple(limit) for limit in descriptor.limits],
        _entries(descriptor.parent),
    ]


def _entries(entries: Iterable[Entry]) -> _Json:
    return [[entry.key, entry.value] for entry in entries]


def _amounts(amounts: Iterable[Amount]) -> _Json:
    pairs = sorted((amount.measure, amount.amount) for amount in amounts)
    return [[measure, amount] for measure, amount in pairs]


def _digest(*parts: _Json) -> str:
    """Digest parts injectively: JSON tells texts, numbers and lists apart."""
    text = json.dumps(parts, separators=(",", ":"))
    return blake2b(text.encode("ascii"), digest_size=_BYTES).hexdigest()
