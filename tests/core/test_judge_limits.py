"""What several limits of a descriptor mean together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ratelimit_service.core.algorithms import Algorithm, Cap, CounterState
from ratelimit_service.core.headers import Header, HeaderNames, limit_headers
from ratelimit_service.core.judge import Code, Decision, Result, judge
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.messages import View
from ratelimit_service.core.model import Descriptor, Entry, RateLimitRequest
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.outcomes import Outcome, outcome_of
from ratelimit_service.core.plan import make_plan
from ratelimit_service.core.planned import Charge
from ratelimit_service.core.rules import Node, Policy, Requirement, RuleSet
from ratelimit_service.core.terms import Terms
from ratelimit_service.core.waiting import Release
from tests.core.rulesets import (
    DOMAIN,
    MOMENT,
    NOW_US,
    descriptor,
    limits,
    per_minute,
    rule_set,
    strict,
    with_policy,
)

OK, OVER = Code.OK, Code.OVER_LIMIT
SECOND_US = 1_000_000
RPM = per_minute("rpm", 10)
TPM = LimitSpec(1_000, "tpm", "tokens", window="1m")
TRIAL = LimitSpec(5, "trial", window="1m", shadow_mode=True)


def decide(
    rules: RuleSet, outcomes: list[Outcome], *asked: Descriptor, modes: Modes | None = None
) -> Decision:
    modes = modes or Modes()
    request = RateLimitRequest(DOMAIN, asked or (descriptor("k"),))
    return judge(make_plan(rules, request, modes, MOMENT), outcomes, modes)


def within(counted: int, reset_s: int | None = 30) -> Outcome:
    return Outcome(counted, None if reset_s is None else reset_s * SECOND_US)


def over(counted: int, retry_s: int | None = 30) -> Outcome:
    wait_us = None if retry_s is None else retry_s * SECOND_US
    return Outcome(counted, wait_us, fits=False, retry_in_us=wait_us)


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    specs: list[LimitSpec]
    outcomes: list[Outcome]
    code: Code
    result: Result
    nearest: str
    remaining: int


CASES = [
    Case(
        "01 the one that has used the greater share",
        [RPM, TPM],
        [within(2), within(700)],
        OK,
        Result.WITHIN,
        "tpm",
        300,
    ),
    Case(
        "02 whatever the amounts are",
        [RPM, TPM],
        [within(8), within(700)],
        OK,
        Result.WITHIN,
        "rpm",
        2,
    ),
    Case("03 near", [RPM, TPM], [within(9), within(0)], OK, Result.NEAR, "rpm", 1),
    Case("04 one over refuses", [RPM, TPM], [within(9), over(1_000)], OVER, Result.OVER, "tpm", 0),
    Case(
        "05 of several over the longest wait (F47)",
        [RPM, TPM],
        [over(10, 50), over(1_000, 20)],
        OVER,
        Result.OVER,
        "rpm",
        0,
    ),
    Case(
        "06 one that never resets waits longest",
        [RPM, TPM],
        [over(10, 50), over(1_000, None)],
        OVER,
        Result.OVER,
        "tpm",
        0,
    ),
    Case(
        "07 a trial that is over is reported and refuses nobody",
        [RPM, TRIAL],
        [within(6), within(6)],
        OK,
        Result.SHADOWED,
        "rpm",
        4,
    ),
    Case(
        "08 a trial within its limit is not the nearest",
        [RPM, TRIAL],
        [within(0), within(5)],
        OK,
        Result.WITHIN,
        "rpm",
        10,
    ),
    Case("09 unless it is alone", [TRIAL], [within(4)], OK, Result.WITHIN, "trial", 1),
    Case(
        "10 one over beside a trial that is",
        [RPM, TRIAL],
        [over(10), within(6)],
        OVER,
        Result.OVER,
        "rpm",
        0,
    ),
    Case(
        "11 what does not fit is over below its limit too",
        [TPM],
        [over(800)],
        OVER,
        Result.OVER,
        "tpm",
        200,
    ),
    Case(
        "12 what was charged past its limit is over",
        [TPM],
        [within(1_500)],
        OVER,
        Result.OVER,
        "tpm",
        0,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_nearest_limit_speaks_for_its_descriptor(case: Case) -> None:
    decision = decide(strict(k=limits(*case.specs)), case.outcomes)

    (status,) = decision.statuses
    assert status.limit is not None
    assert (decision.overall, status.code, status.result) == (case.code, case.code, case.result)
    assert (status.limit.name, status.remaining) == (case.nearest, case.remaining)


def test_what_is_refused_unseen() -> None:
    """F50: no limit is over, and coming back later does not help."""
    rules = with_policy(Policy(refuse_unmatched=True), k=limits(RPM))

    decision = decide(rules, [within(1)], descriptor("k"), descriptor("other"))

    assert decision.overall is OVER
    assert [(status.code, status.result) for status in decision.statuses] == [
        (OK, Result.WITHIN),
        (OVER, Result.UNMATCHED),
    ]
    assert _retry_after(decision) is None


@pytest.mark.parametrize(("modes", "overall"), [(Modes(), OVER), (Modes(shadow=True), OK)])
def test_a_missing_entry_refuses(modes: Modes, overall: Code) -> None:
    """F50."""
    root = Node(by_key={"k": Node("k", limits(RPM))}, required=(Requirement("user"),))
    rules = RuleSet({DOMAIN: root}, {DOMAIN: Policy(requires=True)})

    decision = decide(rules, [within(1)], modes=modes)

    assert decision.overall is overall
    assert [status.code for status in decision.statuses] == [OK]
    assert _retry_after(decision) is None


def test_an_exempt_value_has_no_limit() -> None:
    """F51."""
    root = Node(by_key={"k": Node("k", limits(RPM), exempt=frozenset({"v"}))})

    decision = decide(RuleSet({DOMAIN: root}), [], Descriptor((Entry("k", "v"),)))

    (status,) = decision.statuses
    assert (status.code, status.result, status.remaining) == (OK, Result.UNLIMITED, None)


def test_calls_in_flight_are_looked_at_in_a_compatible_domain_too() -> None:
    rules = rule_set(k=limits(LimitSpec(3, "parallel", "concurrency")))

    assert decide(rules, [within(2, None)]).overall is OK
    assert decide(rules, [over(3, None)]).overall is OVER


# --- when to come back ----------------------------------------------------------------------


def _retry_after(decision: Decision) -> str | None:
    headers = limit_headers(decision, HeaderNames("L", "R", "T"))
    return next((header.value for header in headers if header.name == "retry-after"), None)


@pytest.mark.parametrize(
    ("outcomes", "seconds"),
    [
        pytest.param([over(10, 7), within(0)], "7", id="01 the limit that refused"),
        pytest.param([over(10, 7), over(1_000, 9)], "9", id="02 the longest of several"),
        pytest.param([over(10, 7), over(1_000, None)], None, id="03 one never resets"),
        pytest.param([Outcome(10, 1, fits=False), within(0)], "1", id="04 at least a second"),
        pytest.param(
            [replace(over(10, 60), retry_in_us=2_000_001), within(0)], "3", id="05 before the reset"
        ),
    ],
)
def test_retry_after(outcomes: list[Outcome], seconds: str | None) -> None:
    """F47."""
    decision = decide(strict(k=limits(RPM, TPM)), outcomes)

    assert _retry_after(decision) == seconds


def test_who_asks_for_more_than_the_limit_is_not_told_to_wait() -> None:
    """F47."""
    decision = decide(strict(k=limits(RPM)), [over(0, 30)], descriptor("k", 11))

    assert decision.overall is OVER
    assert _retry_after(decision) is None


def test_the_headers_of_a_bucket_speak_of_its_burst() -> None:
    bucket = LimitSpec(600, "n", window="1m", algorithm="token_bucket", burst=20)

    headers = limit_headers(
        decide(strict(k=limits(bucket)), [within(5)]), HeaderNames("L", "R", "T")
    )

    assert headers[:2] == (Header("L", "20"), Header("R", "15"))


# --- from views to outcomes -----------------------------------------------------------------

MINUTE_US = 60 * SECOND_US
AT_US = NOW_US - NOW_US % MINUTE_US


def _charge(cap: Cap, asks: int = 1, measure: str = "requests") -> Charge:
    counter = (
        make_plan(
            rule_set(k=limits(LimitSpec(1, "n", measure, window="1m"))),
            RateLimitRequest(DOMAIN, (descriptor("k"),)),
            Modes(),
            MOMENT,
        )
        .charges[0]
        .counter
    )
    return Charge(counter, asks, cap, Terms(asks))


FIXED = Cap(Algorithm.FIXED_WINDOW, 10, MINUTE_US)
SLIDING = Cap(Algorithm.SLIDING_WINDOW, 10, MINUTE_US)
BUCKET = Cap(Algorithm.TOKEN_BUCKET, 10, MINUTE_US, refill=60)
LIFETIME = Cap(Algorithm.LIFETIME, 10, MINUTE_US)
LEASES = Cap(Algorithm.CONCURRENCY, 2)


@pytest.mark.parametrize(
    ("charge", "view", "outcome"),
    [
        pytest.param(
            _charge(FIXED), View(CounterState(AT_US, 4)), Outcome(4, MINUTE_US), id="01 a window"
        ),
        pytest.param(
            _charge(FIXED),
            View(CounterState(AT_US, 10), fits=False),
            Outcome(10, MINUTE_US, fits=False, retry_in_us=MINUTE_US),
            id="02 a window that is full",
        ),
        pytest.param(
            _charge(FIXED, 11),
            View(CounterState(AT_US, 10), fits=False),
            Outcome(10, MINUTE_US, fits=False),
            id="03 what never fits",
        ),
        pytest.param(
            _charge(FIXED, 500, "tokens"),
            View(CounterState(AT_US, 510), fits=False),
            Outcome(510, MINUTE_US, fits=False, retry_in_us=MINUTE_US),
            id="04 who reported what was spent waits for any room",
        ),
        pytest.param(
            _charge(SLIDING),
            View(CounterState(AT_US, 0, carry=10), fits=False),
            Outcome(10, MINUTE_US, fits=False, retry_in_us=MINUTE_US // 10),
            id="05 a sliding window has room before it is empty",
        ),
        pytest.param(
            _charge(BUCKET),
            View(CounterState(AT_US, 10), fits=False),
            Outcome(10, 10 * SECOND_US, fits=False, retry_in_us=SECOND_US),
            id="06 so has a bucket",
        ),
        pytest.param(
            _charge(LIFETIME),
            View(CounterState(AT_US, 10), fits=False),
            Outcome(10, None, fits=False),
            id="07 a lifetime never",
        ),
        pytest.param(
            _charge(LEASES),
            View(CounterState(0, 2, held=2), fits=False, releases=(Release(AT_US + 5, 0, 1),)),
            Outcome(2, None, fits=False, retry_in_us=5),
            id="08 the first lease that ends",
        ),
    ],
)
def test_outcomes(charge: Charge, view: View, outcome: Outcome) -> None:
    assert outcome_of(charge, view, AT_US) == outcome
