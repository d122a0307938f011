"""Why a reservation is refused, and when it is worth to come back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.applied import Unmatched
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.messages import Admit, HoldKind, Line, Look, SlotReply, Verdict, View
from ratelimit_service.core.problem import problem_of
from ratelimit_service.core.protocols.answers import Refused, Seen
from ratelimit_service.core.refusal import (
    Reason,
    Refusal,
    refuse,
    refuse_too_large,
    refuse_unmatched,
)
from ratelimit_service.core.rules import Requirement
from ratelimit_service.core.slot import Slot
from ratelimit_service.core.waiting import Release
from tests.core.rulesets import NOW_US, per_minute
from tests.core.wishing import admitting, amounts, placed, wish

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
AT_US = NOW_US - NOW_US % MINUTE_US

TPM = per_minute("tpm", 100, "tokens")
TPH = LimitSpec(100, "tph", "tokens", window="1h")
BUDGET = LimitSpec(5_000_000, "budget", "cost", window="lifetime")
PARALLEL = LimitSpec(2, "parallel", "concurrency")
FULL = CounterState(AT_US, 100, held=30)


def seen(state: CounterState, *releases: Release, fits: bool = False) -> Seen:
    return Seen(View(state, fits=fits, releases=releases), AT_US)


def refusal(
    specs: list[LimitSpec], sights: list[Seen | None], *, tokens: int = 10, contended: bool = False
) -> Refusal:
    asked = wish(asked=amounts(tokens=tokens, cost=1))
    lines, note = placed(asked, *specs)
    return refuse(lines, note, Refused(tuple(sights), contended=contended))


def test_a_refusal_says_all_that_a_429_needs() -> None:
    found = refusal([TPM], [seen(FULL)])

    assert found == Refusal(
        reason=Reason.OVER_LIMIT,
        detail="The call is over the limit tpm of 100 tokens.",
        descriptor_index=0,
        limit_name="tpm",
        measure="tokens",
        limit=100,
        used=70,
        held=30,
        requested=10,
        retry_after_us=MINUTE_US,
        reset_at_us=AT_US + MINUTE_US,
    )


HOUR_LEFT_US = 3_600 * SECOND_US - AT_US % (3_600 * SECOND_US)
HOURLY = CounterState(AT_US - AT_US % (3_600 * SECOND_US), 100)
SPENT = CounterState(AT_US, 5_000_000)


@pytest.mark.parametrize(
    ("specs", "sights", "name", "reason", "retry_after_us"),
    [
        pytest.param(
            [TPM, TPH],
            [seen(FULL), seen(HOURLY)],
            "tph",
            Reason.OVER_LIMIT,
            HOUR_LEFT_US,
            id="01 the limit that keeps it waiting longest",
        ),
        pytest.param(
            [TPM, TPH],
            [seen(FULL), seen(HOURLY, fits=True)],
            "tpm",
            Reason.OVER_LIMIT,
            MINUTE_US,
            id="02 not one that has room",
        ),
        pytest.param(
            [TPM, TPH],
            [seen(FULL), None],
            "tpm",
            Reason.OVER_LIMIT,
            MINUTE_US,
            id="03 nor one that nobody saw",
        ),
        pytest.param(
            [TPM, BUDGET],
            [seen(FULL), seen(SPENT)],
            "budget",
            Reason.EXHAUSTED,
            None,
            id="04 one that never resets keeps it waiting for ever",
        ),
        pytest.param(
            [BUDGET],
            [seen(SPENT, Release(AT_US + 9, AT_US, 1))],
            "budget",
            Reason.OVER_LIMIT,
            9,
            id="05 unless a hold gives back",
        ),
        pytest.param(
            [replace(TPM, amount=9), BUDGET],
            [seen(FULL), seen(SPENT)],
            "tpm",
            Reason.NEVER_FITS,
            None,
            id="06 an amount above the limit is worse than one that is spent",
        ),
        pytest.param(
            [PARALLEL],
            [seen(CounterState(0, 2, held=2), Release(AT_US + 5, 0, 1), Release(AT_US + 8, 0, 1))],
            "parallel",
            Reason.OVER_LIMIT,
            5,
            id="07 the first lease that ends",
        ),
        pytest.param(
            [PARALLEL],
            [seen(CounterState(0, 5, held=5), Release(AT_US + 8, 0, 1))],
            "parallel",
            Reason.OVER_LIMIT,
            8,
            id="08 of more leases than a slot looks at, the last of those",
        ),
        pytest.param(
            [replace(TPM, shadow_mode=True), TPH],
            [seen(FULL), seen(HOURLY)],
            "tph",
            Reason.OVER_LIMIT,
            HOUR_LEFT_US,
            id="09 never one on trial",
        ),
    ],
)
def test_the_limit_that_is_named(
    specs: list[LimitSpec],
    sights: list[Seen | None],
    name: str,
    reason: Reason,
    retry_after_us: int | None,
) -> None:
    """F47."""
    found = refusal(specs, sights)

    assert (found.limit_name, found.reason) == (name, reason)
    assert found.retry_after_us == retry_after_us


def test_others_that_are_being_decided_keep_a_call_waiting_for_a_moment() -> None:
    found = refusal([TPH], [seen(HOURLY)], contended=True)
    assert (found.reason, found.retry_after_us) == (Reason.OVER_LIMIT, SECOND_US)

    unseen = refusal([TPM], [None], contended=True)
    assert (unseen.reason, unseen.retry_after_us, unseen.measure) == (
        Reason.OVER_LIMIT,
        SECOND_US,
        "",
    )


def test_what_is_too_large_is_refused_whether_somebody_looked_or_not() -> None:
    lines, note = placed(wish(asked=amounts(tokens=101)), PARALLEL, TPM)

    unseen = refuse_too_large(lines, note, [None, None])
    looked = refuse_too_large(lines, note, [None, seen(FULL)])

    assert unseen is not None
    assert looked is not None
    assert (unseen.reason, unseen.limit_name, unseen.used) == (Reason.NEVER_FITS, "tpm", 0)
    assert (looked.used, looked.held, looked.retry_after_us) == (70, 30, None)
    assert "101 tokens, which is above the limit tpm of 100 tokens" in unseen.detail


def test_what_fits_is_not_too_large() -> None:
    lines, note = placed(wish(asked=amounts(tokens=100)), TPM)

    assert refuse_too_large(lines, note, [seen(FULL)]) is None


def test_an_unmatched_call() -> None:
    """F50."""
    nothing = refuse_unmatched(Unmatched(2))
    missing = refuse_unmatched(Unmatched(missing=Requirement("agent_session")))

    assert (nothing.reason, nothing.descriptor_index) == (Reason.UNMATCHED, 2)
    assert (missing.reason, missing.retry_after_us) == (Reason.UNMATCHED, None)
    assert "agent_session" in missing.detail


# --- coming back at the time that was said --------------------------------------------------

SPECS = st.sampled_from(
    [
        LimitSpec(10, "n", "tokens", window="1m"),
        LimitSpec(10, "n", "tokens", window="1m", align="first_hit"),
        LimitSpec(10, "n", "tokens", window="7s", algorithm="sliding_window"),
        LimitSpec(3, "n", "tokens", window="7s", algorithm="token_bucket", burst=10),
        LimitSpec(10, "n", "tokens", window="calendar_day"),
        LimitSpec(10, "n", "tokens", window="lifetime"),
        LimitSpec(10, "n", "concurrency"),
    ]
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A reservation that was made some time after the one before."""

    after_us: int
    amount: int
    on_expiry: HoldKind
    lasts_us: int


EARLIER = st.builds(
    Earlier,
    st.integers(0, 9 * SECOND_US),
    st.integers(1, 10),
    st.sampled_from([HoldKind.KEEP, HoldKind.RELEASE]),
    st.integers(1, 30 * SECOND_US),
)


def _fill(slot: Slot, spec: LimitSpec, earlier: list[Earlier]) -> int:
    """Make the reservations that fit, and return the time of the last."""
    now_us = NOW_US
    for at, each in enumerate(earlier):
        now_us += each.after_us
        asked = wish(asked=amounts(tokens=each.amount, concurrency=each.amount))
        (line,), _ = placed(asked, spec, at_us=now_us)
        kind = line.kind if line.kind is HoldKind.LEASE else each.on_expiry
        admitted = Line(line.key, line.cap, line.amount, line.minimum, kind, each.lasts_us)
        slot.handle(Admit(f"h{at}.", (admitted,)), now_us)
    return now_us


@given(
    spec=SPECS,
    earlier=st.lists(EARLIER, max_size=8),
    amount=st.integers(0, 12),
    after_us=st.integers(0, 9 * SECOND_US),
)
def test_who_comes_back_when_told_to_is_admitted_and_no_sooner(
    spec: LimitSpec, earlier: list[Earlier], amount: int, after_us: int
) -> None:
    """F47: if nobody else calls. Who is not told to come back asks for what never comes."""
    slot = Slot()
    now_us = _fill(slot, spec, earlier) + after_us
    asked = wish(asked=amounts(tokens=amount, concurrency=amount))

    def call(message: type[Admit | Look], at_us: int) -> SlotReply:
        lines, _ = placed(asked, spec, at_us=at_us)
        admitting_now = admitting(lines, MINUTE_US)
        if message is Look:
            return slot.handle(Look(admitting_now), at_us)
        return slot.handle(Admit("x.", admitting_now), at_us)

    reply = call(Admit, now_us)
    if reply.verdict is Verdict.DONE:
        return
    lines, note = placed(asked, spec, at_us=now_us)
    refused = refuse(lines, note, Refused(tuple(Seen(view, now_us) for view in reply.views)))

    if refused.retry_after_us is None:
        never = Reason.NEVER_FITS if amount > spec.amount else Reason.EXHAUSTED
        assert refused.reason is never
        assert amount > spec.amount or spec.window == "lifetime"
        return
    back_us = now_us + refused.retry_after_us
    assert not call(Look, back_us - 1).views[0].fits
    assert call(Admit, back_us).verdict is Verdict.DONE


# --- the body of a 429 ----------------------------------------------------------------------


def test_a_problem_names_the_limit_and_nothing_that_was_sent() -> None:
    """RFC 9457."""
    found = json.loads(problem_of(refusal([TPM], [seen(FULL)])))

    assert found == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "The call is over the limit tpm of 100 tokens.",
        "reason": "OVER_LIMIT",
        "limit_name": "tpm",
        "measure": "tokens",
        "limit": 100,
        "used": 70,
        "held": 30,
        "requested": 10,
        "retry_after": 60,
    }


@pytest.mark.parametrize(
    ("retry_after_us", "seconds"), [(1, 1), (SECOND_US, 1), (SECOND_US + 1, 2), (None, None)]
)
def test_a_problem_says_whole_seconds_and_at_least_one(
    retry_after_us: int | None, seconds: int | None
) -> None:
    """F47."""
    found = replace(refusal([TPM], [seen(FULL)]), retry_after_us=retry_after_us)

    assert json.loads(problem_of(found)).get("retry_after") == seconds


def test_money_is_told_in_dollars() -> None:
    found = refusal([BUDGET], [seen(SPENT)])

    assert found.detail == "All of the limit budget of $5.00 is spent."


def test_a_problem_of_no_limit() -> None:
    found = json.loads(problem_of(refuse_unmatched(Unmatched(0))))

    assert found["reason"] == "UNMATCHED"
    assert "limit" not in found


def test_a_problem_is_ascii_whatever_limits_are_called() -> None:
    found = problem_of(replace(refusal([TPM], [seen(FULL)]), limit_name="\ud800é"))

    assert found.isascii()
    assert json.loads(found)["limit_name"] == "\ud800é"
