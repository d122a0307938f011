from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.unsupported import IGNORED

GUIDE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


class Recorded(Mapping[str, str]):
    """An environment that notes which variables are asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.asked: set[str] = set()
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def table(heading: str) -> list[str]:
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_guide_lists_exactly_the_variables_that_are_read(tmp_path: Path) -> None:
    pem = tmp_path / "any.pem"
    pem.touch()
    environ = Recorded(
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
