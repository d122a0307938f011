"""Each file under deploy/ passes the linter of its kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.settings import DEPLOY
from tests.support.envoy import CONFIGS, ENVOY, Config

BIN = Path(sys.executable).parent


def _passes(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_hadolint() -> None:
    _passes(BIN / "hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")


def test_the_compose_file_fits_the_compose_specification() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    _passes(BIN / "check-jsonschema", *schema, DEPLOY / "compose.yaml")


@pytest.mark.parametrize(
    "manifest", sorted((DEPLOY / "kubernetes").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_manifest_fits_the_kubernetes_api(manifest: Path) -> None:
    _passes(BIN / "kubernetes-validate", "--strict", manifest)


def test_all_yaml_is_tidy() -> None:
    _passes(BIN / "yamllint", "--strict", "--config-file", DEPLOY / ".yamllint", DEPLOY)


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in CONFIGS.glob("*.yaml")), ids=lambda name: name
)
def test_envoy_accepts_the_configuration_as_it_is_shipped(name: str, tmp_path: Path) -> None:
    config = Config(name)
    if name == "override":
        # The one file that a configuration needs beside it is the user's own.
        keys = tmp_path / "jwks.json"
        keys.write_text('{"keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}]}')
        (provider,) = config.http_filter("envoy.filters.http.jwt_authn")["providers"].values()
        provider["local_jwks"]["filename"] = str(keys)
    shipped = tmp_path / f"{name}.json"
    shipped.write_text(json.dumps(config.tree))

    _passes(ENVOY, "--mode", "validate", "--use-dynamic-base-id", "-c", shipped)
