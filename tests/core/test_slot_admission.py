"""What is admitted, what is refused, and what a refusal tells."""

from __future__ import annotations

import pytest

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.messages import (
    LOOKED_AT,
    TENTATIVE_US,
    Admit,
    HoldKind,
    Line,
    Look,
    Message,
    SlotReply,
    Verdict,
)
from ratelimit_service.core.waiting import Release
from tests.core.slot_talk import CALENDAR, FIXED, HOUR, MINUTE, SECOND, T, Talk, lease, line


@pytest.fixture
def talk() -> Talk:
    return Talk()


class TestAdmission:
    def test_all_lines_are_charged(self, talk: Talk) -> None:
        reply = talk.admit(line(3, key="a"), line(4, key="b"))
        assert reply.verdict is Verdict.DONE
        assert [view.granted for view in reply.views] == [3, 4]
        assert talk.used_and_held(line(key="a")) == (3, 3)
        assert talk.used_and_held(line(key="b")) == (4, 4)

    def test_one_line_that_does_not_fit_leaves_the_others_as_they_were(self, talk: Talk) -> None:
        """F3, F28."""
        full = talk.reserve(line(10, key="b"))
        reply = talk.admit(line(3, key="a"), line(1, key="b"), lease())
        assert reply.verdict is Verdict.OVER
        assert [view.fits for view in reply.views] == [True, False, True]
        assert talk.used_and_held(line(key="a")) == (0, 0)
        assert talk.used_and_held(lease()) == (0, 0)
        assert talk.has(full, "b")

    def test_exactly_the_limit_is_admitted(self, talk: Talk) -> None:
        """F1, F2, F7."""
        verdicts = [talk.admit(line(3)).verdict for _ in range(5)]
        assert verdicts == [Verdict.DONE] * 3 + [Verdict.OVER] * 2
        assert talk.admit(line(1)).verdict is Verdict.DONE
        assert talk.used_and_held(line()) == (10, 10)

    def test_refusals_neither_extend_nor_consume_the_window(self, talk: Talk) -> None:
        """F10."""
        first_hit = Cap(Algorithm.FIRST_HIT, 10, MINUTE)
        talk.admit(line(10, None, first_hit))
        for _ in range(3):
            talk.now_us += 20 * SECOND - 1
            assert talk.admit(line(1, None, first_hit)).verdict is Verdict.OVER
        talk.now_us += 3
        assert talk.admit(line(1, None, first_hit)).verdict is Verdict.DONE

    def test_a_look_begins_no_window(self, talk: Talk) -> None:
        first_hit = Cap(Algorithm.FIRST_HIT, 10, MINUTE)
        talk.admit(line(1, None, first_hit))
        talk.now_us += 2 * MINUTE
        talk.used_and_held(line(1, None, first_hit))
        talk.now_us += MINUTE // 2
        reply = talk.admit(line(1, None, first_hit))
        assert reply.views[0].state.at_us == talk.now_us

    def test_halves_of_a_unit_that_drained_at_different_times_are_one(self, talk: Talk) -> None:
        bucket = Cap(Algorithm.TOKEN_BUCKET, 10, MINUTE, refill=30)
        talk.admit(line(9, None, bucket))
        talk.now_us += SECOND
        talk.admit(line(1, None, bucket))
        assert talk.admit(line(1, None, bucket)).verdict is Verdict.OVER
        talk.now_us += SECOND
        assert talk.admit(line(1, None, bucket)).verdict is Verdict.DONE

    def test_a_peek_charges_nothing_and_refuses_where_nothing_is_left(self, talk: Talk) -> None:
        assert talk.admit(line(0, None)).verdict is Verdict.DONE
        assert len(talk.slot) == 0
        talk.admit(line(10))
        assert talk.admit(line(0, None)).verdict is Verdict.OVER

    def test_an_estimate_of_0_locks_nothing_and_can_be_settled_to_more(self, talk: Talk) -> None:
        """F22."""
        held = talk.reserve(line(0))
        assert talk.admit(line(10)).verdict is Verdict.DONE
        assert talk.settle(line(), held, 3).state.counted == 13

    @pytest.mark.parametrize(
        ("amount", "minimum", "granted"),
        [(9, 2, 4), (4, 4, 4), (5, 5, None), (3, 1, 3), (9, 0, 4)],
        ids=["01 part", "02 all", "03 too little is left", "04 not more than asked", "05 any part"],
    )
    def test_partial_grants(
        self, talk: Talk, amount: int, minimum: int, granted: int | None
    ) -> None:
        talk.admit(line(6))
        reply = talk.admit(Line("key", FIXED, amount, minimum, HoldKind.KEEP, MINUTE))
        if granted is None:
            assert reply.verdict is Verdict.OVER
        else:
            assert reply.views[0].granted == granted

    def test_a_minimum_of_0_needs_something_left(self, talk: Talk) -> None:
        talk.admit(line(10))
        asked = Line("key", FIXED, 5, 0, HoldKind.KEEP, MINUTE)
        assert talk.admit(asked).verdict is Verdict.OVER

    @pytest.mark.parametrize(
        ("firm", "tentative", "amount", "verdict"),
        [
            (4, 4, 3, Verdict.CONTENDED),
            (8, 2, 3, Verdict.OVER),
            (0, 10, 10, Verdict.CONTENDED),
            (0, 10, 11, Verdict.OVER),
            (10, 0, 0, Verdict.OVER),
        ],
        ids=["01 by others", "02 anyway", "03 all by others", "04 never", "05 firm alone"],
    )
    def test_contended_is_told_from_over(
        self, talk: Talk, firm: int, tentative: int, amount: int, verdict: Verdict
    ) -> None:
        talk.admit(line(firm))
        talk.admit(line(tentative, HoldKind.TENTATIVE))
        assert talk.admit(line(amount)).verdict is verdict

    def test_one_line_that_is_over_is_more_than_others_that_are_contended(self, talk: Talk) -> None:
        talk.admit(line(10, HoldKind.TENTATIVE, key="a"), line(10, key="b"))
        assert talk.admit(line(key="a"), line(key="b")).verdict is Verdict.OVER
        assert talk.admit(line(key="a")).verdict is Verdict.CONTENDED

    def test_a_refusal_tells_what_will_be_given_back(self, talk: Talk) -> None:
        talk.admit(Line("key", FIXED, 5, 5, HoldKind.RELEASE, 3 * MINUTE))
        talk.admit(Line("key", FIXED, 2, 2, HoldKind.TENTATIVE, TENTATIVE_US))
        talk.admit(Line("key", FIXED, 3, 3, HoldKind.KEEP, MINUTE))
        (view,) = talk.admit(line(3)).views
        at_us = view.state.at_us
        assert view.releases == (
            Release(T + TENTATIVE_US, at_us, 2),
            Release(T + 3 * MINUTE, at_us, 5),
        )

    def test_a_refusal_looks_at_so_many_holds(self, talk: Talk) -> None:
        wide = Cap(Algorithm.CONCURRENCY, LOOKED_AT + 5)
        for _ in range(LOOKED_AT + 5):
            talk.admit(line(1, HoldKind.LEASE, wide))
        (view,) = talk.admit(line(1, HoldKind.LEASE, wide)).views
        assert len(view.releases) == LOOKED_AT

    @pytest.mark.parametrize("after_us", [-1, HOUR], ids=["01 before", "02 after"])
    @pytest.mark.parametrize(
        "message", [Admit("h.", (line(cap=CALENDAR),)), Look((line(cap=CALENDAR),))]
    )
    def test_a_calendar_asks_for_its_boundaries(
        self, talk: Talk, message: Message, after_us: int
    ) -> None:
        """F42."""
        talk.now_us += after_us
        assert talk.say(message) == SlotReply(Verdict.NEED_BOUNDARIES, talk.now_us)
        assert len(talk.slot) == 0
