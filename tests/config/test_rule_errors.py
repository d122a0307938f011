from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratelimit_service.config.load import check_rules, load_rules
from ratelimit_service.config.parse import ParsedFile, parse_file
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.errors import ConfigError
from tests.config.files import errors_of, load, write

HEAD = "domain: d\ndescriptors:\n"
LIMIT = "rate_limit: {unit: minute, requests_per_unit: 1}"

CASES = {
    "empty domain": ("domain: ''\n", "1:9 domain: the domain is empty"),
    "null domain": ("domain:\n", "1:8 domain: the domain is empty"),
    "no domain": ("descriptors: []\n", "1:1 domain: the domain is empty"),
    "empty key": (HEAD + "- key: ''\n", "3:8 descriptors[0].key: a descriptor has an empty key"),
    "no key": (HEAD + "- value: v\n", "3:3 descriptors[0].key: a descriptor has an empty key"),
    "same key twice": (
        HEAD + "- key: a\n- key: a\n",
        "4:3 key `a` without a value stands twice at one level; first at",
    ),
    "same key and value twice": (
        HEAD + "- {key: a, value: b}\n- {key: a, value: b}\n",
        "4:3 key `a` with value `b` stands twice at one level; first at",
    ),
    "an empty value is no value": (
        HEAD + "- {key: a}\n- {key: a, value: ''}\n",
        "4:3 key `a` without a value stands twice",
    ),
    "same key twice below": (
        HEAD + "- key: a\n  descriptors:\n  - key: b\n  - key: b\n",
        "6:5 key `b` without a value stands twice",
    ),
    "unknown unit": (
        HEAD + "- key: a\n  rate_limit: {unit: minuts, requests_per_unit: 1}\n",
        "4:22 descriptors[0].rate_limit.unit: unknown unit `minuts`; write second, minute",
    ),
    "the wire's unit unknown": (
        HEAD + "- key: a\n  rate_limit: {unit: unknown, requests_per_unit: 1}\n",
        "4:22 descriptors[0].rate_limit.unit: unknown unit `unknown`",
    ),
    "no unit": (
        HEAD + "- key: a\n  rate_limit: {requests_per_unit: 1}\n",
        "4:15 descriptors[0].rate_limit.unit: the limit has no unit",
    ),
    "unit with unlimited": (
        HEAD + "- key: a\n  rate_limit: {unlimited: true, unit: day}\n",
        "4:39 descriptors[0].rate_limit.unit: a unit makes no sense with `unlimited: true`",
    ),
    "unit before unlimited": (
        HEAD + "- key: a\n  rate_limit: {unit: day, unlimited: true}\n",
        "4:22 descriptors[0].rate_limit.unit: a unit makes no sense with `unlimited: true`",
    ),
    "empty replaces": (
        HEAD + "- key: a\n  rate_limit: {unlimited: true, replaces: [{name: ''}]}\n",
        "4:51 descriptors[0].rate_limit.replaces[0].name: empty entry; give the `name`",
    ),
    "replaces without a name": (
        HEAD + "- key: a\n  rate_limit: {unlimited: true, replaces: [{}]}\n",
        "4:44 descriptors[0].rate_limit.replaces[0].name: empty entry; give the `name`",
    ),
    "replaces itself": (
        HEAD + "- key: a\n  rate_limit: {replaces: [{name: n}], name: n, unlimited: true}\n",
        "4:26 descriptors[0].rate_limit.replaces: a rule cannot replace itself",
    ),
    "share_threshold without wildcard": (
        HEAD + "- key: a\n  value: b\n  share_threshold: true\n",
        "5:20 descriptors[0].share_threshold: needs a value with a wildcard",
    ),
    "share_threshold without value": (
        HEAD + "- key: a\n  share_threshold: true\n",
        "4:20 descriptors[0].share_threshold: needs a value with a wildcard",
    ),
    "misspelled key of the file": (
        "domain: d\ndescriptor: []\n",
        "2:1 unknown key `descriptor`; did you mean `descriptors`?",
    ),
    "misspelled key of a descriptor": (
        HEAD + "- key: a\n  ratelimit: {}\n",
        "4:3 unknown key `ratelimit`; did you mean `rate_limit`?",
    ),
    "misspelled key of a limit": (
        HEAD + "- key: a\n  rate_limit: {unit: day, request_per_unit: 1}\n",
        "4:27 unknown key `request_per_unit`; did you mean `requests_per_unit`?",
    ),
    "misspelled key of replaces": (
        HEAD + "- key: a\n  rate_limit: {unlimited: true, replaces: [{nam: x}]}\n",
        "4:45 unknown key `nam`; did you mean `name`?",
    ),
    "key one level too high": (
        HEAD + "- key: a\n  requests_per_unit: 1\n",
        "4:3 unknown key `requests_per_unit`; it belongs inside `rate_limit`",
    ),
    "unknown key like no other": (
        "domain: d\nzzz: 1\n",
        "2:1 unknown key `zzz`; known here are domain, enforcement",
    ),
    "number as key": (HEAD + "- key: a\n  3: b\n", "4:3 keys must be text, not `3`"),
    "map as key": ("domain: d\n? {a: b}\n: c\n", "2:3 keys must be text, not a list or a map"),
    "key twice in a map": (
        HEAD + "- key: a\n  key: b\n",
        "4:3 the key `key` stands twice in this map; first at",
    ),
    "list of texts": (
        HEAD + "- just text\n",
        "3:3 descriptors[0] must be a map of keys and values",
    ),
    "list of lists": (HEAD + "- []\n", "3:3 descriptors[0] must be a map of keys and values"),
    "map for a list": (
        "domain: d\ndescriptors: {key: a}\n",
        "2:14 descriptors: must be a list; start each item with `- `",
    ),
    "list for a map": (
        HEAD + "- key: a\n  rate_limit: []\n",
        "4:15 descriptors[0].rate_limit must be a map of keys and values",
    ),
    "list for a text": (
        HEAD + "- key: [a]\n",
        "3:8 descriptors[0].key: must be a single value, not a list or a map",
    ),
    "list for a file": ("- domain: d\n", "1:1 the file must be a map of keys and values"),
    "text for a file": ("domain\n", "1:1 the file must be a map of keys and values"),
    "negative limit": (
        HEAD + "- key: a\n  rate_limit: {unit: day, requests_per_unit: -1}\n",
        "4:46 descriptors[0].rate_limit.requests_per_unit: must be between 0 and 9007199254740991",
    ),
    "limit too large to count": (
        HEAD + "- key: a\n  rate_limit: {unit: day, requests_per_unit: 9007199254740992}\n",
        "4:46 descriptors[0].rate_limit.requests_per_unit: must be between 0 and 9007199254740991",
    ),
    "limit with a fraction": (
        HEAD + "- key: a\n  rate_limit: {unit: day, requests_per_unit: 1.5}\n",
        "4:46 descriptors[0].rate_limit.requests_per_unit: must be a whole number",
    ),
    "limit as boolean": (
        HEAD + "- key: a\n  rate_limit: {unit: day, requests_per_unit: true}\n",
        "4:46 descriptors[0].rate_limit.requests_per_unit: must be a whole number",
    ),
    "limit in quotes": (
        HEAD + "- key: a\n  rate_limit: {unit: day, requests_per_unit: '5'}\n",
        "4:46 descriptors[0].rate_limit.requests_per_unit: must be a whole number without quotes",
    ),
    "limit in base 60": (
        HEAD + "- key: a\n  rate_limit: {unit: day, requests_per_unit: 1:30}\n",
        "4:46 descriptors[0].rate_limit.requests_per_unit: must be a whole number",
    ),
    "flag in quotes": (
        HEAD + "- key: a\n  shadow_mode: 'true'\n",
        "4:16 descriptors[0].shadow_mode: must be true or false, without quotes",
    ),
    "metadata that is no map": (
        HEAD + "- key: a\n  metadata: [1]\n",
        "4:13 descriptors[0].metadata: must be a map of keys and values",
    ),
    "merge of a text": ("<<: x\ndomain: d\n", "1:5 `<<` merges maps only"),
    "broken YAML": ("domain: d\n  descriptors: []\n", "2:14 broken YAML: mapping values are not"),
    "open bracket": ("domain: [\n", "2:1 broken YAML: "),
    "unknown alias": ("domain: *x\n", "1:9 broken YAML: "),
    "unprintable character": ("domain: d\n# \x01\n", "2:3 broken YAML: unprintable character"),
    "two documents": ("domain: d\n---\ndomain: e\n", "2:1 broken YAML: expected a single document"),
    "empty file": ("", "1:1 the file is empty"),
    "only a comment": ("# nothing\n", "1:1 the file is empty"),
    "nested without end": ("domain: " + "[" * 5000, "1:108 nested deeper than 100 levels"),
    "alias of itself": ("domain: d\nmetadata: &m [*m]\n", "2:11 nested deeper than 100 levels"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_names_its_place_and_what_to_do(tmp_path: Path, case: str) -> None:
    text, expected = CASES[case]

    first, *_ = errors_of(tmp_path, text)

    assert first.startswith(expected)


def test_few_lines_of_aliases_cannot_fill_the_memory(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    (error,) = errors_of(tmp_path, "\n".join(levels))

    assert "aliases repeat more than 100000 values" in error


def test_all_errors_of_a_file_are_named_in_order(tmp_path: Path) -> None:
    errors = errors_of(
        tmp_path,
        """\
        domain: d
        descriptors:
        - key: ''
        - key: b
          rate_limit: {unit: yearly, requests_per_unit: -5}
          shadow: true
        """,
    )

    assert [error.split(" ")[0] for error in errors] == ["3:8", "5:22", "5:49", "6:3"]


def test_a_misspelled_key_is_not_missed_too(tmp_path: Path) -> None:
    text = "domian: d\ndescriptors:\n- value: v\n  kye: k\n  rate_limit: {unt: day}\n- value: w\n"

    errors = errors_of(tmp_path, text)

    assert [error.split("; ")[0] for error in errors] == [
        "1:1 unknown key `domian`",
        "4:3 unknown key `kye`",
        "5:16 unknown key `unt`",
        "6:3 descriptors[1].key: a descriptor has an empty key",
    ]


def test_all_errors_of_all_files_are_gathered(tmp_path: Path) -> None:
    write(tmp_path, "domain: ''\n", "a.yaml")
    write(tmp_path, "domain: x\n", "b.yaml")
    write(tmp_path, "domain: x\n", "c.yml")
    (tmp_path / "d.yaml").write_bytes(b"domain: d\n# caf\xe9\n")

    checked = check_rules(RulesSettings(tmp_path))

    assert checked.rules is None
    assert [str(error).removeprefix(f"{tmp_path}/").split(" ")[0] for error in checked.errors] == [
        "a.yaml:1:9:",
        "d.yaml:2:6:",
        "c.yml:1:9:",
    ]


def test_loading_raises_the_first_error_and_counts_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, "domain: ''\nx: 1\ny: 2\n")

    with pytest.raises(ConfigError, match=r"1:9: domain: .*and 2 more errors") as raised:
        load_rules(RulesSettings(path))

    assert raised.value.place.file == str(path)


def test_a_folder_without_rule_files_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "domain: d\n", "rules.txt")

    with pytest.raises(ConfigError, match=r"no rule files here; put a \*\.yaml file"):
        load_rules(RulesSettings(tmp_path))


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: cannot be read: No such file"):
        load_rules(RulesSettings(tmp_path / "nowhere"))


def test_a_file_that_cannot_be_read_is_an_error_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    write(tmp_path, "domain: ''\n", "b.yaml")

    unreadable, empty = check_rules(RulesSettings(tmp_path)).errors

    assert str(unreadable).startswith(f"{tmp_path}/a.yaml: cannot be read: No such file")
    assert empty.place.file == f"{tmp_path}/b.yaml"


def test_the_same_domain_in_two_files_needs_merging(tmp_path: Path) -> None:
    write(tmp_path, f"domain: d\ndescriptors:\n- key: a\n  {LIMIT}\n", "a.yaml")
    write(tmp_path, f"domain: d\ndescriptors:\n- key: b\n  {LIMIT}\n", "b.yaml")

    with pytest.raises(ConfigError, match=r"b\.yaml:1:9: domain `d` is defined already at .*a\.y"):
        load_rules(RulesSettings(tmp_path))
    merged = load_rules(RulesSettings(tmp_path, merge_domains=True))

    assert set(merged.domains["d"].by_key) == {"a", "b"}


def test_merged_files_must_not_repeat_a_descriptor(tmp_path: Path) -> None:
    write(tmp_path, "domain: d\ndescriptors:\n- key: a\n", "a.yaml")
    write(tmp_path, "domain: d\ndescriptors:\n- key: a\n", "b.yaml")

    with pytest.raises(ConfigError, match=r"b\.yaml:3:3: key `a` .*first at .*a\.yaml:3:3"):
        load_rules(RulesSettings(tmp_path, merge_domains=True))


def test_texts_that_join_alike_are_not_the_same(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        domain: d
        descriptors:
        - {key: a_b, value: c}
        - {key: a, value: b_c}
        - {key: a_b_c}
        """,
    )

    assert set(rules.domains["d"].exact) == {("a_b", "c"), ("a", "b_c")}


WORDS = st.sampled_from(
    [
        "domain",
        "descriptors",
        "key",
        "value",
        "rate_limit",
        "unit",
        "&a",
        "*a",
        "<<",
        "a",
        "3",
        ": ",
        "\n",
        "\n  ",
        "\n- ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        "? ",
        "!!int ",
        "#",
        "\t",
    ]
)


@example(b"!!int ''")
@given(st.one_of(st.lists(WORDS, max_size=40).map("".join).map(str.encode), st.binary(max_size=60)))
def test_no_text_is_more_than_an_error(content: bytes) -> None:
    found = parse_file(content, "f.yaml")

    assert isinstance(found, ParsedFile) or all(error.place.file == "f.yaml" for error in found)
