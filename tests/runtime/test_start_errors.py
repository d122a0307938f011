"""What stands in the way of a start: a clear text, an exit code, and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.service import PROGRAM

FREE = "127.0.0.1:0"
ADDRESSES = ("--grpc-address", FREE, "--http-address", FREE, "--admin-address", FREE)


def serve(
    *flags: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``serve``, which must end by itself."""
    return subprocess.run(
        [PROGRAM, "serve", *ADDRESSES, *flags],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def complaint(ended: subprocess.CompletedProcess[str]) -> str:
    """Return what the program says of its end; log lines may stand before it."""
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr, ended.stderr
    before, found, said = ended.stderr.partition("ratelimit-service: ")
    assert found, ended.stderr
    assert "rror" not in before, before
    return said.rstrip()


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        ended = serve("--grpc-address", taken)

    reason, advice = complaint(ended).splitlines()
    assert reason == f"cannot listen on {taken}: Address already in use"
    assert "--grpc-address" in advice


def test_wrong_rules_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("domain: a\ndescriptors: [{kex: user}]\n")
    (tmp_path / "b.yaml").write_text("domain: ''\n")

    first, *errors = complaint(serve("--config", str(tmp_path))).splitlines()

    assert first == "the rules cannot be loaded"
    assert any(f"{tmp_path}/a.yaml:2:" in error for error in errors)
    assert any(f"{tmp_path}/b.yaml:1:" in error for error in errors)


def test_a_missing_rule_file_is_named(tmp_path: Path) -> None:
    ended = serve("--config", str(tmp_path / "missing.yaml"))

    assert f"{tmp_path}/missing.yaml" in complaint(ended)


def test_certificates_that_are_none_are_named(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_text("no certificate")
    key.write_text("no key")
    environment = {
        "GRPC_SERVER_USE_TLS": "true",
        "GRPC_SERVER_TLS_CERT": str(certificate),
        "GRPC_SERVER_TLS_KEY": str(key),
    }

    ended = serve(environment=environment)

    assert f"{certificate} and {key} cannot be used: " in complaint(ended)
