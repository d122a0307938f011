"""Windows follow the clock of the store, whatever the hosts say (F39)."""

from __future__ import annotations

import time

import pytest

from ratelimit_service.core.terms import Counting
from ratelimit_service.store.redis.link import Link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import MINUTE_US, TIMEOUT_S, charge, counter
from tests.support.valkey import Standalone

YEAR_US = 365 * 24 * 60 * MINUTE_US


def _server_us(server: Standalone) -> int:
    seconds, microseconds = server.execute("TIME")
    return int(seconds) * 1_000_000 + int(microseconds)


async def test_a_host_whose_clock_is_minutes_off_counts_in_the_same_window(
    standalone_link: Link, standalone_server: Standalone, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(standalone_link, NullRecorder())
    counters = [counter("a", MINUTE_US), counter("a", YEAR_US)]
    seen = []
    earliest_us = _server_us(standalone_server)
    for skew_s in (0, 600, -600, 400 * 86_400):
        real, real_ns = time.time(), time.time_ns()
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda now=real + skew_s: now)
            patch.setattr(time, "time_ns", lambda now=real_ns + skew_s * 10**9: now)
            seen.append(await store.charge([*map(charge, counters)], Counting.EVERY, TIMEOUT_S))
    latest_us = _server_us(standalone_server)

    for outcomes in seen:
        for outcome, window_us in zip(outcomes, (MINUTE_US, YEAR_US), strict=True):
            assert outcome.reset_in_us is not None
            # The window ends at a multiple of its length on the server's clock.
            ends_us = (latest_us + outcome.reset_in_us) // window_us * window_us
            assert ends_us >= earliest_us + outcome.reset_in_us
    assert [outcomes[1].counted for outcomes in seen] == [1, 2, 3, 4]


async def test_the_value_names_the_window_of_the_server(
    standalone_link: Link, standalone_server: Standalone
) -> None:
    """What docs/stores.md says of keys and values."""
    store = RedisStore(standalone_link, NullRecorder(), key_prefix="rl:")
    before_us = _server_us(standalone_server)
    await store.charge([charge(counter("a", YEAR_US), 3)], Counting.EVERY, TIMEOUT_S)

    key = "rl:{domain/name=a};requests;fixed_window;31536000s"
    value = f"{before_us - before_us % YEAR_US} 3"
    assert standalone_server.execute("GET", key) == value.encode()
