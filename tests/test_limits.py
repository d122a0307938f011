"""ShouldRateLimit over the limits of a rule file, on the memory store."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratelimit_service.core.judge import Code, Decision, Result
from ratelimit_service.core.model import Descriptor, Entry, RateLimitRequest
from ratelimit_service.limiter import Limiter, LimiterOptions
from ratelimit_service.store.memory import MemoryStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.config.files import load
from tests.store.subjects import START_US, Clock

OK, OVER = Code.OK, Code.OVER_LIMIT
MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US

RULES = """\
domain: d
enforcement: {enforcement}
descriptors:
- key: user
  exempt: [admin]
  limits:
  - {{name: rpm, amount: 3, window: 1m}}
  - {{name: parallel, measure: concurrency, amount: 1}}
- key: spent
  hits_measure: tokens
  limits:
  - {{name: tpm, measure: tokens, amount: 100, window: 1m}}
- key: day
  limits:
  - {{name: daily, amount: 2, window: calendar_day, time_zone: Europe/Berlin}}
- key: bucket
  limits:
  - {{name: b, amount: 60, window: 1m, algorithm: token_bucket, burst: 2}}
- key: trial
  limits:
  - {{name: t, amount: 1, window: 1m, shadow_mode: true}}
"""


class Desk:
    """A limiter over a memory store; the host's clock may differ from the store's."""

    def __init__(self, folder: Path, enforcement: str, ahead_us: int = 0) -> None:
        self.clock = Clock(START_US)
        options = LimiterOptions(now_us=lambda: self.clock.now_us + ahead_us)
        self._limiter = Limiter(MemoryStore(self.clock), NullRecorder(), options)
        self._limiter.apply(load(folder, RULES.format(enforcement=enforcement)))

    async def ask(self, *asked: str) -> Decision:
        """Ask by descriptors such as ``user=ann``, or ``spent=x*500`` with hits."""
        descriptors = []
        for text in asked:
            entry, _, hits = text.partition("*")
            key, _, value = entry.partition("=")
            descriptors.append(Descriptor((Entry(key, value),), int(hits) if hits else None))
        return await self._limiter.should_rate_limit(RateLimitRequest("d", tuple(descriptors)))

    async def left(self, asked: str) -> int | None:
        """Return what is left of the limit that is nearest to refusing."""
        (status,) = (await self.ask(f"{asked}*0")).statuses
        return status.remaining


@pytest.fixture(name="strict")
def _strict(tmp_path: Path) -> Desk:
    return Desk(tmp_path, "strict")


async def test_refused_calls_count_nowhere(strict: Desk) -> None:
    """F3, F7, F10: exactly the limit is admitted, and the other limits stay as they were."""
    codes = [(await strict.ask("user=ann", "day=x")).overall for _ in range(5)]

    assert codes == [OK, OK, OVER, OVER, OVER]
    assert await strict.left("user=ann") == 1


async def test_refused_calls_count_in_a_compatible_domain(tmp_path: Path) -> None:
    compatible = Desk(tmp_path, "compatible")
    codes = [(await compatible.ask("user=ann", "day=x")).overall for _ in range(5)]

    assert codes == [OK, OK, OVER, OVER, OVER]
    assert await compatible.left("user=ann") == 0


async def test_tokens_are_recorded_past_their_limit_and_then_refuse(strict: Desk) -> None:
    """F16."""
    assert (await strict.ask("spent=x*0")).overall is OK
    assert (await strict.ask("spent=x*500")).overall is OVER
    assert (await strict.ask("spent=x*0")).overall is OVER

    strict.clock.now_us += MINUTE_US
    assert (await strict.ask("spent=x*0")).overall is OK


async def test_what_was_spent_is_recorded_by_a_call_that_something_else_refuses(
    strict: Desk,
) -> None:
    for _ in range(2):
        await strict.ask("day=x")

    assert (await strict.ask("day=x", "spent=x*30")).overall is OVER
    assert await strict.left("spent=x") == 70


@pytest.mark.parametrize("ahead_us", [0, 3 * DAY_US, -3 * DAY_US])
async def test_a_day_ends_by_the_store_s_clock(tmp_path: Path, ahead_us: int) -> None:
    """F39, F42: whatever the host's clock says."""
    desk = Desk(tmp_path, "strict", ahead_us)
    assert [(await desk.ask("day=x")).overall for _ in range(3)] == [OK, OK, OVER]

    (status,) = (await desk.ask("day=x")).statuses
    assert status.reset_in_us is not None
    desk.clock.now_us += status.reset_in_us - 1
    assert (await desk.ask("day=x")).overall is OVER
    desk.clock.now_us += 1
    assert (await desk.ask("day=x")).overall is OK


async def test_who_waits_as_told_for_a_bucket_is_admitted(strict: Desk) -> None:
    """F47."""
    for _ in range(2):
        await strict.ask("bucket=x")
    (status,) = (await strict.ask("bucket=x")).statuses

    assert (status.code, status.wait_us) == (OVER, 1_000_000)
    strict.clock.now_us += 1_000_000
    assert [(await strict.ask("bucket=x")).overall for _ in range(2)] == [OK, OVER]


async def test_a_limit_on_trial_counts_and_reports_and_refuses_nobody(strict: Desk) -> None:
    results = [(await strict.ask("trial=x")).statuses[0].result for _ in range(3)]

    assert results == [Result.NEAR, Result.SHADOWED, Result.SHADOWED]


async def test_calls_in_flight_are_not_taken_up_by_hits(strict: Desk) -> None:
    assert [(await strict.ask("user=bob")).overall for _ in range(3)] == [OK] * 3


async def test_only_who_is_named_is_exempt(strict: Desk) -> None:
    """F51."""
    assert [(await strict.ask("user=admin")).overall for _ in range(5)] == [OK] * 5
    assert [(await strict.ask("user=root")).overall for _ in range(4)] == [OK, OK, OK, OVER]
