"""The promises of reservations, after every step of every schedule, or of many.

The callers of a setting all want the same, so that exactly as many are admitted as there is room
for once every call has an answer: a call that had none is repeated under its id (F13).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from ratelimit_service.core.slot import Slot
from tests.core.exploring import DECIDED_US
from tests.core.scheduler import FAULTS, Kind, Scheduler
from tests.core.settings import TTL_US, Script, line, play

Report = Callable[[object], None]

RESERVE = ("reserve", "reconcile")
SETTLE_TWICE = ("reserve", "reconcile", "reconcile")
TOP_UP = ("reserve", "top up", "reconcile")
RENEW = ("reserve", "renew", "reconcile")

LATE = frozenset({Kind.LOSE, Kind.DELAY})
CRASHES = frozenset({Kind.CRASH, Kind.CRASH_LATE})


@pytest.fixture(autouse=True)
def _deep() -> Iterator[None]:
    """Let a schedule be as long as it is."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


def over(slots: int, limit: int = 1, stages: tuple[str, ...] = RESERVE) -> Script:
    return Script(tuple(line(slot, limit) for slot in "abc"[:slots]), stages)


@pytest.mark.parametrize(
    ("slots", "kinds"),
    [
        pytest.param(2, frozenset[Kind](), id="two slots"),
        pytest.param(3, frozenset[Kind](), id="three slots"),
        pytest.param(2, CRASHES, id="two slots, a crash"),
        pytest.param(3, frozenset({Kind.CRASH}), id="three slots, a crash", marks=pytest.mark.slow),
        pytest.param(2, LATE, id="two slots, a lost or late message"),
        pytest.param(
            3, frozenset({Kind.CRASH_LATE}), id="three slots, late crash", marks=pytest.mark.slow
        ),
        pytest.param(3, LATE, id="three slots, a lost or late message", marks=pytest.mark.slow),
        pytest.param(
            2, frozenset({Kind.REPEAT}), id="two slots, a repeated call", marks=pytest.mark.slow
        ),
    ],
)
def test_f1_f2_f4_f13_two_callers_in_every_order(
    slots: int, kinds: frozenset[Kind], report: Report
) -> None:
    """Two callers race for one unit, with at most one fault anywhere."""
    explorer = play(over(slots), 2, 1, kinds=kinds, faults=1, pauses=0)
    report(explorer.explore())


def test_f1_two_callers_that_wait_for_each_other_in_every_order(report: Report) -> None:
    """Each tries again when the other is in its way, and both are answered in the end."""
    report(play(over(2), 2, 1, pauses=2).explore())


@pytest.mark.parametrize(
    ("stages", "limit", "faults"),
    [
        pytest.param(RESERVE, 1, 1, id="reserve"),
        pytest.param(SETTLE_TWICE, 1, 1, id="settle"),
        pytest.param(TOP_UP, 2, 1, id="top up"),
        pytest.param(TOP_UP, 1, 1, id="top up without room"),
        pytest.param(RENEW, 1, 1, id="renew"),
    ],
)
def test_f11_f13_f15_one_caller_with_any_fault_in_every_order(
    stages: tuple[str, ...], limit: int, faults: int, report: Report
) -> None:
    """A crash, a lost or late message, a repeated call, or clocks that jump past every end."""
    jumps_us = (DECIDED_US, 2 * TTL_US + DECIDED_US)
    explorer = play(over(2, limit, stages), 1, 1, faults=faults, pauses=0, jumps_us=jumps_us)
    report(explorer.explore())


@pytest.mark.slow
@pytest.mark.parametrize("pauses", [0, 1])
def test_one_caller_that_is_swept_and_crashes_in_every_order(pauses: int, report: Report) -> None:
    """Its claim is due, or taken to be, while its coordinator lives, and then dies (F4)."""
    kinds = frozenset({Kind.JUMP, Kind.CRASH})
    jumps_us = (1, DECIDED_US)
    report(play(over(2), 1, 1, kinds=kinds, faults=2, pauses=pauses, jumps_us=jumps_us).explore())


@pytest.mark.parametrize(
    ("callers", "slots", "limit", "faults", "seeds"),
    [
        pytest.param(2, 2, 1, 3, 100, id="two callers, two slots"),
        pytest.param(3, 3, 1, 4, 60, id="three callers, three slots"),
        pytest.param(5, 3, 2, 5, 40, id="five callers, three slots"),
        pytest.param(2, 2, 1, 3, 4_000, id="many of two", marks=pytest.mark.slow),
        pytest.param(3, 3, 1, 4, 2_000, id="many of three", marks=pytest.mark.slow),
        pytest.param(5, 3, 2, 6, 1_500, id="many of five", marks=pytest.mark.slow),
    ],
)
def test_f1_f4_f13_callers_and_faults_drawn(
    callers: int, slots: int, limit: int, faults: int, seeds: int, report: Report
) -> None:
    explorer = play(over(slots, limit), callers, limit, faults=faults, pauses=2)
    for seed in range(seeds):
        if seed % 100 == 0:
            scheduler = Scheduler(explorer.setting)
        explorer.walk(seed, scheduler)
    report(explorer.explored)


@pytest.mark.parametrize("seeds", [30, pytest.param(1_000, marks=pytest.mark.slow)])
def test_f11_f15_f21_reserved_topped_up_renewed_and_settled_drawn(
    seeds: int, report: Report
) -> None:
    """Nothing is lost or counted twice, whatever happens between reserving and settling."""
    stages = ("reserve", "top up", "renew", "top up", "reconcile", "reconcile")
    script = Script(tuple(line(slot, 20) for slot in "ab"), stages, used=(3, 0, 2))
    jumps_us = (DECIDED_US, TTL_US, 2 * TTL_US + DECIDED_US)
    explorer = play(script, 3, 3, faults=6, pauses=2, jumps_us=jumps_us)
    for seed in range(seeds):
        if seed % 100 == 0:
            scheduler = Scheduler(explorer.setting)
        explorer.walk(seed, scheduler)
    report(explorer.explored)


@pytest.mark.parametrize("stages", [RESERVE, SETTLE_TWICE, TOP_UP, RENEW])
def test_f11_f13_one_slot_in_every_order(stages: tuple[str, ...], report: Report) -> None:
    """One script does it all, and keeps the same promises."""
    script = Script((line("home", 3),), stages)
    kinds = FAULTS - {Kind.JUMP}
    report(play(script, 2, 3, kinds=kinds, faults=1, handle=Slot.handle).explore())
