"""Rules change while calls flow: no call fails, and the new rules hold within two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.traffic import Traffic
from tests.support.envoy import Config, Envoy, Hosts
from tests.support.processes import wait_until
from tests.support.service import Service
from tests.support.upstream import Upstream

IN_FORCE_WITHIN_S: Final = 2.0


def _rules(limit: int) -> str:
    return f"""
domain: demo
descriptors:
  - key: user
    rate_limit: {{unit: year, requests_per_unit: {limit}}}
"""


class ConfigMap:
    """A folder that is filled as Kubernetes fills a volume from a ConfigMap.

    The files are links through ``..data``, which is itself a link to a dated folder. An
    update writes a new dated folder and swaps that one link.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0

    def write(self, text: str) -> None:
        self._versions += 1
        version = self.folder / f"..2026_{self._versions:04}"
        version.mkdir()
        (version / "demo.yaml").write_text(text)
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.replace(self.folder / "..data")
        if self._versions == 1:
            (self.folder / "demo.yaml").symlink_to(Path("..data") / "demo.yaml")


@pytest.fixture
def rules(tmp_path: Path) -> ConfigMap:
    mounted = ConfigMap(tmp_path)
    mounted.write(_rules(1_000_000))
    return mounted


@pytest.fixture
def service(rules: ConfigMap) -> Iterator[Service]:
    with Service(rules.folder, store="memory://") as service:
        yield service


@pytest.fixture
def envoy(service: Service, upstream: Upstream) -> Iterator[Envoy]:
    # Fail closed, so that a decision that fails shows.
    config = Config("basic").with_filter(failure_mode_deny=True)
    with Envoy(config.at(Hosts((service.grpc_address,), upstream.address))) as envoy:
        yield envoy


def _limit(envoy: Envoy) -> int:
    return int(envoy.call(x_user_id="reader").headers["x-ratelimit-limit"].split(",")[0])


def _expect_limit(envoy: Envoy, limit: int) -> None:
    wait_until(lambda: _limit(envoy) == limit, f"a limit of {limit}", IN_FORCE_WITHIN_S)


def test_an_edit_and_a_swapped_link_come_into_force_under_traffic(
    envoy: Envoy, rules: ConfigMap, user: str
) -> None:
    """F45."""
    with Traffic(lambda: envoy.call(x_user_id=user)) as traffic:
        rules.write(_rules(2_000_000))
        _expect_limit(envoy, 2_000_000)

        (rules.folder / "..data" / "demo.yaml").write_text(_rules(3_000_000))
        _expect_limit(envoy, 3_000_000)

        replacement = rules.folder / "demo.yaml.new"
        replacement.write_text(_rules(4_000_000))
        replacement.replace(rules.folder / "demo.yaml")
        _expect_limit(envoy, 4_000_000)
        traffic.flow()

    assert set(traffic.statuses) == {200}


def test_wrong_rules_change_nothing_but_are_seen(
    envoy: Envoy, service: Service, rules: ConfigMap, user: str
) -> None:
    """F44."""
    rejected = 'ratelimit_rule_loads_total{result="failed"} 1.0'
    with Traffic(lambda: envoy.call(x_user_id=user)) as traffic:
        rules.write("domain: demo\ndescriptors:\n  - kye: user\n")
        wait_until(lambda: rejected in service.metrics(), "rejected", IN_FORCE_WITHIN_S)
        traffic.flow()
        assert _limit(envoy) == 1_000_000

        rules.write(_rules(2_000_000))
        _expect_limit(envoy, 2_000_000)

    assert set(traffic.statuses) == {200}
    assert "demo.yaml:3:" in service.output
    # Once at the start, and once for the rules that were right again.
    assert 'ratelimit_rule_loads_total{result="ok"} 2.0' in service.metrics()
