"""How many operations a call waits for."""

from __future__ import annotations

from ratelimit_service.store.redis.pace import Pace


def test_at_first_nobody_is_waited_for() -> None:
    assert Pace().target == 1


def test_one_at_a_time_never_waits() -> None:
    pace = Pace()
    for _ in range(1_000):
        pace.sent(1)
        assert pace.target == 1


def test_as_many_are_expected_as_went_last_time() -> None:
    pace = Pace()
    pace.sent(9)

    assert pace.target == 9


def test_a_trial_asks_for_twice_as_many_and_comes_again_soon_while_it_brings_more() -> None:
    pace, came, targets = Pace(), 2, []
    for _ in range(25):
        targets.append(pace.target)
        came = max(came, pace.target)
        pace.sent(came)

    assert targets[-1] >= 32


def test_trials_that_bring_nothing_become_rare() -> None:
    pace = Pace()
    trials = 0
    for _ in range(1_000):
        trials += pace.target > 8
        pace.sent(8)

    assert 1_000 / 65 - 1 <= trials <= 1_000 / 65 + 5


def test_one_lean_call_does_not_end_a_busy_time() -> None:
    pace = Pace()
    pace.sent(32)
    pace.sent(1)

    assert pace.target == 24


def test_what_no_longer_comes_is_soon_no_longer_expected() -> None:
    pace = Pace()
    pace.sent(128)
    calls = 0
    while pace.target > 1:
        pace.sent(1)
        calls += 1

    assert calls <= 20
