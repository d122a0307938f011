"""The seam to Redis and Valkey: scripts go out, replies or typed errors come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ratelimit_service.errors import StoreUnavailableError

Reply: TypeAlias = "int | bytes | list[Reply] | None"


class CrossSlotError(StoreUnavailableError):
    """The server enforces slots and did not run the script, whose keys lie in several.

    A link that returns it says ``enforces_slots`` from then on.
    """


@dataclass(frozen=True, slots=True)
class Script:
    """A script of lua/ and the digest that servers know it by."""

    name: str
    source: str
    sha1: str


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run of a script. Where slots are enforced, all its keys lie in one."""

    script: Script
    keys: tuple[str, ...]
    arguments: tuple[str | int, ...]


class Link(Protocol):
    """A standalone server, the master behind some sentinels, or a cluster.

    Nothing sent is ever sent again unless the server said that it did not run.
    """

    @property
    def enforces_slots(self) -> bool:
        """Whether a script may touch the keys of one slot only. May turn true later."""
        ...

    def lane(self, key: str) -> str:
        """Name the node that serves a key just now; calls of one lane share a round trip."""
        ...

    async def run(
        self, lane: str, calls: Sequence[ScriptCall]
    ) -> Sequence[Reply | StoreUnavailableError]:
        """Run the calls in one pipeline and return a reply or an error for each, in order.

        Never raises a StoreUnavailableError of its own, and ends within the link's timeout.
        """
        ...

    async def ping(self) -> None:
        """Return when every master answers; raise StoreUnavailableError when one does not."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
