"""Records that need not be read again."""

from __future__ import annotations

from ratelimit_service.core.messages import Record, State
from ratelimit_service.store.known_records import LONGEST, KnownRecords
from tests.store.subjects import Clock


def _record(body: str = "{}") -> Record:
    return Record(1, State.COMMITTED, "payload", "secret", 9, body)


def test_a_record_is_given_once() -> None:
    known = KnownRecords()
    known.put("id", _record(), 1_000_000)

    assert known.take("id") == _record()
    assert known.take("id") is None


def test_a_record_is_forgotten_when_the_reservation_ends() -> None:
    clock = Clock()
    known = KnownRecords(now_us=clock)
    for name in "ab":
        known.put(name, _record(), 10)
    clock.now_us += 9
    assert known.take("a") is not None
    clock.now_us += 1
    assert known.take("b") is None


def test_their_number_and_their_length_are_bounded() -> None:
    """F54."""
    known = KnownRecords(most=10)
    for number in range(1_000):
        known.put(f"{number}", _record(), 1_000_000)
    known.put("long", _record("x" * (LONGEST + 1)), 1_000_000)

    assert len(known) == 10
    assert known.take("989") is None
    assert known.take("990") is not None
    assert known.take("long") is None
