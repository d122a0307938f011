"""Wrong usage of ``serve``: exit code 2, one line, and the flag or variable by name."""

from __future__ import annotations

import pytest

from ratelimit_service.cli import main


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (["--grpc-address", "nonsense"], {}, "--grpc-address"),
        (["--http-address", "127.0.0.1:99999"], {}, "--http-address"),
        (["--admin-address", ""], {}, "--admin-address"),
        (["--store", "ftp://host"], {}, "--store"),
        ([], {"GRPC_PORT": "high"}, "GRPC_PORT"),
        ([], {"DRAIN_DELAY": "soon"}, "DRAIN_DELAY"),
        ([], {"BACKEND_TYPE": "memcache"}, "BACKEND_TYPE"),
        ([], {"GRPC_SERVER_USE_TLS": "true"}, "GRPC_SERVER_TLS_CERT"),
    ],
)
def test_wrong_usage_names_the_flag_or_the_variable(
    flags: list[str],
    environment: dict[str, str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    code = main(["serve", *flags])

    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(f"ratelimit-service: {named}")
    assert len(said.splitlines()) == 1
