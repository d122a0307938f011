"""The service dies under Envoy, and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.envoy import Config, Envoy, Hosts
from tests.support.processes import wait_until
from tests.support.service import Service
from tests.support.upstream import Upstream

RULES = """
domain: demo
descriptors:
  - key: user
    rate_limit: {unit: year, requests_per_unit: 3}
"""
TOKEN_RULES = """
domain: llm-tokens
descriptors:
  - key: user
    rate_limit: {unit: year, requests_per_unit: 100}
"""


@pytest.fixture
def service(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    rules = tmp_path_factory.mktemp("rules")
    (rules / "demo.yaml").write_text(RULES)
    (rules / "tokens.yaml").write_text(TOKEN_RULES)
    with Service(rules, store=valkey_url) as service:
        yield service


def test_calls_pass_while_the_service_is_dead_and_are_limited_when_it_is_back(
    service: Service, upstream: Upstream, user: str
) -> None:
    config = Config("basic").at(Hosts((service.grpc_address,), upstream.address))
    with Envoy(config) as envoy:
        assert envoy.call(x_user_id=user).headers["x-ratelimit-remaining"] == "2"

        service.kill()
        unlimited = [envoy.call(x_user_id=user) for _ in range(5)]
        assert {answer.status for answer in unlimited} == {200}
        assert all("x-ratelimit-limit" not in answer.headers for answer in unlimited)
        assert envoy.statistic("cluster.upstream.ratelimit.error") == len(unlimited)
        assert envoy.statistic("cluster.ratelimit.upstream_cx_connect_fail") > 0

        service.start()
        # The first calls may still find the way closed, and pass.
        wait_until(
            lambda: (
                envoy.call(x_user_id=f"{user}-probe").headers.get("x-ratelimit-limit") is not None
            ),
            "limited again",
        )
        # The store kept what was counted before the crash.
        answers = [envoy.call(x_user_id=user).status for _ in range(3)]
        assert answers == [200, 200, 429]


@pytest.mark.parametrize(
    ("config", "status"),
    [
        pytest.param(Config("tokens"), 503, id="tokens.yaml"),
        pytest.param(Config("basic").with_filter(failure_mode_deny=True), 500, id="basic.yaml"),
    ],
)
def test_calls_are_refused_while_the_service_is_dead_and_pass_when_it_is_back(
    service: Service, upstream: Upstream, user: str, config: Config, status: int
) -> None:
    placed = config.at(Hosts((service.grpc_address,), upstream.address))
    with Envoy(placed) as envoy:
        assert envoy.call(x_user_id=user).status == 200

        service.kill()
        before = upstream.calls
        assert {envoy.call(x_user_id=user).status for _ in range(5)} == {status}
        assert upstream.calls == before

        service.start()
        wait_until(lambda: envoy.call(x_user_id=user).status == 200, "answered again")
