"""A store whose user dies at a step, as a process would."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.protocols.steps import Reply, Sent
from ratelimit_service.store.redis.store import RedisStore


class DeadError(Exception):
    """Nobody drives on what was under way."""


class Mortal:
    """Says messages to a store as long as it lives.

    ``fate`` is asked before each round and after it, and raises DeadError, or ends the
    process. Messages of a round that is cut short by it may be done or not.
    """

    enforces_slots = True

    def __init__(self, store: RedisStore, fate: Callable[[], None]) -> None:
        self._store = store
        self._fate = fate
        self.charge = store.charge
        self.ping = store.ping
        self.close = store.close

    def key(self, counter: Counter) -> str:
        return self._store.key(counter)

    def slot(self, key: str) -> str:
        return self._store.slot(key)

    async def deliver(self, sent: Sequence[Sent], timeout_s: float) -> Sequence[Reply]:
        self._fate()
        replies = await self._store.deliver(sent, timeout_s)
        self._fate()
        return replies
