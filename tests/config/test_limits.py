"""Limits in rule files: what each key comes to, and each nonsense with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratelimit_service.config.json_schema import rules_schema
from ratelimit_service.config.load import load_rules
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.core.algorithms import LONGEST_WINDOW_US, Algorithm, Cap
from ratelimit_service.core.limits import CalendarWindow, Limit, Period
from ratelimit_service.core.messages import HoldKind
from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Pattern, Policy, Requirement, Rule
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import ConfigError
from tests.config.files import errors_of, load, write

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
HEAD = "domain: d\ndescriptors:\n- key: a\n  limits:\n  - "
DOCS = Path(__file__).parents[2] / "docs"


def _rule(folder: Path, limits: str, more: str = "") -> Rule:
    rules = load(folder, f"domain: d\ndescriptors:\n- key: a\n  limits: [{limits}]\n{more}")
    match = rules.match("d", [Entry("a", "x")])
    assert match is not None
    return match.rule


@pytest.mark.parametrize(
    ("written", "limit", "words"),
    [
        pytest.param(
            "amount: 25, window: lifetime, idle_ttl: 24h",
            Limit(Cap(Algorithm.LIFETIME, 25, DAY), "n"),
            "25 per lifetime, named n",
            id="01 a lifetime",
        ),
        pytest.param(
            "amount: 25, window: lifetime",
            Limit(Cap(Algorithm.LIFETIME, 25, 30 * DAY), "n"),
            "25 per lifetime, named n",
            id="02 a lifetime ends after 30 idle days",
        ),
        pytest.param(
            'measure: cost, amount: "5.00", window: 1h, on_expiry: release',
            Limit(
                Cap(Algorithm.FIXED_WINDOW, 5_000_000, HOUR),
                "n",
                "cost",
                kind=HoldKind.RELEASE,
            ),
            "$5.00 per hour, named n",
            id="03 dollars, and an estimate that is given back",
        ),
        pytest.param(
            "measure: cost, amount: 5, window: 1h, on_expiry: keep",
            Limit(Cap(Algorithm.FIXED_WINDOW, 5_000_000, HOUR), "n", "cost"),
            "$5.00 per hour, named n",
            id="04 whole dollars without quotes",
        ),
        pytest.param(
            "measure: cost, amount: 0.000001, window: 1h",
            Limit(Cap(Algorithm.FIXED_WINDOW, 1, HOUR), "n", "cost"),
            "$0.000001 per hour, named n",
            id="05 the smallest amount of cost",
        ),
        pytest.param(
            "measure: cost, amount: 20.5, window: calendar_day, time_zone: Europe/Berlin",
            Limit(
                Cap(Algorithm.CALENDAR, 20_500_000),
                "n",
                "cost",
                CalendarWindow(Period.DAY, "Europe/Berlin"),
            ),
            "$20.50 per calendar_day in Europe/Berlin, named n",
            id="06 a calendar's day",
        ),
        pytest.param(
            "amount: 7, window: calendar_month",
            Limit(Cap(Algorithm.CALENDAR, 7), "n", calendar=CalendarWindow(Period.MONTH, "UTC")),
            "7 per calendar_month in UTC, named n",
            id="07 a calendar's month, by UTC",
        ),
        pytest.param(
            "amount: 60, window: 1m, algorithm: sliding_window, shadow_mode: true",
            Limit(Cap(Algorithm.SLIDING_WINDOW, 60, MINUTE), "n", shadow_mode=True),
            "60 per minute, named n",
            id="08 a sliding window on trial",
        ),
        pytest.param(
            "measure: tokens, amount: 100000, window: 90s, algorithm: token_bucket, burst: 20000",
            Limit(Cap(Algorithm.TOKEN_BUCKET, 20_000, 90 * SECOND, refill=100_000), "n", "tokens"),
            "100000 tokens per 90s, at most 20000 tokens at once, named n",
            id="09 a token bucket",
        ),
        pytest.param(
            "amount: 6, window: 1m, algorithm: token_bucket",
            Limit(Cap(Algorithm.TOKEN_BUCKET, 6, MINUTE, refill=6), "n"),
            "6 per minute, named n",
            id="10 its burst is its amount",
        ),
        pytest.param(
            "amount: 0, window: 1m, algorithm: token_bucket",
            Limit(Cap(Algorithm.TOKEN_BUCKET, 0, MINUTE), "n"),
            "0 per minute, named n",
            id="11 a limit of 0 may be a bucket too (F8)",
        ),
        pytest.param(
            "amount: 10, window: 1s, align: first_hit, was: old",
            Limit(Cap(Algorithm.FIRST_HIT, 10, SECOND), "n", was="old"),
            "10 per second, named n",
            id="12 a window from its first hit, renamed",
        ),
        pytest.param(
            "amount: 10, window: 7d, align: epoch, algorithm: fixed_window",
            Limit(Cap(Algorithm.FIXED_WINDOW, 10, 7 * DAY), "n"),
            "10 per week, named n",
            id="13 a week",
        ),
        pytest.param(
            "measure: concurrency, amount: 10, lease: 120s",
            Limit(
                Cap(Algorithm.CONCURRENCY, 10),
                "n",
                "concurrency",
                kind=HoldKind.LEASE,
                lease_us=120 * SECOND,
            ),
            "10 calls at once, named n",
            id="14 calls in flight",
        ),
        pytest.param(
            "measure: concurrency, amount: 10",
            Limit(Cap(Algorithm.CONCURRENCY, 10), "n", "concurrency", kind=HoldKind.LEASE),
            "10 calls at once, named n",
            id="15 for as long as their reservations",
        ),
        pytest.param(
            "measure: images, amount: 9007199254740991, window: 2m",
            Limit(Cap(Algorithm.FIXED_WINDOW, 2**53 - 1, 2 * MINUTE), "n", "images"),
            "9007199254740991 images per 2m, named n",
            id="16 a measure of the callers' own, up to the largest amount",
        ),
    ],
)
def test_a_limit(tmp_path: Path, written: str, limit: Limit, words: str) -> None:
    rule = _rule(tmp_path, f"{{name: n, {written}}}")

    assert rule.limits == (limit,)
    assert str(limit) == words
    assert rule.rate_limit is None


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("window: 1s", Unit.SECOND),
        ("window: 60s", Unit.MINUTE),
        ("window: 1m, algorithm: token_bucket", Unit.MINUTE),
        ("window: 24h", Unit.DAY),
        ("window: 7d", Unit.WEEK),
        ("window: 30d", Unit.MONTH),
        ("window: 365d", Unit.YEAR),
        ("window: 2m", None),
        ("window: lifetime, idle_ttl: 1h", None),
        ("window: calendar_day", Unit.DAY),
        ("window: calendar_week", Unit.WEEK),
        ("window: calendar_month", Unit.MONTH),
        ("window: calendar_year", Unit.YEAR),
        ("measure: concurrency", None),
    ],
)
def test_a_window_has_a_unit_where_the_wire_has_one(
    tmp_path: Path, written: str, unit: Unit | None
) -> None:
    (limit,) = _rule(tmp_path, f"{{name: n, amount: 1, {written}}}").limits

    assert limit.unit is unit


LONGEST_DAYS = LONGEST_WINDOW_US // DAY


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("{amount: 1, window: 1m}", "name: the limit has no name", id="01"),
        pytest.param("{name: n, window: 1m}", "amount: the limit has no amount", id="02"),
        pytest.param("{name: n, amount: 1}", "window: the limit has no window", id="03"),
        pytest.param(
            "{name: n, amount: 1, window: minute}", "window: `minute` is no time", id="04"
        ),
        pytest.param("{name: n, amount: 1, window: 0s}", "window: must be longer than 0", id="05"),
        pytest.param(
            f"{{name: n, amount: 1, window: {LONGEST_DAYS + 1}d}}",
            f"window: `{LONGEST_DAYS + 1}d` is too long; the most is {LONGEST_DAYS}d",
            id="06",
        ),
        pytest.param("{name: n, amount: 1, window: -1s}", "window: `-1s` is no time", id="07"),
        pytest.param(
            "{name: n, amount: 1, window: 1m, burst: 2}",
            "burst: goes with `algorithm: token_bucket` only; remove it",
            id="08 burst without a bucket",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, algorithm: sliding_window, burst: 2}",
            "burst: goes with `algorithm: token_bucket` only",
            id="09",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, algorithm: token_bucket, burst: 0}",
            "burst: nothing ever fits into a burst of 0",
            id="10",
        ),
        pytest.param(
            "{name: n, amount: 0, window: 1m, algorithm: token_bucket, burst: 5}",
            "burst: without an amount the bucket never drains",
            id="11",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, time_zone: UTC}",
            "time_zone: goes with windows of a calendar only",
            id="12 a time zone without a calendar",
        ),
        pytest.param(
            "{name: n, amount: 1, window: calendar_day, time_zone: Mars/Base}",
            "time_zone: there is no time zone `Mars/Base`",
            id="13",
        ),
        pytest.param(
            "{name: n, amount: 1, window: calendar_day, time_zone: ../UTC}",
            "time_zone: there is no time zone `../UTC`",
            id="14 a path is no time zone",
        ),
        pytest.param(
            "{name: n, amount: 1, window: calendar_day, algorithm: token_bucket}",
            "algorithm: a window of a calendar is counted as fixed_window only",
            id="15 a bucket over a calendar",
        ),
        pytest.param(
            "{name: n, amount: 1, window: lifetime, algorithm: sliding_window}",
            "algorithm: a lifetime is counted as fixed_window only",
            id="16",
        ),
        pytest.param(
            "{name: n, amount: 1, window: calendar_day, align: first_hit}",
            "align: goes with fixed windows of a length only",
            id="17",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, algorithm: sliding_window, align: epoch}",
            "align: goes with fixed windows of a length only",
            id="18",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, align: noon}",
            "align: unknown alignment `noon`; write epoch or first_hit",
            id="19",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, algorithm: leaky}",
            "algorithm: unknown algorithm `leaky`; write fixed_window, sliding_window",
            id="20",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, idle_ttl: 1h}",
            "idle_ttl: goes with `window: lifetime` only",
            id="21",
        ),
        pytest.param(
            "{name: n, amount: 1, window: lifetime, idle_ttl: soon}",
            "idle_ttl: `soon` is no time; write a time such as 90s",
            id="22",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, lease: 1m}",
            "lease: goes with `measure: concurrency` only",
            id="23",
        ),
        pytest.param(
            "{name: n, measure: concurrency, amount: 1, window: 1m}",
            "window: a limit of concurrency counts what is in flight and has no window",
            id="24 a window on concurrency",
        ),
        pytest.param(
            "{name: n, measure: concurrency, amount: 1, algorithm: fixed_window}",
            "algorithm: a limit of concurrency counts leases",
            id="25",
        ),
        pytest.param(
            "{name: n, measure: concurrency, amount: 1, on_expiry: keep}",
            "on_expiry: a lease always comes back",
            id="26",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, on_expiry: maybe}",
            "on_expiry: unknown `maybe`; write keep or release",
            id="27",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, was: n}",
            "was: is the name that the limit has",
            id="28",
        ),
        pytest.param(
            "{name: n, amount: 9007199254740992, window: 1m}",
            "amount: must be between 0 and 9007199254740991",
            id="29 above what can be counted exactly (F24)",
        ),
        pytest.param(
            "{name: n, amount: -1, window: 1m}", "amount: must be between 0 and", id="30 negative"
        ),
        pytest.param(
            "{name: n, amount: 1.5, window: 1m}", "amount: must be a whole number", id="31"
        ),
        pytest.param(
            "{name: n, amount: '5', window: 1m}", "amount: must be a whole number", id="32"
        ),
        pytest.param(
            "{name: n, amount: true, window: 1m}", "amount: must be a whole number", id="33"
        ),
        pytest.param(
            "{name: n, measure: cost, amount: .nan, window: 1m}",
            "amount: write dollars with up to six decimals",
            id="34 NaN dollars (F24)",
        ),
        pytest.param(
            "{name: n, measure: cost, amount: 1.0000001, window: 1m}",
            "amount: write dollars with up to six decimals",
            id="35 parts of a unit",
        ),
        pytest.param(
            '{name: n, measure: cost, amount: "9007199254.740992", window: 1m}',
            "amount: must be at most 9007199254.740991 dollars",
            id="36",
        ),
        pytest.param(
            "{name: n, amount: 1, window: 1m, measure: ''}", "measure: must not be empty", id="37"
        ),
        pytest.param(
            f"{{name: {'n' * 65}, amount: 1, window: 1m}}", "name: must have at most 64", id="38"
        ),
        pytest.param(
            "{name: n, amount: [1], window: 1m}", "amount: must be a single value", id="39"
        ),
    ],
)
def test_nonsense_is_named_with_its_key(tmp_path: Path, written: str, expected: str) -> None:
    text = HEAD + written + "\n"
    key = expected.partition(":")[0]
    at = text.splitlines()[-1].find(f"{key}: ")
    column = at + len(f"{key}: ") + 1 if at >= 0 else 5

    (error,) = errors_of(tmp_path, text)

    assert error.startswith(f"5:{column} descriptors[0].limits[0].{expected}")


LIMIT = "{name: n, amount: 1, window: 1m}"
RATE_LIMIT = "rate_limit: {unit: minute, requests_per_unit: 1}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"- {{key: a, {RATE_LIMIT}, limits: [{LIMIT}]}}",
            "3:70 descriptors[0].limits: stands beside `rate_limit`",
            id="01 limits beside a rate_limit",
        ),
        pytest.param(
            f"- key: a\n  limits:\n  - {LIMIT}\n  - {LIMIT}",
            "6:12 descriptors[0].limits[1].name: is the name of limits[0] already",
            id="02 the same name twice",
        ),
        pytest.param(
            f"- key: a\n  limits:\n  - {LIMIT}\n  - {{name: m, was: n, amount: 2, window: 60s}}",
            "6:20 descriptors[0].limits[1].was: would share the count of limits[0]",
            id="03 the same identity twice, by a former name",
        ),
        pytest.param(
            "- {key: a, hits_measure: tokens}",
            "3:26 descriptors[0].hits_measure: no limit here counts `tokens`; give it `limits`",
            id="04 a measure for hits that nothing counts (F46)",
        ),
        pytest.param(
            f"- {{key: a, limits: [{LIMIT}], hits_measure: tokens}}",
            "3:70 descriptors[0].hits_measure: no limit here counts `tokens`; write one of req",
            id="05",
        ),
        pytest.param(
            "- {key: a, limits: [{name: n, measure: concurrency, amount: 1}], "
            "hits_measure: concurrency}",
            "3:80 descriptors[0].hits_measure: hits are never in flight",
            id="06",
        ),
        pytest.param(
            "- {key: a, value: b, exempt: [admin]}",
            "3:31 descriptors[0].exempt[0]: never comes here, where the value is `b`",
            id="07 an exempt value that never comes",
        ),
        pytest.param(
            "- {key: a, exempt: ['']}", "3:21 descriptors[0].exempt[0]: empty value", id="08"
        ),
        pytest.param(
            "- {key: a, exempt: admin}", "3:20 descriptors[0].exempt: must be a list", id="09"
        ),
        pytest.param(
            "- {key: a, amount: 5}",
            "3:12 unknown key `amount`; it belongs inside `limits`",
            id="10 a key one level too high",
        ),
        pytest.param(
            "- {key: a, limits: [{name: n, amount: 1, windw: 1m}]}",
            "3:42 unknown key `windw`; did you mean `window`?",
            id="11 a misspelling",
        ),
        pytest.param(
            "- {key: a, limits: [{name: n, amount: 1, window: 1m, warn_at: [80]}]}",
            "3:54 unknown key `warn_at`",
            id="12 a key without effect yet",
        ),
        pytest.param(
            "- {key: a}\nenforcement: lax",
            "4:14 enforcement: unknown `lax`; write compatible or strict",
            id="13",
        ),
        pytest.param(
            "- {key: a}\ninline_limits: yes", "4:16 inline_limits: unknown `yes`; write", id="14"
        ),
        pytest.param(
            "- {key: a}\nunmatched: deny", "4:12 unmatched: unknown `deny`; write", id="15"
        ),
        pytest.param(
            "- {key: team}\ncolocate_by: [tema]",
            "4:15 no descriptor has the key `tema`; did you mean `team`?",
            id="16 a misspelled key to lie together by",
        ),
        pytest.param(
            "- {key: a}\ncolocate_by: [a, a]", "4:18 colocate_by[1]: `a` stands twice", id="17"
        ),
        pytest.param("- {key: a}\ncolocate_by: ['']", "4:15 colocate_by[0]: empty", id="18"),
    ],
)
def test_keys_that_make_no_sense_together(tmp_path: Path, text: str, expected: str) -> None:
    first, *_ = errors_of(tmp_path, f"domain: d\ndescriptors:\n{text}\n")

    assert first.startswith(expected)


def test_every_wrong_limit_of_a_file_is_named(tmp_path: Path) -> None:
    text = f"{HEAD}{{name: n, amount: 1}}\n  - {{name: m, amount: 2, window: 1m, lease: 1s}}\n"

    assert [error.split(" ")[0] for error in errors_of(tmp_path, text)] == ["5:5", "6:45"]


def test_what_is_said_of_a_domain_reaches_its_policy(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        domain: d
        enforcement: strict
        colocate_by: [team, user]
        inline_limits: allow
        unmatched: refuse
        descriptors:
        - key: team
          descriptors:
          - key: user
            required: true
            limits:
            - {name: n, amount: 1, window: 1m, measure: tokens}
            - {name: m, amount: 1, measure: concurrency}
        """,
    )

    assert rules.policy("d") == Policy(
        strict=True,
        colocate_by=("team", "user"),
        inline_limits=True,
        refuse_unmatched=True,
        measures=frozenset({"tokens", "concurrency"}),
        requires=True,
    )
    assert rules.policy("other") == Policy()


def test_a_domain_is_compatible_unless_it_says_otherwise(tmp_path: Path) -> None:
    rules = load(tmp_path, f"domain: d\ndescriptors:\n- {{key: a, {RATE_LIMIT}}}\n")

    assert rules.policy("d") == Policy(measures=frozenset({"requests"}))


def test_merged_files_say_each_thing_of_their_domain_once(tmp_path: Path) -> None:
    write(tmp_path, "domain: d\nenforcement: strict\n", "a.yaml")
    write(tmp_path, "domain: d\nenforcement: strict\nunmatched: refuse\n", "b.yaml")
    policy = load_rules(RulesSettings(tmp_path, merge_domains=True)).policy("d")
    assert (policy.strict, policy.refuse_unmatched) == (True, True)

    write(tmp_path, "domain: d\nenforcement: compatible\n", "c.yaml")
    with pytest.raises(
        ConfigError, match=r"c\.yaml:2:14: `enforcement` is said otherwise at .*a\.y"
    ):
        load_rules(RulesSettings(tmp_path, merge_domains=True))


def test_what_a_level_requires_and_exempts(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        domain: d
        descriptors:
        - {key: session, required: true}
        - {key: team, value: core, required: true}
        - {key: path, value: /api/*, required: true, exempt: [/api/health]}
        """,
    )

    root = rules.domains["d"]
    assert root.required == (
        Requirement("session"),
        Requirement("team", "core"),
        Requirement("path", "/api/*", Pattern("/api/*")),
    )
    assert root.wildcards["path"][0].node.exempt == {"/api/health"}


def test_the_published_schema_is_that_of_the_tables() -> None:
    """`make schema` writes it."""
    assert (DOCS / "rules.schema.json").read_text(encoding="utf-8") == rules_schema()


def test_every_key_of_the_format_is_explained() -> None:
    guide = (DOCS / "rules.md").read_text(encoding="utf-8")
    tables = json.loads(rules_schema())
    keys = {key for table in tables["$defs"].values() for key in table["properties"]}
    keys |= set(tables["properties"])

    assert {key for key in keys if f"`{key}`" not in guide} == set()
