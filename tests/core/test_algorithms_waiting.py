"""Who comes back when told, and finds nobody there before, is admitted; and no sooner (F47)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap, CounterState
from ratelimit_service.core.messages import Admit, HoldKind, Line, Look, Verdict
from ratelimit_service.core.slot import Slot
from ratelimit_service.core.units import MAX_AMOUNT
from ratelimit_service.core.waiting import fits_at_us

MINUTE_US: Final = 60_000_000
START_US: Final = 28_333_333 * MINUTE_US
LEFT_TO_THEMSELVES: Final = {Algorithm.LIFETIME, Algorithm.CONCURRENCY}
"""Counters that time alone does not empty."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A charge that comes so long after the one before."""

    passing_us: int
    amount: int
    kind: HoldKind | None
    lasts_us: int


@dataclass(frozen=True, slots=True)
class Story:
    """Visits that take what they get, and a last one that wants it all."""

    cap: Cap
    visits: Sequence[Visit]
    last: Visit


@st.composite
def stories(draw: st.DrawFn) -> Story:
    limits = st.integers(1, 30) | st.sampled_from([10**12, MAX_AMOUNT - 1, MAX_AMOUNT])
    window_us = draw(st.sampled_from([7, 1_000, MINUTE_US, 365 * 24 * 60 * MINUTE_US]))
    cap = Cap(draw(st.sampled_from(Algorithm)), draw(limits), window_us, refill=draw(limits))
    kinds = [HoldKind(kind) for kind in ("tl" if cap.algorithm is Algorithm.CONCURRENCY else "tkr")]
    visits = st.builds(
        Visit,
        passing_us=st.integers(-5, 5) | st.integers(0, window_us),
        amount=st.just(cap.limit) | st.integers(0, cap.limit),
        kind=st.sampled_from(kinds) if len(kinds) == 2 else st.none() | st.sampled_from(kinds),
        lasts_us=st.integers(1, 10) | st.integers(1, 2 * window_us),
    )
    return Story(cap, draw(st.lists(visits, max_size=8)), draw(visits))


def in_its_window(cap: Cap, now_us: int) -> Cap:
    """Give a calendar, whose windows are all alike here, the one of a time."""
    if cap.algorithm is not Algorithm.CALENDAR:
        return cap
    start_us = now_us - now_us % cap.window_us
    return replace(cap, start_us=start_us, end_us=start_us + cap.window_us)


def admits(slot: Slot, cap: Cap, amount: int, now_us: int) -> bool:
    """Tell whether all of an amount would be charged."""
    line = Line("key", in_its_window(cap, now_us), amount, amount)
    return deepcopy(slot).handle(Admit("ask.", (line,)), now_us).verdict is Verdict.DONE


def is_idle(cap: Cap, state: CounterState, at_us: int) -> bool:
    """Tell whether a lifetime may have ended, which nobody is told to wait for."""
    return cap.algorithm is Algorithm.LIFETIME and at_us > state.at_us + cap.window_us


@settings(max_examples=300, deadline=None)
@given(stories())
def test_retry_at_the_time_told(story: Story) -> None:
    cap, last = story.cap, story.last
    slot, now_us = Slot(), START_US
    for number, visit in enumerate(story.visits):
        now_us += visit.passing_us
        taken = Line("key", in_its_window(cap, now_us), visit.amount, 0, visit.kind, visit.lasts_us)
        slot.handle(Admit(f"{number}.", (taken,)), now_us)
    now_us += last.passing_us
    line = Line("key", in_its_window(cap, now_us), last.amount, last.amount)
    (view,) = slot.handle(Look((line,)), now_us).views
    assume(not view.fits)

    told_us = fits_at_us(line.cap, view.state, view.releases, last.amount, now_us)

    event(f"{cap.algorithm.value}, {'never' if told_us is None else 'once'}")
    if told_us is None:
        assert cap.algorithm in LEFT_TO_THEMSELVES or last.amount > cap.limit
        for release in view.releases:
            if not is_idle(cap, view.state, release.expires_at_us):
                assert not admits(slot, cap, last.amount, release.expires_at_us)
        return
    assert told_us > now_us
    assert not admits(slot, cap, last.amount, told_us - 1)
    assert admits(slot, cap, last.amount, told_us)
