"""The limit headers, one fact a line."""

from __future__ import annotations

import pytest

from ratelimit_service.core.headers import Header, HeaderNames, limit_headers
from ratelimit_service.core.judge import Code, Decision, Result, Status
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.units import Unit

NAMES = HeaderNames("L", "R", "T")
OK, OVER = Code.OK, Code.OVER_LIMIT


def within(remaining: int, reset_us: int, amount: int = 10) -> Status:
    return Status(OK, Result.WITHIN, "t", Limit.per(amount, Unit.MINUTE), remaining, reset_us)


def over(reset_us: int, amount: int = 10) -> Status:
    return Status(
        OVER, Result.OVER, "t", Limit.per(amount, Unit.MINUTE), 0, reset_us, wait_us=reset_us
    )


BARE = Status(OK, Result.UNMATCHED)
UNLIMITED = Status(OK, Result.UNLIMITED, "t", remaining=None)


@pytest.mark.parametrize(
    ("overall", "statuses", "values"),
    [
        pytest.param(OK, [BARE], {}, id="01 no limit, no headers"),
        pytest.param(OK, [UNLIMITED], {}, id="02 unlimited, no headers"),
        pytest.param(
            OK, [within(4, 30_000_000)], {"L": "10", "R": "4", "T": "30"}, id="03 allowed"
        ),
        pytest.param(
            OK, [within(4, 29_000_001)], {"L": "10", "R": "4", "T": "30"}, id="04 seconds go up"
        ),
        pytest.param(
            OK, [within(4, 1)], {"L": "10", "R": "4", "T": "1"}, id="05 at least a second"
        ),
        pytest.param(
            OK,
            [within(4, 5), BARE, within(2, 9_000_000, 20)],
            {"L": "20", "R": "2", "T": "9"},
            id="06 those of the nearest limit",
        ),
        pytest.param(
            OVER,
            [over(2_500_000)],
            {"L": "10", "R": "0", "T": "3", "retry-after": "3"},
            id="07 refused",
        ),
        pytest.param(
            OVER,
            [over(1)],
            {"L": "10", "R": "0", "T": "1", "retry-after": "1"},
            id="08 retry after a second at least (F47)",
        ),
        pytest.param(
            OVER,
            [over(5_000_000), over(60_000_000, 99), within(1, 3_600_000_000)],
            {"L": "99", "R": "0", "T": "60", "retry-after": "60"},
            id="09 the longest wait of those over (F47)",
        ),
        pytest.param(
            OK,
            [over(5_000_000)],
            {"L": "10", "R": "0", "T": "5"},
            id="10 over in global shadow: nothing to wait for",
        ),
        pytest.param(
            OK,
            [within(2**53 - 2, 1, 2**53 - 1)],
            {"L": str(2**53 - 1), "R": str(2**53 - 2), "T": "1"},
            id="11 large limits in full",
        ),
    ],
)
def test_headers(overall: Code, statuses: list[Status], values: dict[str, str]) -> None:
    headers = limit_headers(Decision(overall, tuple(statuses)), NAMES)

    assert headers == tuple(Header(name, value) for name, value in values.items())
