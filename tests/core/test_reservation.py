"""The frozen plan as text, and the moves of a record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap, CounterState
from ratelimit_service.core.messages import Hold, HoldKind, Record, State
from ratelimit_service.core.reservation import (
    MOVES,
    Change,
    Claimant,
    Extension,
    Home,
    PlannedLine,
    Reservation,
    Share,
    claim_ids,
    move,
)
from ratelimit_service.core.units import MAX_AMOUNT

AMOUNTS = st.integers(0, MAX_AMOUNT)
TEXTS = st.text(max_size=12)
IDS = st.from_regex(r"[a-z0-9.-]{1,12}", fullmatch=True)
HOLDS = st.builds(Hold, IDS, st.sampled_from(HoldKind), AMOUNTS, AMOUNTS)
LINES = st.builds(
    PlannedLine,
    slot=TEXTS,
    key=TEXTS,
    cap=st.builds(Cap, limit=AMOUNTS, window_us=AMOUNTS, start_us=AMOUNTS),
    measure=TEXTS,
    kind=st.sampled_from(HoldKind),
    amount=AMOUNTS,
    minimum=AMOUNTS,
    lease_us=AMOUNTS,
    limit_name=TEXTS,
    shares=st.lists(st.builds(Share, AMOUNTS, AMOUNTS), max_size=2).map(tuple),
    holds=st.lists(HOLDS, min_size=1, max_size=2).map(tuple),
)
EXTENSIONS = st.builds(Extension, TEXTS, TEXTS, TEXTS)
RESERVATIONS = st.builds(
    Reservation,
    owner=TEXTS,
    ids=IDS,
    lines=st.lists(LINES, max_size=3).map(tuple),
    note=TEXTS,
    extensions=st.lists(EXTENSIONS, max_size=2).map(tuple),
    pending=st.none() | EXTENSIONS,
    abandoned=IDS,
    actuals=st.lists(AMOUNTS, max_size=3).map(tuple),
)

RECORD = Record(7, State.PENDING, "payload", "secret", 0, "")
PLAN = Reservation("owner", "n.c-0.", ())


@settings(deadline=None, max_examples=50)
@given(RESERVATIONS)
def test_what_is_written_is_read(reservation: Reservation) -> None:
    assert Reservation.of(replace(RECORD, body=reservation.encode())) == reservation


def test_a_body_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format"):
        Reservation.of(replace(RECORD, body='{"format":2}'))


def test_the_holds_of_one_script_follow_from_the_states_that_it_kept() -> None:
    line = PlannedLine("s", "k", Cap(Algorithm.FIXED_WINDOW, 9, 60), "m", HoldKind.KEEP, 3, 3)
    plan = replace(PLAN, lines=(line,))
    record = replace(RECORD, body=plan.encode(), states=(CounterState(at_us=42, counted=3),))
    assert Reservation.of(record).lines[0].holds == (Hold("n.c-0.0.", HoldKind.KEEP, 3, 42),)


@pytest.mark.parametrize("before", [None, *State])
@pytest.mark.parametrize("after", State)
def test_a_record_makes_the_moves_of_the_table_and_no_other(
    before: State | None, after: State
) -> None:
    record = replace(RECORD, state=before) if before is not None else None
    if after in MOVES[before]:
        swap = move(Home("h", "n", "due"), record, Change(after, PLAN))
        assert (swap.expected, swap.state) == (7 if record else 0, after)
    else:
        with pytest.raises(ValueError, match="cannot become"):
            move(Home("h", "n", "due"), record, Change(after, PLAN))


def test_a_record_keeps_its_payload_and_secret_unless_it_is_claimed() -> None:
    home = Home("h", "n")
    kept = move(home, RECORD, Change(State.ABORTED, PLAN))
    assert (kept.payload, kept.secret) == ("payload", "secret")
    claimed = move(home, RECORD, Change(State.PENDING, PLAN), Claimant("p", "s"))
    assert (claimed.payload, claimed.secret) == ("p", "s")


def test_no_claims_ids_begin_with_those_of_another() -> None:
    ids = [claim_ids("n", call, claim) for call in ("c", "c1", "d") for claim in range(12)]
    assert not [(a, b) for a in ids for b in ids if a != b and a.startswith(b)]
