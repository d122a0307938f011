"""ShouldRateLimit against a server of the same kind that decides nothing."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.bench.rig import RULES, compare, noop_server, service
from tests.support.valkey import Standalone

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("in_flight", [1, 128])
def test_against_a_server_that_decides_nothing(
    in_flight: int, tmp_path: Path, standalone_server: Standalone
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    scripts = partial(standalone_server.calls, "evalsha")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(noop_server()),
            stack.enter_context(service("memory", rules, "memory://")),
            stack.enter_context(service("redis", rules, standalone_server.url, scripts)),
        ]
        rounds = compare(servers, in_flight)
    assert all(one.measured.calls for found in rounds.values() for one in found)
