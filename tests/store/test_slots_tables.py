"""The tables of tests/core, said to the scripts as well: every reply must be the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from ratelimit_service.core.messages import Message, SlotReply
from ratelimit_service.store.redis.messages import holds_key
from tests.core.slot_talk import Talk
from tests.core.test_slot_admission import TestAdmission
from tests.core.test_slot_holds import TestCancel, TestExchange
from tests.core.test_slot_records import TestDueLists, TestRecords
from tests.core.test_slot_settlement import TestExpiry, TestLeases, TestSettlement
from tests.store.script_slot import ScriptSlot, execute
from tests.support.valkey import Standalone

__all__ = [
    "TestAdmission",
    "TestCancel",
    "TestDueLists",
    "TestExchange",
    "TestExpiry",
    "TestLeases",
    "TestRecords",
    "TestSettlement",
]


class TalkWithBoth(Talk):
    """A conversation with core.slot and with the scripts at once."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self._scripts = ScriptSlot(client)

    def say(self, message: Message) -> SlotReply:
        reply = super().say(message)
        assert self._scripts.handle(message, self.now_us) == reply
        return reply

    def lose_counter(self, key: str) -> None:
        super().lose_counter(key)
        assert execute(self._scripts.client, "DEL", key) == 1

    def lose_holds(self, key: str) -> None:
        super().lose_holds(key)
        assert execute(self._scripts.client, "DEL", holds_key(key)) == 1


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with Standalone() as server, server.client() as client:
        yield client


@pytest.fixture
def talk(client: redis.Redis) -> Talk:
    client.flushall()
    return TalkWithBoth(client)
