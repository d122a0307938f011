"""deploy/envoy/tokens.yaml: tokens are looked at before a call and charged after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.envoy import Answer, Config, Envoy, Hosts
from tests.support.processes import wait_until
from tests.support.service import Service
from tests.support.upstream import Upstream

# A year, so that no window ends between two calls of a test.
RULES = """
domain: llm-tokens
descriptors:
  - key: user
    rate_limit: {unit: year, requests_per_unit: 100}
"""


@pytest.fixture(scope="module")
def envoy(
    store_url: str, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    rules = tmp_path_factory.mktemp("rules")
    (rules / "tokens.yaml").write_text(RULES)
    with (
        Service(rules, store=store_url) as service,
        Envoy(Config("tokens").at(Hosts((service.grpc_address,), upstream.address))) as envoy,
    ):
        yield envoy


class Caller:
    """A user whose calls cost tokens."""

    def __init__(self, envoy: Envoy, user: str) -> None:
        self._envoy = envoy
        self._user = user

    def call(self, path: str, tokens: int | None = None, estimate: int | None = None) -> Answer:
        headers = {"x_user_id": self._user}
        if tokens is not None:
            headers["x_answer_tokens"] = str(tokens)
        if estimate is not None:
            headers["x_estimated_tokens"] = str(estimate)
        return self._envoy.call(path, **headers)

    def remaining(self) -> int:
        """Look without spending: the upstream reports no tokens for this call."""
        return int(self.call("/reported/look").headers["x-ratelimit-remaining"])

    def expect_remaining(self, tokens: int) -> None:
        """Wait for the charge, which Envoy sends after the caller has its answer."""
        wait_until(lambda: self.remaining() == tokens, f"{tokens} tokens remaining")


@pytest.fixture
def caller(envoy: Envoy, user: str) -> Caller:
    return Caller(envoy, user)


@pytest.mark.parametrize("path", ["/reported/chat", "/v1/chat", "/v1/chat/stream"])
def test_looking_is_free_and_the_answer_is_charged(caller: Caller, path: str) -> None:
    first = caller.call(path, tokens=30)

    assert first.status == 200
    assert first.headers["x-ratelimit-remaining"] == "100"
    caller.expect_remaining(70)


def test_a_call_is_refused_once_the_tokens_are_spent(caller: Caller) -> None:
    assert caller.call("/reported/chat", tokens=90).status == 200
    caller.expect_remaining(10)
    # 10 are left, so the call may go; nobody knows yet what it will cost.
    assert caller.call("/reported/chat", tokens=40).status == 200
    caller.expect_remaining(0)

    refused = caller.call("/reported/chat", tokens=1)

    assert refused.status == 429
    assert refused.headers["x-ratelimit-remaining"] == "0"


def test_exactly_the_limit_may_be_spent_and_still_be_looked_at(caller: Caller) -> None:
    caller.call("/reported/chat", tokens=100)
    caller.expect_remaining(0)

    # F7, as the reference counts: over is above the limit, so the next call goes through.
    assert caller.call("/reported/chat", tokens=1).status == 200
    wait_until(
        lambda: caller.call("/reported/chat").status == 429, "refused, with 101 of 100 spent"
    )


def test_an_answer_without_usage_costs_nothing(caller: Caller) -> None:
    assert caller.call("/v1/chat").status == 200
    assert caller.remaining() == 100


def test_an_estimate_is_charged_up_front_and_settled_to_the_actual(caller: Caller) -> None:
    first = caller.call("/estimated/chat", tokens=30, estimate=80)

    assert first.status == 200
    assert first.headers["x-ratelimit-remaining"] == "20"
    # 80 charged, 80 given back, 30 charged.
    caller.expect_remaining(70)


def test_a_refused_estimate_is_given_back(caller: Caller) -> None:
    caller.call("/reported/chat", tokens=60)
    caller.expect_remaining(40)

    assert caller.call("/estimated/chat", tokens=30, estimate=80).status == 429
    caller.expect_remaining(40)
