"""deploy/envoy/override.yaml: the limit comes with the caller's token."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.envoy import Answer, Config, Envoy, Hosts
from tests.support.service import Service
from tests.support.upstream import Upstream

RULES = """
domain: demo
descriptors:
  - key: user
    rate_limit: {unit: year, requests_per_unit: 1}
"""
KEY = secrets.token_bytes(32)
YEAR_S = 365 * 24 * 3600


@pytest.fixture(scope="module")
def envoy(
    store_url: str, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    folder = tmp_path_factory.mktemp("override")
    (folder / "demo.yaml").write_text(RULES)
    keys = folder / "jwks.json"
    keys.write_text(json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": _base64(KEY)}]}))
    with (
        Service(folder, store=store_url) as service,
        Envoy(_config(keys).at(Hosts((service.grpc_address,), upstream.address))) as envoy,
    ):
        yield envoy


def _config(keys: Path) -> Config:
    config = Config("override")
    (provider,) = config.http_filter("envoy.filters.http.jwt_authn")["providers"].values()
    provider["local_jwks"]["filename"] = str(keys)
    return config


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _token(claims: Mapping[str, object]) -> str:
    parts = ({"alg": "HS256"}, {"iss": "plans", **claims})
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_base64(hmac.digest(KEY, signed.encode(), 'sha256'))}"


def _call(envoy: Envoy, user: str, limit: dict[str, object] | None = None) -> Answer:
    claims = {"sub": user} if limit is None else {"sub": user, "limit": limit}
    return envoy.call(authorization=f"Bearer {_token(claims)}")


def test_the_limit_in_the_token_takes_the_place_of_the_rule(envoy: Envoy, user: str) -> None:
    limit: dict[str, object] = {"requests_per_unit": 3, "unit": "YEAR"}

    answers = [_call(envoy, user, limit) for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit"] == f"3, 3;w={YEAR_S}"


def test_a_token_without_a_limit_falls_back_to_the_rule(envoy: Envoy, user: str) -> None:
    assert [_call(envoy, user).status for _ in range(2)] == [200, 429]


def test_a_larger_limit_for_the_same_user_lets_calls_pass_again(envoy: Envoy, user: str) -> None:
    small: dict[str, object] = {"requests_per_unit": 1, "unit": "YEAR"}
    large: dict[str, object] = {"requests_per_unit": 10, "unit": "YEAR"}

    assert [_call(envoy, user, small).status for _ in range(2)] == [200, 429]
    assert _call(envoy, user, large).status == 200


def test_a_call_without_a_token_is_turned_away_before_the_service_is_asked(envoy: Envoy) -> None:
    assert envoy.call().status == 401
