"""A slot in a real server, driven by the scripts, with a clock that the test sets."""

from __future__ import annotations

from typing import Any

import redis

from ratelimit_service.core.messages import Message, SlotReply
from ratelimit_service.store.redis.messages import decode, encode


# A reply of redis-py has no one type.
def execute(client: redis.Redis, *command: str | bytes | int) -> Any:  # noqa: ANN401
    """Run one command."""
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


class ScriptSlot:
    """Answers messages as core.slot.Slot does."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def handle(self, message: Message, now_us: int) -> SlotReply:
        """Do one message at a time."""
        call = encode(message, lambda name: name, str(now_us))
        command = ("EVALSHA", call.script.sha1, len(call.keys), *call.keys, *call.arguments)
        try:
            return decode(execute(self.client, *command))
        except redis.exceptions.NoScriptError:
            execute(self.client, "SCRIPT", "LOAD", call.script.source)
            return decode(execute(self.client, *command))
