from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from ratelimit_service.cli import main
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from ratelimit_service.pb.decision_pb2_grpc import DecisionServiceStub
from ratelimit_service.resources import example_rules
from tests.support.ports import free_port
from tests.support.service import Service

RULES = str(example_rules())


def explain(*arguments: str) -> int:
    return main(["explain", "--config", RULES, *arguments])


def test_a_match_is_told_level_by_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("--domain", "llm", "--descriptor", "team=sales,model=large-2") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "llm: team=sales, model=large-2",
        "  level 1: team=sales",
        "    exact value team=sales: no",
        "    key alone team: matches",
        "  level 2: model=large-2",
        "    exact value model=large-2: no",
    ]
    assert lines[6] == "    wildcard model=large-*: matches"
    assert lines[7].startswith("  rule llm.team.model_large-* at ")
    assert "/llm.yaml:" in lines[7]
    assert lines[8:] == ["    limit 200 per hour"]


@pytest.mark.parametrize(
    ("descriptor", "line"),
    [
        ("user=probe", "    unlimited: not counted"),
        ("user=ann", "    limit 60 per minute, named user_rpm"),
        ("agent_session=1", "    shadow_mode: counted, never refused"),
        ("api_key=batch-1", "    share_threshold: all values of the wildcard share one count"),
        ("partner=acme", "    replaces rules named user_rpm"),
    ],
)
def test_what_holds_is_told(descriptor: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    explain("--domain", "llm", "--descriptor", descriptor)

    assert line in capsys.readouterr().out.splitlines()


def test_every_limit_and_every_exception_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    explain("--domain", "agents", "--descriptor", "agent_session=probe")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        "    limit 25 per lifetime, named iterations",
        "    limit $5.00 per lifetime, named budget",
        "    limit 1000000 tokens per lifetime, named tokens",
        "    exempt: the rules name one of its values, so nothing is counted",
    ]

    explain("--domain", "agents", "--descriptor", "team=core,model=large")
    assert "    limit 600 per hour, named rph (shadow_mode)" in capsys.readouterr().out.splitlines()


def test_a_domain_that_refuses_what_no_rule_matches_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """F46."""
    explain("--domain", "agents", "--descriptor", "tema=core")

    assert "no rule holds, the call is refused: " in capsys.readouterr().out


def test_a_rule_that_is_replaced_says_by_which(capsys: pytest.CaptureFixture[str]) -> None:
    explain("--domain", "llm", "--descriptor", "user=ann", "--descriptor", "partner=acme")

    assert "replaced in this request by llm.partner: not counted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("domain", "descriptor", "reason"),
    [
        ("lm", "a=b", "no file defines this domain (known: llm)"),
        ("llm", "usr=ann", "earlier levels are not tried anew (known: user)"),
        ("llm", "team=sales", "the descriptor has too few entries"),
        ("llm", "user=ann,model=x", "the descriptor has more entries than the rules have levels"),
    ],
)
def test_f46_why_nothing_matches_is_told(
    domain: str, descriptor: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("--domain", domain, "--descriptor", descriptor) == 0

    assert reason in capsys.readouterr().out


def test_values_may_hold_commas_and_equals_signs(capsys: pytest.CaptureFixture[str]) -> None:
    explain("--domain", "demo", "--descriptor", r"user=a\,b=c")

    assert "  level 1: user=a,b=c" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("arguments", [["--descriptor", "user"], ["--target", "nowhere"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        explain("--domain", "demo", "--descriptor", "user=a", *arguments)

    assert raised.value.code == 2
    assert "write" in capsys.readouterr().err


def test_wrong_rules_are_told_with_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--domain", "d", "--descriptor", "a=b"]

    assert main(["explain", "--config", "/nowhere", *arguments]) == 1

    assert capsys.readouterr().err.startswith("/nowhere: cannot be read: No such file")


def test_a_target_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    target = f"127.0.0.1:{free_port()}"

    code = explain("--domain", "demo", "--descriptor", "user=a", "--target", target)

    assert code == 1
    assert f"explain: {target} failed with UNAVAILABLE" in capsys.readouterr().err


def test_live_usage_is_told_and_not_charged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "domain: d\n"
        "descriptors:\n"
        "  - {key: user, rate_limit: {unit: year, requests_per_unit: 3}}\n"
        "  - key: team\n"
        "    limits:\n"
        '      - {name: budget, measure: cost, amount: "5.00", window: lifetime}\n'
        "      - {name: parallel, measure: concurrency, amount: 9}\n",
        encoding="utf-8",
    )
    request = rls_pb2.RateLimitRequest(domain="d", hits_addend=2)
    request.descriptors.add().entries.add(key="user", value="ann")
    reserve = pb.CheckAndIncrementByNRequest(domain="d", amounts={"cost": 1_500_000})
    reserve.descriptors.add().entries.add(key="team", value="a")
    with Service(rules) as service:
        target = str(service.grpc_address)
        with grpc.insecure_channel(target) as channel:
            rls_pb2_grpc.RateLimitServiceStub(channel).ShouldRateLimit(request, timeout=10)
            DecisionServiceStub(channel).CheckAndIncrementByN(reserve, timeout=10)
        arguments = ["explain", "--config", str(rules), "--domain", "d", "--target", target]
        arguments += ["--descriptor", "user=ann", "--descriptor", "team=a", "--descriptor", "x=y"]
        codes = [main(arguments) for _ in range(2)]

    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  now: ")]
    assert codes == [0, 0]
    assert len(told) == 6
    assert told[0].startswith("  now: 2 of 3 used, 1 left, reset in ")
    assert told[1] == (
        "  now: budget: $0.00 of $5.00 used, $1.50 held, $3.50 left, no reset; "
        "parallel: 0 of 9 used, 1 held, 8 left, no reset"
    )
    assert told[2] == "  now: no limit applies"
    assert told[3].startswith("  now: 2 of 3 used, 1 left, reset in ")
