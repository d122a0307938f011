from __future__ import annotations

import re
from pathlib import Path

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.unsupported import IGNORED
from tests.support.environment import WatchedEnvironment

GUIDE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def table(heading: str) -> list[str]:
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_guide_lists_exactly_the_variables_that_are_read(tmp_path: Path) -> None:
    pem = tmp_path / "any.pem"
    pem.touch()
    environ = WatchedEnvironment(
        {
            "GRPC_SERVER_USE_TLS": "true",
            "GRPC_SERVER_TLS_CERT": str(pem),
            "GRPC_SERVER_TLS_KEY": str(pem),
            "REDIS_URL": "h",
            "REDIS_TLS": "true",
        }
    )

    load_settings(Flags(), environ)

    documented = table("Environment variables")
    assert len(documented) == len(set(documented))
    assert set(documented) == environ.asked


def test_the_guide_lists_exactly_the_variables_without_effect() -> None:
    assert table("Variables of the reference without effect") == list(IGNORED)


def test_the_guide_lists_exactly_the_flags() -> None:
    flags = [name.split(" ")[0].removeprefix("--").replace("-", "_") for name in table("Flags")]

    assert flags == list(Flags.__dataclass_fields__)
