from __future__ import annotations

import io
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_fd_to_metric_families as parse

from ratelimit_service.admin import service
from ratelimit_service.admin.service import service_app
from ratelimit_service.health import RULES, STORE, Health
from ratelimit_service.telemetry.prometheus import PrometheusRecorder
from tests.admin.conftest import Serve


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes


@dataclass
class _Decider:
    """Stands where the gRPC edge's JSON form will; it is not under test here."""

    answer: _Answer
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, body: bytes, timeout_s: float | None) -> _Answer:
        assert timeout_s is None
        self.bodies.append(body)
        return self.answer


@pytest.fixture
def decider() -> _Decider:
    return _Decider(_Answer(429, b'{"overallCode": "OVER_LIMIT"}'))


@pytest.fixture
async def url(serve: Serve, decider: _Decider, health: Health, recorder: PrometheusRecorder) -> str:
    return await serve(service_app(decider, health, recorder.registry))


async def test_json_is_answered_as_decided(
    url: str, http: aiohttp.ClientSession, decider: _Decider
) -> None:
    async with http.post(f"{url}/json", data=b'{"domain": "shop"}') as answer:
        assert answer.status == 429
        assert answer.content_type == "application/json"
        assert await answer.read() == b'{"overallCode": "OVER_LIMIT"}'
    assert decider.bodies == [b'{"domain": "shop"}']


async def test_a_body_above_the_bound_is_refused_undecided(
    url: str, http: aiohttp.ClientSession, decider: _Decider
) -> None:
    body = io.BytesIO(bytes(service.MAX_BODY_BYTES + 1))
    async with http.post(f"{url}/json", data=body) as answer:
        assert answer.status == 413
    assert not decider.bodies


async def test_a_body_that_never_ends_is_refused(
    url: str,
    http: aiohttp.ClientSession,
    decider: _Decider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "BODY_TIMEOUT_S", 0.05)
    headers = {"Content-Length": "100"}
    async with http.post(f"{url}/json", headers=headers, skip_auto_headers=()) as answer:
        assert answer.status == 408
    assert not decider.bodies


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/json", 405),
        ("POST", "/healthcheck", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/rlconfig", 404),
        ("GET", "/json/../../etc/passwd", 404),
    ],
)
async def test_wrong_methods_and_paths_get_a_plain_4xx(
    url: str, http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with http.request(method, f"{url}{path}") as answer:
        assert answer.status == status
        assert answer.content_type == "text/plain"


async def test_healthcheck_turns_bad_with_a_dead_task_and_when_draining_f57_f58(
    url: str, http: aiohttp.ClientSession, health: Health
) -> None:
    async def ask() -> tuple[int, str]:
        async with http.get(f"{url}/healthcheck") as answer:
            return answer.status, await answer.text()

    health.working(RULES)
    health.working(STORE)
    assert await ask() == (200, "OK")
    health.failing("rules watcher", "failed: OSError")
    assert await ask() == (500, "not_ready, rules watcher")
    health.working("rules watcher")
    assert await ask() == (200, "OK")
    health.drain()
    assert await ask() == (500, "draining")


async def test_readyz_says_what_is_missing_f31(
    url: str, http: aiohttp.ClientSession, health: Health
) -> None:
    async def ask() -> tuple[int, object]:
        async with http.get(f"{url}/readyz") as answer:
            return answer.status, await answer.json()

    health.working(RULES)
    health.failing(STORE, "connection refused")
    problems = {"store": "connection refused"}
    assert await ask() == (503, {"ready": False, "state": "starting", "problems": problems})
    health.working(STORE)
    assert await ask() == (200, {"ready": True, "state": "ready", "problems": {}})
    health.failing(STORE, "connection refused")
    assert await ask() == (503, {"ready": False, "state": "not_ready", "problems": problems})


async def test_metrics_come_in_the_format_of_prometheus(
    url: str, http: aiohttp.ClientSession, recorder: PrometheusRecorder
) -> None:
    recorder.store_failed("timeout")
    async with http.get(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    families = {family.name: family for family in parse(io.StringIO(text))}
    assert families["ratelimit_store_failures"].samples[0].labels == {"kind": "timeout"}


async def test_metrics_come_as_openmetrics_where_that_is_accepted(
    url: str, http: aiohttp.ClientSession
) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    async with http.get(f"{url}/metrics", headers=accept) as answer:
        assert answer.content_type == "application/openmetrics-text"
        text = await answer.text()
    families = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # the library's own
    assert "ratelimit_decisions" in {family.name for family in families}
