"""What callers are told of the limits of a reservation."""

from __future__ import annotations

import pytest

from ratelimit_service.core.algorithms import CounterState
from ratelimit_service.core.judge import Code
from ratelimit_service.core.limit_spec import LimitSpec
from ratelimit_service.core.messages import View
from ratelimit_service.core.notes import Note
from ratelimit_service.core.protocols.answers import Seen
from ratelimit_service.core.reservation import Reservation
from ratelimit_service.core.statuses import LimitStatus, statuses_of
from tests.core.rulesets import NOW_US, limits, per_minute, rule_set
from tests.core.wishing import amounts, described, key, placed, planned, wish

OK, OVER = Code.OK, Code.OVER_LIMIT
MINUTE_US = 60_000_000
AT_US = NOW_US - NOW_US % MINUTE_US
TPM = per_minute("tpm", 100, "tokens")
SLIDING = LimitSpec(100, "n", "tokens", window="1m", algorithm="sliding_window")
BUCKET = LimitSpec(600, "n", "tokens", window="1m", algorithm="token_bucket", burst=100)
LIFETIME = LimitSpec(100, "n", "tokens", window="lifetime")
DAY = LimitSpec(100, "n", "tokens", window="calendar_day")
PARALLEL = LimitSpec(100, "n", "concurrency")
TRIAL = LimitSpec(100, "n", "tokens", window="1m", shadow_mode=True)


def status(
    spec: LimitSpec, state: CounterState, now_us: int = AT_US, *, fits: bool = True
) -> LimitStatus:
    lines, note = placed(wish(asked=amounts(tokens=10)), spec)
    (descriptor,) = statuses_of(lines, note, [Seen(View(state, fits=fits), now_us)])
    (found,) = descriptor.limits
    assert descriptor.code is found.code
    return found


@pytest.mark.parametrize(
    ("spec", "state", "numbers"),
    [
        pytest.param(TPM, CounterState(AT_US), (0, 0, 100, MINUTE_US), id="01 nothing yet"),
        pytest.param(TPM, CounterState(AT_US, 30, held=0), (30, 0, 70, MINUTE_US), id="02 settled"),
        pytest.param(
            TPM,
            CounterState(AT_US, 30, held=20),
            (10, 20, 70, MINUTE_US),
            id="03 what is held is not used, and not left either (F48)",
        ),
        pytest.param(
            TPM, CounterState(AT_US, 130, held=20), (110, 20, 0, MINUTE_US), id="04 past the limit"
        ),
        pytest.param(
            SLIDING,
            CounterState(AT_US, 30, carry=40, held=20),
            (50, 20, 30, 2 * MINUTE_US),
            id="05 the window before counts as used",
        ),
        pytest.param(
            BUCKET, CounterState(AT_US, 30), (30, 0, 70, 3_000_000), id="06 a bucket drains"
        ),
        pytest.param(
            BUCKET,
            CounterState(AT_US, 30, held=90),
            (0, 30, 70, 3_000_000),
            id="07 also what is held in it, which is never more than is there",
        ),
        pytest.param(
            LIFETIME, CounterState(AT_US, 30, held=10), (20, 10, 70, None), id="08 a lifetime"
        ),
        pytest.param(
            PARALLEL, CounterState(0, 3, held=3), (0, 3, 97, None), id="09 in flight is held"
        ),
        pytest.param(TRIAL, CounterState(AT_US, 130), (130, 0, 0, MINUTE_US), id="10 on trial"),
    ],
)
def test_numbers(
    spec: LimitSpec, state: CounterState, numbers: tuple[int, int, int, int | None]
) -> None:
    found = status(spec, state)

    assert (found.used, found.held, found.remaining, found.until_reset_us) == numbers
    assert found.limit == 100


@pytest.mark.parametrize(
    ("spec", "counted", "fits", "code"),
    [
        pytest.param(TPM, 100, True, OK, id="01 exactly the limit was admitted (F7)"),
        pytest.param(TPM, 95, False, OVER, id="02 this one does not fit"),
        pytest.param(TPM, 101, True, OVER, id="03 settled to more than the limit (F16)"),
        pytest.param(TRIAL, 101, False, OK, id="04 on trial"),
    ],
)
def test_codes(spec: LimitSpec, counted: int, fits: bool, code: Code) -> None:
    assert status(spec, CounterState(AT_US, counted), fits=fits).code is code


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        (TPM, "fixed_window"),
        (LimitSpec(1, "n", window="1m", align="first_hit"), "fixed_window"),
        (DAY, "fixed_window"),
        (LIFETIME, "fixed_window"),
        (SLIDING, "sliding_window"),
        (BUCKET, "token_bucket"),
        (PARALLEL, "concurrency"),
    ],
)
def test_algorithms_are_called_as_in_rule_files(spec: LimitSpec, algorithm: str) -> None:
    assert status(spec, CounterState(AT_US)).algorithm == algorithm


def test_a_calendar_resets_at_the_end_of_its_window() -> None:
    lines, note = placed(wish(), DAY)
    cap = lines[0].cap
    seen = Seen(View(CounterState(cap.start_us, 5, carry=cap.end_us)), cap.end_us - 7)

    assert statuses_of(lines, note, [seen])[0].limits[0].until_reset_us == 7


def test_each_descriptor_has_its_limits_and_those_that_nobody_saw_are_left_out() -> None:
    plan = planned(
        rule_set(a=limits(TPM, SLIDING), b=limits(PARALLEL)),
        wish(described("x"), described("a"), described("b")),
    )
    full = Seen(View(CounterState(AT_US, 100), fits=False), AT_US)

    statuses = statuses_of(plan.placed(key), plan.note(), [full, None, None])

    assert [each.code for each in statuses] == [OK, OVER, OK]
    assert [[limit.name for limit in each.limits] for each in statuses] == [[], ["tpm"], []]


def test_a_note_is_kept_with_its_reservation() -> None:
    """What answers say does not change with the rules."""
    plan = planned(rule_set(k=limits(TPM, DAY, TRIAL)), wish(described("x"), described()))
    lines, note = plan.placed(key), plan.note()

    body = Reservation("o", "i", lines, note.encode())

    assert Note.decode(body.note, body.lines) == note
    assert [about.shadow for about in note.lines] == [False, False, True]
