from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

from ratelimit_service.admin.console import admin_app
from ratelimit_service.admin.rules import RulesReport, RulesView
from ratelimit_service.config.load import load_rules
from ratelimit_service.config.settings import RulesSettings, TcpAddress
from ratelimit_service.config.watch import RulesStatus
from ratelimit_service.core.judge import Code, Decision, Result, Status
from ratelimit_service.errors import ConfigError, Place
from ratelimit_service.telemetry.prometheus import PrometheusRecorder
from tests.admin.conftest import LOOPBACK, Serve

RULES = """\
domain: shop
descriptors:
  - key: user
    value: ann
    shadow_mode: true
    rate_limit: {unit: minute, requests_per_unit: 5}
  - key: user
    rate_limit: {unlimited: true}
    descriptors:
      - key: path
        quota_mode: true
        rate_limit: {unit: day, requests_per_unit: 7, name: paths, replaces: [{name: b}, {name: a}]}
"""

AT = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def report(rules_file: Path) -> RulesReport:
    return RulesReport(load_rules(RulesSettings(rules_file)), RulesStatus(AT, 3))


def _showing(report: RulesReport) -> RulesView:
    return lambda: report


async def _text(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_rlconfig_dumps_the_rules_as_the_reference_does_with_their_places(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport, rules_file: Path
) -> None:
    url = await serve(admin_app(LOOPBACK, _showing(report), PrometheusRecorder().registry))
    plain = "shadow_mode: false, quota_mode: false"
    shadow = "shadow_mode: true, quota_mode: false"
    quota = "shadow_mode: false, quota_mode: true"
    assert (await _text(http, f"{url}/rlconfig")).splitlines() == [
        "# 3 rules in force since 2023-11-14T22:13:20+00:00",
        f"shop.user_ann: unit=MINUTE requests_per_unit=5, {shadow}  # {rules_file}:3",
        f"shop.user: unit=UNKNOWN requests_per_unit=0, {plain}, unlimited: true  # {rules_file}:7",
        f"shop.user.path: unit=DAY requests_per_unit=7, {quota}  # {rules_file}:10",
    ]


async def test_rlconfig_shows_an_error_with_its_place_beside_the_rules_in_force_f44(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport
) -> None:
    error = ConfigError(Place("new.yaml", 4, 9), "unknown key 'unti'")
    failed = RulesReport(report.rules, RulesStatus(AT, 3, error, AT + 60))
    url = await serve(admin_app(LOOPBACK, _showing(failed), PrometheusRecorder().registry))
    first, *_, last = (await _text(http, f"{url}/rlconfig")).splitlines()
    assert first == (
        "# not in force since 2023-11-14T22:14:20+00:00: new.yaml:4:9: unknown key 'unti'"
    )
    assert last.startswith("shop.user.path: ")
    async with http.get(f"{url}/rlconfig", headers={"Accept": "application/json"}) as answer:
        document = await answer.json()
    assert document["error"] == {
        "at": "2023-11-14T22:14:20+00:00",
        "file": "new.yaml",
        "line": 4,
        "column": 9,
        "reason": "unknown key 'unti'",
        "text": "new.yaml:4:9: unknown key 'unti'",
    }
    assert len(document["rules"]) == 3


async def test_rlconfig_as_json(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport, rules_file: Path
) -> None:
    url = await serve(admin_app(LOOPBACK, _showing(report), PrometheusRecorder().registry))
    async with http.get(f"{url}/rlconfig", headers={"Accept": "application/json"}) as answer:
        document = await answer.json()
    assert document["loaded_at"] == "2023-11-14T22:13:20+00:00"
    assert document["error"] is None
    assert document["rules"][2] == {
        "title": "shop.user.path",
        "unit": "DAY",
        "requests_per_unit": 7,
        "unlimited": False,
        "shadow_mode": False,
        "quota_mode": True,
        "name": "paths",
        "replaces": ["a", "b"],
        "limits": [
            {
                "name": "paths",
                "measure": "requests",
                "amount": 7,
                "window": "day",
                "algorithm": "fixed_window",
                "shadow_mode": False,
            }
        ],
        "file": str(rules_file),
        "line": 10,
    }


async def test_rlconfig_before_any_rules(serve: Serve, http: aiohttp.ClientSession) -> None:
    empty = RulesReport(None, RulesStatus())
    url = await serve(admin_app(LOOPBACK, _showing(empty), PrometheusRecorder().registry))
    assert await _text(http, f"{url}/rlconfig") == "# no rules in force yet\n"


async def test_stats_are_a_line_for_each_count(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport, recorder: PrometheusRecorder
) -> None:
    assert report.rules is not None
    recorder.rules_loaded(report.rules)
    statuses = tuple(
        Status(Code.OK, Result.WITHIN, title) for title in ("shop.user", "shop.user_a\nforged: 1")
    )
    recorder.decided("shop", Decision(Code.OK, statuses), 0.5)
    url = await serve(admin_app(LOOPBACK, _showing(report), recorder.registry))
    lines = (await _text(http, f"{url}/stats")).splitlines()
    assert "ratelimit_decisions_total.shop.shop.user.within: 1" in lines
    assert "ratelimit_decisions_total.shop.shop.user_ann.within: 0" in lines
    assert r"ratelimit_decisions_total.shop.shop.user_a\nforged: 1.within: 1" in lines
    assert "ratelimit_decision_duration_seconds_sum: 0.5" in lines
    assert not any("_bucket" in line for line in lines)


async def test_the_index_names_every_endpoint(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport
) -> None:
    app = admin_app(LOOPBACK, _showing(report), PrometheusRecorder().registry)
    url = await serve(app)
    paths = {resource.canonical for resource in app.router.resources()} - {"/"}
    listed = {line.split()[0] for line in (await _text(http, f"{url}/")).splitlines()}
    assert listed == paths


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:6070", 200),
        ("127.0.0.1", 200),
        ("[::1]:6070", 200),
        ("LOCALHOST", 200),
        ("attacker.example", 403),
        ("[attacker.example", 403),
        ("127.0.0.1.attacker.example:6070", 403),
        ("localhost.attacker.example", 403),
    ],
)
async def test_a_name_that_was_made_to_resolve_to_loopback_is_refused(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport, host: str, status: int
) -> None:
    url = await serve(admin_app(LOOPBACK, _showing(report), PrometheusRecorder().registry))
    async with http.get(f"{url}/rlconfig", headers={"Host": host}) as answer:
        assert answer.status == status
        assert ("shop.user" in await answer.text()) == (status == 200)


async def test_an_address_for_other_hosts_answers_to_any_name(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport
) -> None:
    everywhere = TcpAddress("0.0.0.0", 0)
    app = admin_app(everywhere, _showing(report), PrometheusRecorder().registry)
    url = await serve(app, everywhere)
    async with http.get(f"{url}/rlconfig", headers={"Host": "ratelimit.prod.svc"}) as answer:
        assert answer.status == 200


async def test_the_report_is_taken_when_the_request_comes(
    serve: Serve, http: aiohttp.ClientSession, report: RulesReport
) -> None:
    shown = RulesReport(None, RulesStatus())
    url = await serve(admin_app(LOOPBACK, lambda: shown, PrometheusRecorder().registry))
    await _text(http, f"{url}/rlconfig")
    shown = RulesReport(report.rules, RulesStatus(time.time(), 3))
    assert "shop.user_ann: " in await _text(http, f"{url}/rlconfig")
