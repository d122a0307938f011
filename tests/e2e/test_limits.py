"""deploy/envoy/basic.yaml: a limit per user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.envoy import Config, Envoy, Hosts
from tests.support.service import Service
from tests.support.upstream import Upstream

# A year, so that no window ends between two calls of a test.
RULES = """
domain: demo
descriptors:
  - key: user
    rate_limit: {unit: year, requests_per_unit: 3}
"""
YEAR_S = 365 * 24 * 3600


@pytest.fixture(scope="module")
def envoy(
    store_url: str, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    rules = tmp_path_factory.mktemp("rules")
    (rules / "demo.yaml").write_text(RULES)
    environment = {"LIMIT_RESPONSE_HEADERS_ENABLED": "true"}
    with (
        Service(rules, store=store_url, environment=environment) as service,
        Envoy(Config("basic").at(Hosts((service.grpc_address,), upstream.address))) as envoy,
    ):
        yield envoy


def test_calls_pass_up_to_the_limit_and_are_then_refused(envoy: Envoy, user: str) -> None:
    answers = [envoy.call(x_user_id=user) for _ in range(5)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    remaining = [answer.headers["x-ratelimit-remaining"] for answer in answers]
    assert remaining == ["2", "1", "0", "0", "0"]
    for answer in answers:
        assert answer.headers["x-ratelimit-limit"] == f"3, 3;w={YEAR_S}"
        assert 0 < int(answer.headers["x-ratelimit-reset"]) <= YEAR_S


def test_a_refused_call_does_not_reach_the_upstream(
    envoy: Envoy, upstream: Upstream, user: str
) -> None:
    for _ in range(3):
        envoy.call(x_user_id=user)
    before = upstream.calls
    over_limit = envoy.statistic("cluster.upstream.ratelimit.over_limit")

    refused = envoy.call(x_user_id=user)

    assert refused.status == 429
    assert envoy.statistic("cluster.upstream.ratelimit.over_limit") == over_limit + 1
    assert refused.headers["x-envoy-ratelimited"] == "true"
    assert upstream.calls == before


def test_one_user_does_not_spend_what_another_has(envoy: Envoy, user: str) -> None:
    for _ in range(4):
        envoy.call(x_user_id=user)

    other = envoy.call(x_user_id=f"{user}-other")

    assert other.status == 200
    assert other.headers["x-ratelimit-remaining"] == "2"


def test_a_call_without_the_header_has_no_descriptor_and_is_not_limited(envoy: Envoy) -> None:
    answers = [envoy.call() for _ in range(5)]

    assert {answer.status for answer in answers} == {200}
    assert all("x-ratelimit-limit" not in answer.headers for answer in answers)


def test_the_service_adds_its_headers_to_allowed_and_refused_calls(envoy: Envoy, user: str) -> None:
    allowed, *_, refused = [envoy.call(x_user_id=user) for _ in range(4)]

    assert (allowed.status, refused.status) == (200, 429)
    assert allowed.headers["ratelimit-limit"] == "3"
    assert allowed.headers["ratelimit-remaining"] == "2"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert "retry-after" not in allowed.headers
    # F47
    assert 1 <= int(refused.headers["retry-after"]) <= YEAR_S
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
