from __future__ import annotations

from pathlib import Path

import pytest

from ratelimit_service.cli import main
from ratelimit_service.resources import example_rules


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MERGE_DOMAIN_CONFIG", "RUNTIME_IGNOREDOTFILES"):
        monkeypatch.delenv(name, raising=False)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_right_files_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(example_rules())]) == 0

    assert capsys.readouterr().out == "OK: 4 files, 4 domains, 16 rules\n"


def test_a_file_that_two_paths_lead_to_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.yaml", "domain: a\n")

    assert main(["check-config", str(tmp_path), path]) == 0

    assert capsys.readouterr().out == "OK: 1 file, 1 domain, 0 rules\n"


def test_each_error_is_a_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "one.yaml", "domain: a\ndescriptors:\n- kye: b\n")
    two = write(tmp_path / "two.yaml", "domain: [\n")
    gone = str(tmp_path / "gone.yaml")

    assert main(["check-config", one, two, gone]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{one}:3:3: unknown key `kye`; did you mean `key`?"
    assert lines[1].startswith(f"{two}:2:1: broken YAML: ")
    assert lines[2].startswith(f"{gone}: cannot be read: No such file or directory")


def test_paths_are_checked_as_one_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write(tmp_path / name, "domain: same\n") for name in ("a.yaml", "b.yaml")]

    assert main(["check-config", *paths]) == 1
    assert "domain `same` is defined already" in capsys.readouterr().out
    assert main(["check-config", "--merge-domains", *paths]) == 0


def test_without_a_path_the_usage_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["check-config"])

    assert raised.value.code == 2
    assert "PATH" in capsys.readouterr().err


def test_a_wrong_variable_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MERGE_DOMAIN_CONFIG", "maybe")

    assert main(["check-config", str(example_rules())]) == 2

    assert "MERGE_DOMAIN_CONFIG: `maybe` is not a boolean" in capsys.readouterr().err
