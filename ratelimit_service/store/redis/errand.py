"""A message to a slot on its way: its call, and where its reply goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ratelimit_service.core.messages import SlotReply
from ratelimit_service.store.redis.link import Reply, ScriptCall
from ratelimit_service.store.redis.messages import decode


def _new_answer() -> asyncio.Future[SlotReply]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Errand:
    """One script call that goes out in a pipeline with others, and is not joined with any."""

    call: ScriptCall
    answer: asyncio.Future[SlotReply] = field(default_factory=_new_answer)

    @property
    def weight(self) -> int:
        """How many counters or records it touches, about."""
        return 1 + len(self.call.keys) // 2

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to who waits for it, if anybody still does.

        Raises StoreUnavailableError for a reply that is not the script's.
        """
        answer = decode(reply)
        if not self.answer.done():
            self.answer.set_result(answer)
