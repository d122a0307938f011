"""The manifests fit together, and fit the service."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from ratelimit_service.transport.grpc_server import DRAIN_S
from tests.deploy.settings import DEPLOY, ports, read_settings
from tests.support.envoy import Config
from tests.support.service import PROGRAM, Service


def _manifest(name: str) -> Any:  # noqa: ANN401 - it has the shape that Kubernetes gives it
    return yaml.safe_load((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())


DEPLOYMENT = _manifest("deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
SERVICE = _manifest("service")


def _environment() -> dict[str, str]:
    """Return the variables, with what the comment in the manifest tells to put into the Secret."""
    secret = "rediss://:password@host:6379/0"
    assert secret in (DEPLOY / "kubernetes" / "deployment.yaml").read_text()
    return {each["name"]: each.get("value", secret) for each in CONTAINER["env"]}


def test_the_service_reads_every_variable_and_serves_on_the_named_ports() -> None:
    settings = read_settings(CONTAINER["args"], _environment())
    named = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}

    assert settings.store.tls is not None
    assert settings.store.credentials is not None
    assert set(named.values()) == ports(settings)
    for port in SERVICE["spec"]["ports"]:
        assert named[port["targetPort"]] == port["port"]
    annotations = DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]
    assert int(annotations["prometheus.io/port"]) == named["http"]


def test_there_is_time_to_drain() -> None:
    settings = read_settings(CONTAINER["args"], _environment())

    assert POD["terminationGracePeriodSeconds"] >= settings.drain_delay_s + DRAIN_S + 5


def test_selectors_find_the_pods() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    budget = _manifest("disruption-budget")["spec"]["selector"]["matchLabels"]
    (spread,) = POD["topologySpreadConstraints"]

    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == labels
    assert SERVICE["spec"]["selector"] == labels
    assert budget == labels
    assert spread["labelSelector"]["matchLabels"] == labels


def test_rules_are_mounted_as_a_folder_where_the_service_looks() -> None:
    (volume,) = POD["volumes"]
    (mount,) = CONTAINER["volumeMounts"]
    settings = read_settings(CONTAINER["args"], _environment())

    assert volume["configMap"]["name"] == _manifest("rules")["metadata"]["name"]
    assert volume["name"] == mount["name"]
    assert str(settings.rules.path) == mount["mountPath"]
    # A single file would not follow the ConfigMap.
    assert "subPath" not in mount


def test_the_rules_are_right_and_name_the_domains_of_the_envoy_configurations(
    tmp_path: Path,
) -> None:
    for name, text in _manifest("rules")["data"].items():
        (tmp_path / name).write_text(text)

    checked = subprocess.run(
        [PROGRAM, "check-config", tmp_path], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    served = {yaml.safe_load(text)["domain"] for text in _manifest("rules")["data"].values()}
    filters = [Config(name).ratelimit_filter for name in ("basic", "tokens", "override")]
    assert {each["domain"] for each in filters} <= served


def test_envoy_configurations_name_the_service() -> None:
    address = (SERVICE["metadata"]["name"], SERVICE["spec"]["ports"][0]["port"])
    for name in ("basic", "tokens", "override"):
        assert [(each.host, each.port) for each in Config(name).endpoints("ratelimit")] == [address]


def test_probes_ask_for_paths_that_answer() -> None:
    annotations = DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]
    probes = [CONTAINER[probe]["httpGet"] for probe in ("readinessProbe", "livenessProbe")]
    paths = [*(probe["path"] for probe in probes), annotations["prometheus.io/path"]]

    assert {probe["port"] for probe in probes} == {"http"}
    with Service() as service:
        assert [service.get(path).status for path in paths] == [200, 200, 200]


def test_the_container_may_do_nothing_that_it_does_not_need() -> None:
    image_user = next(
        line.split()[1].split(":")
        for line in (DEPLOY / "Dockerfile").read_text().splitlines()
        if line.startswith("USER ")
    )
    pod, container = POD["securityContext"], CONTAINER["securityContext"]

    assert pod["runAsNonRoot"] is True
    assert [str(pod["runAsUser"]), str(pod["runAsGroup"])] == image_user
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
