"""How holds end: in time, too late, or not at all."""

from __future__ import annotations

import pytest

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.messages import (
    LATE_US,
    SWEEP_BOUND,
    Admit,
    HoldKind,
    Line,
    Look,
    Payment,
    Renew,
    Settle,
    Verdict,
)
from tests.core.slot_talk import (
    CALENDAR,
    FIXED,
    HOUR,
    LEASES,
    MINUTE,
    MINUTELY,
    T,
    Talk,
    exchanged,
    lease,
    line,
)


@pytest.fixture
def talk() -> Talk:
    return Talk()


class TestExpiry:
    @pytest.mark.parametrize(
        ("kind", "counted"),
        [
            (HoldKind.KEEP, 4),
            (HoldKind.RELEASE, 0),
            (HoldKind.LEASE, 0),
            (HoldKind.TENTATIVE, 0),
        ],
    )
    def test_a_hold_ends_by_its_kind(self, talk: Talk, kind: HoldKind, counted: int) -> None:
        """F14, F29."""
        talk.reserve(line(4, kind))
        talk.now_us += MINUTE - 1
        assert talk.used_and_held(line()) == (4, 4)
        talk.now_us += 1
        assert talk.used_and_held(line()) == (counted, 0)
        talk.admit(line(0, None))
        assert talk.used_and_held(line()) == (counted, 0)

    @pytest.mark.parametrize(
        ("kind", "actual", "counted"),
        [
            (HoldKind.KEEP, 6, 6),
            (HoldKind.KEEP, 0, 0),
            (HoldKind.RELEASE, 6, 6),
            (HoldKind.RELEASE, 0, 0),
            (HoldKind.LEASE, 6, 0),
            (HoldKind.TENTATIVE, 6, 0),
        ],
    )
    def test_a_late_settlement_counts_once(
        self, talk: Talk, kind: HoldKind, actual: int, counted: int
    ) -> None:
        """F15, F21."""
        held = talk.reserve(line(4, kind))
        talk.now_us += MINUTE + LATE_US - 1
        assert talk.settle(line(), held, actual).state.counted == counted
        assert talk.settle(line(), held, 9).state.counted == counted

    @pytest.mark.parametrize(("kind", "counted"), [(HoldKind.KEEP, 4), (HoldKind.RELEASE, 0)])
    def test_a_settlement_after_that_comes_too_late(
        self, talk: Talk, kind: HoldKind, counted: int
    ) -> None:
        held = talk.reserve(line(4, kind))
        talk.now_us += MINUTE + LATE_US
        assert talk.settle(line(), held, 9).state.counted == counted

    def test_so_many_holds_end_in_one_message(self, talk: Talk) -> None:
        wide = Cap(Algorithm.CONCURRENCY, 3 * SWEEP_BOUND)
        for _ in range(SWEEP_BOUND + 3):
            talk.admit(line(1, HoldKind.LEASE, wide))
        talk.now_us += MINUTE
        looked, swept = (
            talk.say(message).views[0].state.counted
            for message in (
                Look((line(0, None, wide),)),
                Admit("a.", (line(1, HoldKind.LEASE, wide),)),
            )
        )
        assert (looked, swept) == (3, 4)
        assert talk.used_and_held(line(0, None, wide)) == (1, 1)


class TestSettlement:
    def test_less_than_the_estimate_is_given_back_at_once(self, talk: Talk) -> None:
        """F17."""
        held = talk.reserve(line(10))
        talk.settle(line(), held, 4)
        assert talk.used_and_held(line()) == (4, 0)
        assert talk.admit(line(6)).verdict is Verdict.DONE

    def test_more_is_charged_in_full_and_nothing_new_admitted(self, talk: Talk) -> None:
        """F16."""
        held = talk.reserve(line(10))
        assert talk.settle(line(), held, 25).state.counted == 25
        assert talk.admit(line(1)).verdict is Verdict.OVER

    def test_twice_is_once(self, talk: Talk) -> None:
        """F11."""
        held = talk.reserve(line(5))
        other = talk.reserve(line(3))
        for _ in range(3):
            talk.settle(line(), held, 2)
            assert talk.used_and_held(line()) == (5, 3)
        talk.settle(line(), other, 3)
        assert talk.used_and_held(line()) == (5, 0)

    def test_goes_to_the_window_that_was_charged(self, talk: Talk) -> None:
        """F25."""
        item = line(5, cap=MINUTELY)
        held = talk.reserve(Line("key", MINUTELY, 5, 5, HoldKind.KEEP, HOUR))
        talk.now_us += MINUTE
        talk.reserve(line(3, cap=MINUTELY))
        talk.settle(item, held, 1)
        assert talk.used_and_held(item) == (3, 3)

    def test_with_the_boundaries_of_its_admission_spares_the_next_day(self, talk: Talk) -> None:
        """F25, F43."""
        held = talk.reserve(Line("key", CALENDAR, 5, 5, HoldKind.KEEP, 3 * HOUR))
        talk.now_us += HOUR
        tomorrow = Cap(Algorithm.CALENDAR, 10, start_us=T + HOUR, end_us=T + 2 * HOUR)
        talk.reserve(line(4, cap=tomorrow))
        talk.settle(line(cap=CALENDAR), held, 0)
        assert talk.used_and_held(line(cap=tomorrow)) == (4, 4)

    def test_what_cannot_be_given_back_is_told(self, talk: Talk) -> None:
        """F23."""
        held = talk.reserve(line(5))
        talk.lose_counter("key")
        view = talk.settle(line(), held, 2)
        assert (view.state.counted, view.shortfall) == (0, 3)

    def test_several_holds_of_one_counter(self, talk: Talk) -> None:
        first, second = talk.reserve(line(3)), talk.reserve(line(4))
        payments = (Payment("key", FIXED, first, 1), Payment("key", FIXED, second, 2))
        views = talk.say(Settle(payments)).views
        assert [view.state.counted for view in views] == [5, 3]
        assert talk.used_and_held(line()) == (3, 0)


class TestLeases:
    def test_a_window_rolls_and_calls_in_flight_stay_counted(self, talk: Talk) -> None:
        """F26."""
        for _ in range(2):
            talk.reserve(Line("key", LEASES, 1, 1, HoldKind.LEASE, 30 * 24 * HOUR))
        talk.now_us += 29 * 24 * HOUR
        assert talk.admit(lease()).verdict is Verdict.OVER

    def test_released_twice_is_released_once(self, talk: Talk) -> None:
        """F27."""
        first, _ = talk.reserve(lease()), talk.reserve(lease())
        for _ in range(2):
            talk.settle(lease(), first, 1)
            assert talk.used_and_held(lease()) == (1, 1)

    def test_a_stale_release_never_frees_anothers(self, talk: Talk) -> None:
        """F30."""
        stale = talk.reserve(lease())
        talk.now_us += MINUTE
        talk.reserve(lease())
        talk.settle(lease(), stale, 0)
        assert talk.used_and_held(lease()) == (1, 1)

    def test_a_renewed_lease_keeps_its_place(self, talk: Talk) -> None:
        """F30."""
        held = talk.reserve(lease())
        talk.now_us += MINUTE - 1
        talk.say(Renew((exchanged(lease(), held, HoldKind.LEASE),)))
        talk.now_us += 5 * MINUTE - 1
        assert talk.used_and_held(lease()) == (1, 1)
        talk.now_us += 1
        assert talk.used_and_held(lease()) == (0, 0)

    def test_without_leases_nothing_is_in_flight(self, talk: Talk) -> None:
        """F29: should a store lose leases, their places are not lost with them."""
        for _ in range(2):
            talk.reserve(lease())
        talk.lose_holds("key")
        assert talk.admit(lease()).views[0].state.counted == 1
