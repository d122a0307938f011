"""Scripts on one server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ratelimit_service.config.settings import StoreSettings
from ratelimit_service.store.redis.access import Access
from ratelimit_service.store.redis.ask import ask
from ratelimit_service.store.redis.evaluate import Outcome, evaluate, run_until
from ratelimit_service.store.redis.link import CrossSlotError, ScriptCall
from ratelimit_service.store.redis.node import Node


class StandaloneLink:
    """One server. It may enforce slots all the same, as some managed ones do (F6)."""

    def __init__(self, settings: StoreSettings) -> None:
        """Connect to ``settings.addresses[0]``, later. Raises SettingsError for a bad file."""
        self._node = Node(settings.addresses[0], Access.to_data(settings))
        self._lane = str(self._node.address)
        self._timeout_s = settings.timeout_s
        self._enforces_slots = False

    @property
    def enforces_slots(self) -> bool:
        """Whether the server has refused a script for keys of several slots."""
        return self._enforces_slots

    def lane(self, key: str) -> str:  # noqa: ARG002  # every key is served by the one server
        """Name the server."""
        return self._lane

    async def run(self, lane: str, calls: Sequence[ScriptCall]) -> Sequence[Outcome]:  # noqa: ARG002  # there is one
        """Run the calls in one pipeline and return a reply or an error for each, in order."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        outcomes = await run_until(
            deadline, calls, lambda some: evaluate(self._node, some, deadline)
        )
        if any(isinstance(outcome, CrossSlotError) for outcome in outcomes):
            self._enforces_slots = True
        return outcomes

    async def ping(self) -> None:
        """Return when the server answers; raise StoreUnavailableError when it does not."""
        await ask(self._node, ("PING",), asyncio.get_running_loop().time() + self._timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._node.close()
