"""The real program, from its start to its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from ratelimit_service.config.settings import Address, UnixAddress
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from tests.support.clock import start_early_in_a_minute
from tests.support.processes import wait_until
from tests.support.service import Service
from tests.support.valkey import Standalone
from tests.transport.serving import asking, request

RULES = """
domain: demo
descriptors:
  - key: user
    rate_limit: {unit: year, requests_per_unit: 1000}
"""
CALL = json.dumps(
    {"domain": "demo", "descriptors": [{"entries": [{"key": "user", "value": "ann"}]}]}
)
OK = rls_pb2.RateLimitResponse.OK


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@contextmanager
def calling(address: Address) -> Iterator[rls_pb2_grpc.RateLimitServiceStub]:
    with grpc.insecure_channel(str(address)) as channel:
        yield rls_pb2_grpc.RateLimitServiceStub(channel)


def ask(
    stub: rls_pb2_grpc.RateLimitServiceStub, timeout_s: float = 10
) -> rls_pb2.RateLimitResponse:
    return stub.ShouldRateLimit(request(asking("user"), domain="demo"), timeout=timeout_s)


def test_it_starts_decides_on_every_edge_and_ends_well(rules: Path) -> None:
    with Service(rules) as service:
        with calling(service.grpc_address) as stub:
            assert ask(stub).statuses[0].limit_remaining == 999
        assert '"limitRemaining": 999' in service.post_json(CALL).body
        assert "demo.user" in service.get_admin("/rlconfig").body
        assert "ratelimit_ready 1.0" in service.metrics()

        assert service.end() == 0
        assert "Traceback" not in service.output


def test_without_flags_the_example_rules_are_served_from_memory() -> None:
    with Service() as service:
        start_early_in_a_minute()
        codes = [service.post_json(CALL).status for _ in range(4)]
        assert service.end() == 0

    assert codes == [200, 200, 200, 429]


def test_logs_are_json_where_that_is_asked_for(rules: Path) -> None:
    environment = {"LOG_FORMAT": "json", "LOG_LEVEL": "debug"}
    with Service(rules, environment=environment) as service:
        service.post_json(CALL)
        service.end()
        events = [json.loads(line)["event"] for line in service.output.splitlines()]

    assert {"rules in force", "listening", "decided", "draining", "stopped"} <= set(events)


def test_calls_under_way_finish_in_a_drain(rules: Path, standalone_server: Standalone) -> None:
    """F57."""
    with (
        Service(rules, store=standalone_server.url) as service,
        calling(service.grpc_address) as stub,
    ):
        assert ask(stub).overall_code == OK
        standalone_server.pause()
        message = request(asking("user"), domain="demo")
        slow = [stub.ShouldRateLimit.future(message, timeout=10) for _ in range(3)]
        # Calls of one connection arrive in order, and this one does not need the store.
        with pytest.raises(grpc.RpcError, match="domain must not be empty"):
            stub.ShouldRateLimit(request(domain=""), timeout=10)
        service.process.terminate()
        wait_until(lambda: "draining" in service.output, "the drain to begin")
        standalone_server.resume()

        assert [call.result().overall_code for call in slow] == [OK] * 3
        assert service.process.wait() == 0


def test_health_turns_bad_while_calls_are_still_answered(rules: Path) -> None:
    """F57. And who will not wait sends a second signal."""
    with (
        Service(rules, environment={"DRAIN_DELAY": "1h"}) as service,
        calling(service.grpc_address) as stub,
    ):
        service.process.terminate()
        service.wait_until_answers("/healthcheck", 500)

        assert service.get("/readyz").status == 503
        assert ask(stub).overall_code == OK
        assert service.end() == 1


def test_a_store_that_is_away_at_start_is_waited_for(
    rules: Path, standalone_server: Standalone
) -> None:
    """F31, F33."""
    standalone_server.stop()
    service = Service(rules, store=standalone_server.url)
    try:
        service.start(ready_path="/healthcheck")
        assert service.get("/readyz").status == 503
        with calling(service.grpc_address) as stub:
            with pytest.raises(grpc.RpcError) as caught:
                ask(stub)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

            standalone_server.start()
            service.wait_until_answers("/readyz", 200)
            assert ask(stub).overall_code == OK

            standalone_server.kill()
            service.wait_until_answers("/readyz", 503)
            assert service.get("/healthcheck").status == 200
            standalone_server.start()
            service.wait_until_answers("/readyz", 200)
            assert ask(stub).overall_code == OK
        assert service.end() == 0
    finally:
        service.process.stop()
    assert "Traceback" not in service.output


def test_it_may_start_without_rules_and_wait_for_them(tmp_path: Path) -> None:
    environment = {"FORCE_START_WITHOUT_INITIAL_CONFIG": "true"}
    service = Service(tmp_path, environment=environment)
    try:
        service.start(ready_path="/healthcheck")
        assert service.get("/readyz").status == 503
        refused = service.post_json(CALL)
        assert refused.status == 400
        assert "no rate limit configuration loaded" in refused.body

        (tmp_path / "rules.yaml").write_text(RULES)
        service.wait_until_answers("/readyz", 200)
        assert service.post_json(CALL).status == 200
    finally:
        service.process.stop()


def test_rules_that_turn_bad_leave_those_before_in_force(rules: Path) -> None:
    """F44."""
    with Service(rules) as service:
        rules.write_text("domain: demo\ndescriptors: [{kex: user}]\n")
        wait_until(lambda: "rules not loaded" in service.output, "the error to be logged")

        assert service.post_json(CALL).status == 200
        assert f"{rules}:2:" in service.output
        assert 'ratelimit_rule_loads_total{result="failed"} 1.0' in service.metrics()


def test_unix_sockets_on_every_edge(rules: Path, tmp_path: Path) -> None:
    grpc_path, http_path = tmp_path / "grpc.sock", tmp_path / "http.sock"
    service = Service(
        rules,
        *("--grpc-address", f"unix:{grpc_path}"),
        *("--http-address", f"unix:{http_path}"),
        *("--admin-address", f"unix:{tmp_path / 'admin.sock'}"),
    )
    try:
        service.process.start(lambda: "the store answers" in service.output)
        with calling(UnixAddress(grpc_path)) as stub:
            assert ask(stub).overall_code == OK
        assert service.end() == 0
    finally:
        service.process.stop()
    assert not list(tmp_path.glob("*.sock"))
