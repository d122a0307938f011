from __future__ import annotations

import gc
from pathlib import Path

import pytest

from ratelimit_service.config import yaml_tree
from ratelimit_service.config.load import check_rules, load_rules
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Match, RuleSet
from ratelimit_service.core.units import MAX_AMOUNT, Unit
from ratelimit_service.errors import Place
from tests.config.files import load, write


def matched(rules: RuleSet, *entries: tuple[str, str], domain: str = "d") -> Match:
    match = rules.match(domain, [Entry(key, value) for key, value in entries])
    assert match is not None
    return match


def test_every_key_reaches_the_rule(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        domain: d
        descriptors:
        - key: team
          value: core
          descriptors:
          - key: user
            value: a*
            share_threshold: true
            shadow_mode: true
            quota_mode: yes
            detailed_metric: true
            metadata: {tier: gold, weights: [1, 2.5], nested: {deep: true, none: null}}
            rate_limit:
              name: mine
              unit: HOUR
              requests_per_unit: 7
              replaces: [{name: other}, {name: third}]
        """,
    )

    rule = matched(rules, ("team", "core"), ("user", "ann")).rule

    assert rule.place == Place(str(tmp_path / "rules.yaml"), 6, 5)
    assert rule.title == "d.team_core.user_a*"
    assert rule.limits == (Limit.per(7, Unit.HOUR, "mine"),)
    assert (rule.name, set(rule.replaces)) == ("mine", {"other", "third"})
    assert rule.shadow_mode
    assert rule.quota_mode
    assert rule.detailed_metric
    assert not rule.unlimited
    assert rule.metadata == {
        "tier": "gold",
        "weights": [1, 2.5],
        "nested": {"deep": True, "none": None},
    }


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_units_in_any_case(tmp_path: Path, unit: Unit, change: object) -> None:
    assert callable(change)
    text = f"unit: {change(unit.name)}, requests_per_unit: 1"
    rules = load(tmp_path, f"domain: d\ndescriptors: [{{key: a, rate_limit: {{{text}}}}}]\n")

    assert matched(rules, ("a", "x")).rule.limits == (Limit.per(1, unit),)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("010", "010"),
        ("true", "true"),
        ("No", "No"),
        ("1.50", "1.50"),
        ("0x1F", "0x1F"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", "1e3"),
        ("'*'", "*"),
        ("'null'", "null"),
        ('"a b"', "a b"),
        ("1:30", "1:30"),
    ],
)
def test_a_value_is_the_text_that_is_written(tmp_path: Path, written: str, text: str) -> None:
    rules = load(
        tmp_path,
        f"""\
        domain: {written}
        descriptors:
        - key: {written}
          value: {written}
          rate_limit: {{unlimited: true, name: {written}}}
        """,
    )

    assert matched(rules, (text, text), domain=text).rule.name == text


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0", 0),
        ("", 0),
        ("+5", 5),
        ("1_000", 1000),
        ("0x10", 16),
        ("4294967296", 2**32),
        (str(MAX_AMOUNT), MAX_AMOUNT),
    ],
)
def test_whole_numbers_are_limits(tmp_path: Path, written: str, amount: int) -> None:
    rules = load(
        tmp_path,
        f"""\
        domain: d
        descriptors:
        - key: a
          rate_limit:
            unit: second
            requests_per_unit: {written}
        """,
    )

    assert matched(rules, ("a", "x")).rule.limits == (Limit.per(amount, Unit.SECOND),)


def test_a_limit_without_requests_per_unit_is_0(tmp_path: Path) -> None:
    rules = load(tmp_path, "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day}}]\n")

    assert matched(rules, ("a", "x")).rule.limits == (Limit.per(0, Unit.DAY),)


def test_empty_values_stand_for_absent_keys(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        domain: d
        descriptors:
        - key: a
          value:
          shadow_mode:
          metadata:
          descriptors:
          rate_limit: {unlimited: true, unit: , replaces: }
        - key: b
          rate_limit:
        """,
    )

    assert matched(rules, ("a", "anything")).rule.unlimited
    assert rules.domains["d"].by_key["b"].rule is None


def test_a_file_may_hold_a_domain_alone(tmp_path: Path) -> None:
    assert load(tmp_path, "domain: d\n").match("d", [Entry("a", "b")]) is None


def test_aliases_and_merge_keys_are_followed(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        domain: d
        descriptors:
        - key: a
          rate_limit: &limit {unit: minute, requests_per_unit: 5}
        - key: b
          rate_limit: *limit
        - key: c
          rate_limit:
            <<: *limit
            requests_per_unit: 6
        """,
    )

    assert matched(rules, ("b", "")).rule.limits == (Limit.per(5, Unit.MINUTE),)
    assert matched(rules, ("c", "")).rule.limits == (Limit.per(6, Unit.MINUTE),)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbfdomain: d\n")

    assert set(load_rules(RulesSettings(path)).domains) == {"d"}


def test_a_folder_gives_its_yaml_files_and_no_others(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yml", ".hidden.yaml", "three.json", "four.yaml.bak"):
        write(tmp_path, f"domain: {name}\n", name)
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", "domain: below\n")

    every = load_rules(RulesSettings(tmp_path))
    shown = load_rules(RulesSettings(tmp_path, ignore_dotfiles=True))

    assert set(every.domains) == {"one.yaml", "two.yml", ".hidden.yaml"}
    assert set(shown.domains) == {"one.yaml", "two.yml"}


def test_files_beside_the_folder_count_where_asked(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    write(tmp_path / "config", "domain: inside\n")
    write(tmp_path, "domain: beside\n", "config.more.yaml")
    write(tmp_path, "domain: other\n", "other.yaml")
    folder = tmp_path / "config"

    assert set(load_rules(RulesSettings(folder)).domains) == {"inside"}
    both = load_rules(RulesSettings(folder, with_siblings=True))
    assert set(both.domains) == {"inside", "beside"}


def test_maps_without_aliases_are_not_taken_for_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_tree, "MAX_REPEATED", 5)

    rules = load(
        tmp_path, "domain: d\ndescriptors:\n" + "".join(f"- key: k{n}\n" for n in range(9))
    )

    assert len(rules.domains["d"].by_key) == 9


@pytest.mark.parametrize("text", ["domain: d\n", "domain: [\n"])
@pytest.mark.parametrize("collects", [True, False])
def test_a_load_leaves_the_garbage_collector_as_it_was(
    tmp_path: Path, text: str, *, collects: bool
) -> None:
    path = write(tmp_path, text)
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        check_rules(RulesSettings(path))
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()
