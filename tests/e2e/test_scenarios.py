"""What users of the reference service know it to do, scenario by scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.clock import start_early_in_a_minute
from tests.support.envoy import Config, Envoy, Hosts
from tests.support.processes import wait_until
from tests.support.service import Service
from tests.support.upstream import Upstream

# The reference's scenarios count by the minute. Here all but one count by the year, so that
# no window ends between two calls of a test.
RULES = """
domain: demo
descriptors:
  - key: foo
    descriptors:
      - key: baz
        rate_limit: {unit: year, requests_per_unit: 3}
      - key: baz
        value: shady
        shadow_mode: true
        rate_limit: {unit: year, requests_per_unit: 3}
      - key: bar
        value: banned
        rate_limit: {name: banned_limit, unit: year, requests_per_unit: 0}
      - key: bar
        value: once
        rate_limit: {name: once_limit, unit: year, requests_per_unit: 1}

  - key: source_cluster
    value: proxy
    descriptors:
      - key: destination_cluster
        value: override
        rate_limit: {unit: year, requests_per_unit: 2, replaces: [{name: banned_limit}]}
      - key: destination_cluster
        value: twice
        rate_limit: {unit: year, requests_per_unit: 2, replaces: [{name: once_limit}]}
      - key: destination_cluster
        value: replaced
        rate_limit: {name: replaced_limit, unit: year, requests_per_unit: 2}

  - key: category
    value: account
    rate_limit:
      unit: year
      requests_per_unit: 4
      replaces: [{name: once_limit}, {name: replaced_limit}]

  - key: unspec
    detailed_metric: true
    rate_limit: {unit: year, requests_per_unit: 2}

  - key: service
    value: service_1
    quota_mode: true
    rate_limit: {unit: year, requests_per_unit: 1}
  - key: service
    value: service_2
    quota_mode: true
    rate_limit: {unit: year, requests_per_unit: 2}

  - key: tokens
    rate_limit: {unit: minute, requests_per_unit: 2}
"""
ROUTES = Path(__file__).parent / "scenarios.yaml"


@pytest.fixture(scope="module")
def service(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    rules = tmp_path_factory.mktemp("rules")
    (rules / "scenarios.yaml").write_text(RULES)
    with Service(rules, store=store_url) as service:
        yield service


@pytest.fixture(scope="module")
def envoy(service: Service, upstream: Upstream) -> Iterator[Envoy]:
    config = Config("basic").with_routes(yaml.safe_load(ROUTES.read_text()))
    with Envoy(config.at(Hosts((service.grpc_address,), upstream.address))) as envoy:
        yield envoy


def test_simple(envoy: Envoy) -> None:
    assert envoy.call("/two-headers", foo="test", baz="shady").status == 200


def test_trigger(envoy: Envoy) -> None:
    answers = [envoy.call("/two-headers", foo="pelle", baz="open") for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]


def test_shadow_mode_counts_and_never_refuses(envoy: Envoy) -> None:
    answers = [envoy.call("/two-headers", foo="pelle", baz="shady") for _ in range(5)]

    assert {answer.status for answer in answers} == {200}
    remaining = [answer.headers["x-ratelimit-remaining"] for answer in answers]
    assert remaining == ["2", "1", "0", "0", "0"]


def test_a_replacing_rule_raises_the_limit(envoy: Envoy) -> None:
    banned = {"foo": "ann", "bar": "banned"}

    assert envoy.call("/two-headers", **banned).status == 429
    assert _from_proxy(envoy, "elsewhere", **banned) == 429
    assert [_from_proxy(envoy, "override", **banned) for _ in range(3)] == [200, 200, 429]


def test_a_replaced_rule_is_not_charged(envoy: Envoy) -> None:
    once = {"foo": "bob", "bar": "once"}

    assert [_from_proxy(envoy, "twice", **once) for _ in range(3)] == [200, 200, 429]
    # Where nothing replaces it, its one call is still there.
    assert [_from_proxy(envoy, "elsewhere", **once) for _ in range(2)] == [200, 429]
    assert _from_proxy(envoy, "twice", **once) == 429


def test_one_rule_replaces_several(envoy: Envoy) -> None:
    once = {"foo": "cid", "bar": "once"}

    def call() -> int:
        return envoy.call(
            "/five-headers",
            source_cluster="proxy",
            destination_cluster="replaced",
            category="account",
            **once,
        ).status

    assert [call() for _ in range(5)] == [200, 200, 200, 200, 429]
    # Neither of the two that were replaced is charged.
    assert [envoy.call("/two-headers", **once).status for _ in range(2)] == [200, 429]
    unlimited = {"foo": "dan", "bar": "free"}
    assert [_from_proxy(envoy, "replaced", **unlimited) for _ in range(3)] == [200, 200, 429]
    assert call() == 429


def _from_proxy(envoy: Envoy, destination: str, **headers: str) -> int:
    return envoy.call(
        "/four-headers", source_cluster="proxy", destination_cluster=destination, **headers
    ).status


def test_quotas_refuse_once_all_of_them_are_over(envoy: Envoy) -> None:
    assert [envoy.call("/quota").status for _ in range(3)] == [200, 200, 429]


def test_a_token_quota_of_two_a_minute_refuses_the_fourth_call(envoy: Envoy) -> None:
    """Each call looks, and is charged one token when it is over."""
    start_early_in_a_minute()

    # At exactly 2 of 2 a look still passes, so a third call goes through and is charged.
    assert [_call_and_charge(envoy) for _ in range(4)] == [200, 200, 200, 429]


def _call_and_charge(envoy: Envoy) -> int:
    """Call, and wait for the charge, which Envoy sends after the caller has its answer."""
    decisions = "cluster.ratelimit.upstream_rq_completed"
    before = envoy.statistic(decisions)
    answer = envoy.call("/token-quota")
    wait_until(lambda: envoy.statistic(decisions) == before + 2, "looked and charged")
    return answer.status


def test_a_detailed_metric_names_the_values_of_the_caller(envoy: Envoy, service: Service) -> None:
    answers = [envoy.call("/unspecified", unspec="a-value").status for _ in range(3)]

    assert answers == [200, 200, 429]
    labels = '{domain="demo",result="over",rule="demo.unspec_a-value"}'
    assert f"ratelimit_decisions_total{labels} 1.0" in service.metrics()
