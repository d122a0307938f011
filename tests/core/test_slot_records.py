"""What is remembered of reservations, and for how long anything is."""

from __future__ import annotations

import pytest

from ratelimit_service.core.algorithms import Algorithm, Cap, usage
from ratelimit_service.core.messages import (
    GRACE_US,
    LATE_US,
    Confirm,
    Hold,
    HoldKind,
    Line,
    ListDue,
    Look,
    Message,
    Payment,
    Read,
    Renew,
    Settle,
    SlotReply,
    State,
    Swap,
    Verdict,
    Write,
)
from tests.core.slot_talk import (
    CALENDAR,
    FIXED,
    HOUR,
    LEASES,
    LIFETIME,
    MINUTE,
    MINUTELY,
    SECOND,
    T,
    Talk,
    line,
)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def swap(expected: int, state: State = State.COMMITTED, lasts_us: int = MINUTE) -> Swap:
    return Swap("name", expected, state, "payload", "secret", "body", lasts_us)


class TestRecords:
    def test_an_admission_is_remembered_with_what_it_charged(self, talk: Talk) -> None:
        reply = talk.admit(line(3), swap=swap(0))
        record = talk.say(Read("name")).record
        assert record is not None
        assert record == reply.record
        assert (record.revision, record.state) == (1, State.COMMITTED)
        assert (record.expires_at_us, record.admitted_at_us) == (T + MINUTE, T)
        assert record.states == (reply.views[0].state,)

    def test_a_refusal_is_not_remembered(self, talk: Talk) -> None:
        assert talk.admit(line(11), swap=swap(0)).record is None
        assert talk.say(Read("name")).record is None

    def test_a_repeated_admission_charges_nothing(self, talk: Talk) -> None:
        """F13."""
        first = talk.admit(line(3), swap=swap(0))
        again = talk.admit(line(3), swap=swap(0))
        assert again.verdict is Verdict.CONFLICT
        assert again.record == first.record
        assert talk.used_and_held(line()) == (3, 3)

    @pytest.mark.parametrize(
        "message",
        [
            Settle(
                (Payment("key", FIXED, Hold("h1.", HoldKind.KEEP, 3, FIXED.window_us), 0),), swap(7)
            ),
            Confirm((), swap(7)),
            Renew((), swap(7)),
            Write(swap(7)),
        ],
        ids=lambda message: type(message).__name__,
    )
    def test_another_revision_is_a_conflict(self, talk: Talk, message: Message) -> None:
        first = talk.admit(line(3), swap=swap(0))
        reply = talk.say(message)
        assert reply == SlotReply(Verdict.CONFLICT, T, record=first.record)
        assert talk.used_and_held(line()) == (3, 3)

    def test_a_conflict_is_told_before_boundaries_are_asked_for(self, talk: Talk) -> None:
        talk.say(Write(swap(0)))
        talk.now_us -= 1
        assert talk.admit(line(cap=CALENDAR), swap=swap(0)).verdict is Verdict.CONFLICT

    def test_later_writes_keep_what_was_admitted_and_until_when(self, talk: Talk) -> None:
        talk.admit(line(3), swap=swap(0))
        talk.now_us += SECOND
        record = talk.say(Write(swap(1, State.SETTLING, 0))).record
        assert record is not None
        assert (record.revision, record.state) == (2, State.SETTLING)
        assert (record.expires_at_us, record.admitted_at_us) == (T + MINUTE, T)
        assert len(record.states) == 1

    def test_a_record_is_read_for_an_hour_after_its_end(self, talk: Talk) -> None:
        talk.say(Write(swap(0)))
        talk.now_us += MINUTE + LATE_US - 1
        assert talk.say(Read("name")).record is not None
        talk.now_us += 1
        assert talk.say(Read("name")).record is None
        assert talk.say(Write(swap(0))).verdict is Verdict.DONE

    def test_secrets_are_not_printed(self, talk: Talk) -> None:
        written = Swap("name", 0, State.PENDING, "payload", "hidden-from-logs", "body")
        assert "hidden-from-logs" not in repr((written, talk.say(Write(written))))


class TestDueLists:
    def listed(self, name: str, due_us: int, expected: int = 0) -> Write:
        return Write(
            Swap(name, expected, State.PENDING, "", "", "", MINUTE, due_list="due", due_us=due_us)
        )

    def due(self, talk: Talk, most: int = 9) -> tuple[str, ...]:
        return talk.say(ListDue("due", most)).names

    def test_the_longest_due_come_first(self, talk: Talk) -> None:
        for name, due_us in [("c", 3), ("b", 2), ("a", 2), ("d", 4)]:
            talk.say(self.listed(name, due_us))
        assert self.due(talk) == ()
        talk.now_us += 3
        assert self.due(talk) == ("a", "b", "c")
        assert self.due(talk, most=2) == ("a", "b")

    def test_a_write_takes_a_record_off(self, talk: Talk) -> None:
        talk.say(self.listed("a", 1))
        talk.say(self.listed("a", 0, expected=1))
        talk.now_us += 1
        assert self.due(talk) == ()

    def test_a_name_of_no_record_is_taken_off_by_who_reads_it(self, talk: Talk) -> None:
        talk.say(self.listed("a", 1))
        talk.say(Read("a", "due"))
        talk.now_us += MINUTE + LATE_US
        assert self.due(talk) == ("a",)
        talk.say(Read("a", "due"))
        assert self.due(talk) == ()


class TestForgetting:
    def test_memory_follows_what_has_meaning(self, talk: Talk) -> None:
        """F54: a million callers that come once leave nothing behind."""
        sizes = []
        for number in range(2_000):
            item = line(1, HoldKind.LEASE, MINUTELY, key=str(number))
            held = talk.reserve(item)
            talk.settle(item, held, 1)
            talk.say(Write(Swap(str(number), 0, State.SETTLED, "", "", "", SECOND)))
            talk.now_us += 10 * SECOND
            sizes.append(len(talk.slot))
        assert max(sizes[-100:]) <= 2 * (LATE_US + MINUTE + GRACE_US) // (10 * SECOND)

    @pytest.mark.parametrize(
        ("item", "after_us", "counted"),
        [
            (line(4), 24 * HOUR - T % (24 * HOUR) - 1, 4),
            (line(4, None, LIFETIME), 30 * 24 * HOUR, 4),
            (Line("key", LEASES, 1, 1, HoldKind.LEASE, 48 * HOUR), 48 * HOUR - 1, 1),
            (Line("key", LIFETIME, 4, 4, HoldKind.KEEP, 90 * 24 * HOUR), 90 * 24 * HOUR - 1, 4),
            (line(4, None, Cap(Algorithm.SLIDING_WINDOW, 10, MINUTE)), 2 * MINUTE - 1, 1),
            (line(4, None, Cap(Algorithm.TOKEN_BUCKET, 10, HOUR, 1)), 4 * HOUR - 1, 1),
        ],
        ids=["fixed", "lifetime", "lease", "held lifetime", "sliding", "bucket"],
    )
    def test_nothing_is_forgotten_too_soon(
        self, talk: Talk, item: Line, after_us: int, counted: int
    ) -> None:
        """F40, F41."""
        talk.admit(item)
        talk.now_us += after_us
        for number in range(9):
            talk.admit(line(1, None, key=f"other {number}"))
        (view,) = talk.say(Look((item,))).views
        assert usage(item.cap, view.state, talk.now_us) == counted

    def test_a_late_settlement_finds_its_hold(self, talk: Talk) -> None:
        """F15, F40."""
        item = line(4, cap=LIFETIME)
        held = talk.reserve(item)
        talk.now_us += MINUTE + LATE_US - 1
        for number in range(9):
            talk.admit(line(1, None, key=f"other {number}"))
        assert talk.settle(item, held, 7).state.counted == 7
