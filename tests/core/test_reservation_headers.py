"""Headers of a reservation's answer, one fact a line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.headers import HeaderNames
from ratelimit_service.core.judge import Code
from ratelimit_service.core.model import Entry
from ratelimit_service.core.refusal import Reason, Refusal
from ratelimit_service.core.reservation_headers import reservation_headers
from ratelimit_service.core.statuses import DescriptorStatus, LimitStatus

NAMES = HeaderNames("L", "R", "T")
SECOND_US = 1_000_000


def limit(
    measure: str,
    remaining: int,
    most: int = 100,
    reset_us: int | None = 30 * SECOND_US,
    *,
    over: bool = False,
) -> LimitStatus:
    code = Code.OVER_LIMIT if over else Code.OK
    return LimitStatus(
        "n", measure, "fixed_window", code, most, most - remaining, 0, remaining, reset_us
    )


def refused(measure: str, most: int = 100, retry_after_us: int | None = SECOND_US) -> Refusal:
    return Refusal(
        Reason.OVER_LIMIT,
        "",
        limit_name="n",
        measure=measure,
        limit=most,
        retry_after_us=retry_after_us,
    )


def headers(
    *limits: LimitStatus,
    refusal: Refusal | None = None,
    names: HeaderNames | None = NAMES,
    key: str = "user",
) -> dict[str, str]:
    code = Code.OVER_LIMIT if refusal else Code.OK
    made = reservation_headers(
        [(Entry("team", "a"), Entry(key, "v"))], [DescriptorStatus(code, limits)], refusal, names
    )
    assert len({header.name for header in made}) == len(made)
    return {header.name: header.value for header in made}


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        pytest.param([], {}, id="01 no limit, no headers"),
        pytest.param(
            [limit("tokens", 40)],
            {
                "L": "100",
                "R": "40",
                "T": "30",
                "x-ratelimit-user-limit-tokens": "100",
                "x-ratelimit-user-remaining-tokens": "40",
            },
            id="02 the scope is the last key",
        ),
        pytest.param(
            [limit("tokens", 40), limit("requests", 3, 5)],
            {
                "L": "100",
                "R": "40",
                "T": "30",
                "x-ratelimit-user-limit-tokens": "100",
                "x-ratelimit-user-remaining-tokens": "40",
                "x-ratelimit-user-limit-requests": "5",
                "x-ratelimit-user-remaining-requests": "3",
            },
            id="03 the nearest is the one of which the least share is left",
        ),
        pytest.param(
            [limit("tokens", 400, 1_000), limit("tokens", 90)],
            {
                "L": "1000",
                "R": "400",
                "T": "30",
                "x-ratelimit-user-limit-tokens": "1000",
                "x-ratelimit-user-remaining-tokens": "400",
            },
            id="04 also of several limits of a measure",
        ),
        pytest.param(
            [limit("cost", 7, reset_us=None)],
            {
                "L": "100",
                "R": "7",
                "x-ratelimit-user-limit-cost": "100",
                "x-ratelimit-user-remaining-cost": "7",
            },
            id="05 what never resets says nothing of it",
        ),
        pytest.param(
            [limit("tokens", 1, reset_us=1)],
            {
                "L": "100",
                "R": "1",
                "T": "1",
                "x-ratelimit-user-limit-tokens": "100",
                "x-ratelimit-user-remaining-tokens": "1",
            },
            id="06 seconds are rounded up",
        ),
    ],
)
def test_an_admission(limits: list[LimitStatus], found: dict[str, str]) -> None:
    assert headers(*limits) == found


def test_the_reference_s_headers_are_only_there_when_enabled() -> None:
    assert set(headers(limit("tokens", 40), names=None)) == {
        "x-ratelimit-user-limit-tokens",
        "x-ratelimit-user-remaining-tokens",
    }


@pytest.mark.parametrize(
    ("retry_after_us", "seconds"),
    [(1, "1"), (SECOND_US, "1"), (SECOND_US + 1, "2"), (90 * SECOND_US, "90"), (None, None)],
)
def test_retry_after(retry_after_us: int | None, seconds: str | None) -> None:
    """F47: at least a second, and absent where waiting does not help."""
    found = headers(limit("tokens", 0, over=True), refusal=refused("tokens", 100, retry_after_us))

    assert found.get("retry-after") == seconds
    assert found["content-type"] == "application/problem+json"


def test_a_refusal_speaks_of_the_limit_that_refused() -> None:
    """F47: not of another that is over too."""
    found = headers(
        limit("tokens", 0, over=True),
        limit("requests", 3, 5, over=True),
        refusal=refused("requests", 5),
    )

    assert (found["L"], found["R"]) == ("5", "3")


def test_a_refusal_of_no_limit_has_a_body_all_the_same() -> None:
    """F50."""
    assert headers(refusal=Refusal(Reason.UNMATCHED, "")) == {
        "content-type": "application/problem+json"
    }


@given(key=st.text(min_size=1), measure=st.text(min_size=1))
def test_no_text_can_forge_a_header(key: str, measure: str) -> None:
    for name in headers(limit(measure, 1), key=key, names=None):
        assert re.fullmatch(r"x-ratelimit-[a-z0-9-]*-(limit|remaining)-[a-z0-9-]*", name)
        assert len(name) < 200
