"""A rolling restart under traffic: no call fails, and none is forgotten or counted twice."""

from __future__ import annotations

import pytest

from tests.e2e.traffic import Traffic
from tests.support.envoy import Config, Envoy, Hosts
from tests.support.processes import wait_until
from tests.support.service import Service
from tests.support.upstream import Upstream

LIMIT = 1_000_000
# Long enough for Envoy's health checks to see it, also on a busy machine.
ENVIRONMENT = {"DRAIN_DELAY": "2s"}
RULES = f"""
domain: demo
descriptors:
  - key: user
    rate_limit: {{unit: year, requests_per_unit: {LIMIT}}}
"""


def test_replicas_restart_one_after_the_other_and_no_call_fails(
    valkey_url: str, upstream: Upstream, user: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """F57."""
    rules = tmp_path_factory.mktemp("rules")
    (rules / "demo.yaml").write_text(RULES)
    # Fail closed, so that a decision that fails shows.
    config = Config("basic").with_filter(failure_mode_deny=True)
    with (
        Service(rules, store=valkey_url, environment=ENVIRONMENT) as first,
        Service(rules, store=valkey_url, environment=ENVIRONMENT) as second,
    ):
        hosts = Hosts((first.grpc_address, second.grpc_address), upstream.address)
        with Envoy(config.at(hosts)) as envoy:
            _expect_healthy(envoy, 2)
            with Traffic(lambda: envoy.call(x_user_id=user)) as traffic:
                for replica in (first, second):
                    assert replica.end() == 0
                    _expect_healthy(envoy, 1)
                    traffic.flow()
                    replica.start()
                    _expect_healthy(envoy, 2)
                    traffic.flow()

            last = envoy.call(x_user_id=user)
        for replica in (first, second):
            replica.kill()  # another drain would show nothing new

    assert set(traffic.statuses) == {200}
    counted = traffic.statuses.total() + 1
    assert int(last.headers["x-ratelimit-remaining"]) == LIMIT - counted


def _expect_healthy(envoy: Envoy, replicas: int) -> None:
    wait_until(
        lambda: envoy.statistic("cluster.ratelimit.membership_healthy") == replicas,
        f"{replicas} healthy replicas",
    )
