"""Holds that take the place of others, and holds that are taken back."""

from __future__ import annotations

import pytest

from ratelimit_service.core.messages import (
    TENTATIVE_US,
    Cancel,
    Confirm,
    HoldKind,
    Line,
    Renew,
    Verdict,
)
from tests.core.slot_talk import FIXED, HOUR, MINUTE, MINUTELY, Talk, exchanged, line


@pytest.fixture
def talk() -> Talk:
    return Talk()


class TestExchange:
    def test_a_tentative_hold_becomes_firm(self, talk: Talk) -> None:
        item = Line("key", FIXED, 6, 6, HoldKind.TENTATIVE, TENTATIVE_US)
        held = talk.reserve(item)
        reply = talk.say(Confirm((exchanged(item, held, amount=4),)))
        assert reply.views[0].granted == 4
        talk.now_us += 2 * TENTATIVE_US
        assert talk.used_and_held(item) == (4, 4)

    def test_one_that_is_gone_leaves_the_others_as_they_were(self, talk: Talk) -> None:
        short = Line("a", FIXED, 1, 1, HoldKind.TENTATIVE, 1)
        longer = Line("b", FIXED, 6, 6, HoldKind.TENTATIVE, TENTATIVE_US)
        gone, there = talk.reserve(short), talk.reserve(longer)
        talk.now_us += 1
        exchanges = (exchanged(longer, there, amount=1), exchanged(short, gone))
        assert talk.say(Confirm(exchanges)).verdict is Verdict.GONE
        assert talk.used_and_held(longer) == (6, 6)
        assert talk.has(there, "b")

    def test_renewing_passes_over_what_is_gone(self, talk: Talk) -> None:
        short = Line("a", FIXED, 1, 1, HoldKind.RELEASE, 1)
        gone, there = talk.reserve(short), talk.reserve(line(5, key="b"))
        talk.now_us += 1
        exchanges = (exchanged(short, gone), exchanged(line(key="b"), there))
        assert talk.say(Renew(exchanges)).verdict is Verdict.DONE
        talk.now_us += MINUTE
        assert talk.used_and_held(short) == (0, 0)
        assert talk.used_and_held(line(key="b")) == (5, 5)

    def test_a_hold_of_a_window_that_is_over_is_renewed_and_charges_nothing(
        self, talk: Talk
    ) -> None:
        """F25."""
        item = Line("key", MINUTELY, 5, 5, HoldKind.KEEP, HOUR)
        held = talk.reserve(item)
        talk.now_us += MINUTE
        talk.say(Renew((exchanged(item, held),)))
        assert talk.used_and_held(item) == (0, 0)


class TestCancel:
    @pytest.mark.parametrize("kind", [HoldKind.TENTATIVE, HoldKind.KEEP, HoldKind.LEASE])
    def test_gives_back_every_attempt_of_a_name(self, talk: Talk, kind: HoldKind) -> None:
        for hold_id in ("a.1.", "a.2.", "b.1."):
            talk.reserve(line(2, kind), hold_id)
        talk.say(Cancel("a.", (line(),)))
        assert talk.used_and_held(line()) == (2, 2)

    def test_gives_back_one_attempt_alone(self, talk: Talk) -> None:
        for hold_id in ("a.1.", "a.11.", "a.2."):
            talk.reserve(line(2), hold_id)
        for _ in range(2):
            talk.say(Cancel("a.1.", (line(),)))
            assert talk.used_and_held(line()) == (4, 4)

    @pytest.mark.parametrize("kind", [HoldKind.KEEP, HoldKind.RELEASE])
    def test_gives_back_what_expired(self, talk: Talk, kind: HoldKind) -> None:
        held = talk.reserve(line(4, kind), "a.1.")
        talk.admit(line(6, None))
        talk.now_us += MINUTE
        talk.say(Cancel("a.", (line(),)))
        assert talk.used_and_held(line()) == (6, 0)
        assert talk.settle(line(), held, 9).state.counted == 6

    def test_knows_nothing_of_counters_that_are_not_there(self, talk: Talk) -> None:
        assert talk.say(Cancel("a.", (line(),))).verdict is Verdict.DONE
        assert len(talk.slot) == 0
