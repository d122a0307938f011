"""Draw how each algorithm counts at a boundary: ``python docs/plots/plot.py [FOLDER]``.

The counting is the service's own, from core.algorithms; only the callers are made up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from ratelimit_service.core.algorithms import (
    Algorithm,
    Cap,
    CounterState,
    add,
    correct,
    fits,
    roll,
    usage,
)

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US
MINUTE_US: Final = 60 * SECOND_US
LIMIT: Final = 10


@dataclass(frozen=True, slots=True)
class Call:
    """A call at a time; it is over ``lasts_us`` later, where that matters."""

    at_us: int
    lasts_us: int = 0


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn: a cap, which may change with the time, and the calls that meet it."""

    name: str
    title: str
    cap: Callable[[int], Cap]
    calls: Sequence[Call]
    end_us: int
    start_us: int = 0
    boundaries: Sequence[int] = ()
    label: Callable[[int], str] = field(default=lambda at_us: f"{at_us // SECOND_US} s")
    step_us: int = 20 * SECOND_US


@dataclass(frozen=True, slots=True)
class Seen:
    """What was counted at a time, and what became of the call that came then, if one did."""

    at_us: int
    counted: int
    admitted: bool | None = None


def watch(plot: Plot) -> Iterator[Seen]:
    """Let the calls come, and look at the counter in between."""
    state: CounterState | None = None
    samples = range(plot.start_us, plot.end_us + 1, (plot.end_us - plot.start_us) // 360)
    ends: list[int] = []
    for at_us, call in sorted(
        [(at, None) for at in samples] + [(call.at_us, call) for call in plot.calls],
        key=lambda event: (event[0], event[1] is not None),
    ):
        cap = plot.cap(at_us)
        while state is not None and ends and ends[0] <= at_us:
            state = correct(cap, state, state.at_us, -1)
            ends.pop(0)
        rolled = roll(cap, state, at_us)
        if call is None:
            yield Seen(at_us, usage(cap, rolled, at_us))
            continue
        admitted = fits(cap, usage(cap, rolled, at_us), 1)
        yield Seen(at_us, usage(cap, rolled, at_us))
        if admitted:
            state = rolled = add(cap, rolled, 1, at_us)
            ends = sorted([*ends, at_us + call.lasts_us]) if call.lasts_us else ends
        yield Seen(at_us, usage(cap, rolled, at_us), admitted)


def always(cap: Cap) -> Callable[[int], Cap]:
    """Return a cap that does not change."""
    return lambda _: cap


def rush() -> tuple[Call, ...]:
    """Return a call each second around the end of the first minute, then one in ten seconds."""
    dense = [Call(second * SECOND_US) for second in range(45, 76)]
    return (*dense, *(Call(second * SECOND_US) for second in range(80, 171, 10)))


def over_time(name: str, title: str, cap: Cap) -> Plot:
    """Return a plot of the rush at a cap."""
    minutes = (MINUTE_US, 2 * MINUTE_US)
    return Plot(name, title, always(cap), rush(), 3 * MINUTE_US, boundaries=minutes)


def calendar() -> Plot:
    """Return a plot of the night in which Berlin's clocks go forward, with a call each hour."""
    zone, start = ZoneInfo("Europe/Berlin"), datetime(2026, 3, 28, 6, tzinfo=UTC)
    start_us = int(start.timestamp()) * SECOND_US
    end_us = start_us + 56 * HOUR_US

    def midnight_us(at_us: int, days: int) -> int:
        day = datetime.fromtimestamp(at_us // SECOND_US, zone).date() + timedelta(days)
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND_US

    def cap(at_us: int) -> Cap:
        bounds = midnight_us(at_us, 0), midnight_us(at_us, 1)
        return Cap(Algorithm.CALENDAR, LIMIT, start_us=bounds[0], end_us=bounds[1])

    def label(at_us: int) -> str:
        return datetime.fromtimestamp(at_us // SECOND_US, zone).strftime("%a %H:%M")

    return Plot(
        "calendar_day",
        "calendar_day, time_zone Europe/Berlin: the short Sunday has 23 hours",
        cap,
        tuple(Call(start_us + hour * HOUR_US) for hour in range(56)),
        end_us,
        start_us,
        (midnight_us(start_us, 1), midnight_us(start_us, 2)),
        label,
        8 * HOUR_US,
    )


def in_flight() -> Plot:
    """Return a plot of calls of 14 seconds, one a second; the worker of every fourth dies."""
    lasts = (14, 14, 14, 45)
    calls = [Call(at * SECOND_US, lasts[at % 4] * SECOND_US) for at in range(2, 100)]
    return Plot(
        "concurrency",
        "concurrency, lease 45s: calls take 14 s; every fourth worker dies, its slot comes back",
        always(Cap(Algorithm.CONCURRENCY, LIMIT)),
        tuple(calls),
        150 * SECOND_US,
    )


def plots() -> tuple[Plot, ...]:
    """Return all that is drawn."""
    return (
        over_time(
            "fixed_window",
            "fixed_window, 10 in 1m: twice the limit may pass around a boundary",
            Cap(Algorithm.FIXED_WINDOW, LIMIT, MINUTE_US),
        ),
        over_time(
            "first_hit",
            "fixed_window, align first_hit: the window begins with the first call",
            Cap(Algorithm.FIRST_HIT, LIMIT, MINUTE_US),
        ),
        over_time(
            "sliding_window",
            "sliding_window, 10 in 1m: the minute before fades out",
            Cap(Algorithm.SLIDING_WINDOW, LIMIT, MINUTE_US),
        ),
        over_time(
            "token_bucket",
            "token_bucket, 10 in 1m, burst 10: a call fits again every 6 s",
            Cap(Algorithm.TOKEN_BUCKET, LIMIT, MINUTE_US, refill=LIMIT),
        ),
        over_time(
            "lifetime",
            "window lifetime: spent is spent",
            Cap(Algorithm.LIFETIME, LIMIT, 30 * 24 * HOUR_US),
        ),
        calendar(),
        in_flight(),
    )


WIDTH: Final = 720
HEIGHT: Final = 250
LEFT: Final = 46
RIGHT: Final = 14
TOP: Final = 34
FLOOR: Final = 176
"""Where 0 is; below it is a row of calls, then the labels of times."""

ROW: Final = 196
MOST: Final = 12

STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:14px;font-weight:bold}"
    ".axis{stroke:#999}.edge{stroke:#bbb;stroke-dasharray:3 3}.limit{stroke:#c0392b;"
    "stroke-dasharray:6 3}.count{fill:#3b7dd833;stroke:#3b7dd8;stroke-width:1.5}"
    ".ok{fill:#27864a}.over{stroke:#c0392b;stroke-width:1.5}.end{text-anchor:end}"
    ".mid{text-anchor:middle}"
)


def draw(plot: Plot) -> str:
    """Return a plot as SVG."""

    def x(at_us: int) -> str:
        share = (at_us - plot.start_us) / (plot.end_us - plot.start_us)
        return f"{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}"

    def y(counted: int) -> str:
        return f"{FLOOR - counted * (FLOOR - TOP) / MOST:.1f}"

    seen = tuple(watch(plot))
    line = " ".join(f"{x(each.at_us)},{y(each.counted)}" for each in seen)
    marks = "".join(_mark(each, x) for each in seen if each.admitted is not None)
    right = WIDTH - RIGHT
    edges = "".join(f'<path class="edge" d="M{x(at)} {TOP}V{ROW + 8}"/>' for at in plot.boundaries)
    times = "".join(
        f'<text class="mid" x="{x(at)}" y="{ROW + 26}">{plot.label(at)}</text>'
        for at in range(plot.start_us, plot.end_us + 1, plot.step_us)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{plot.title}</title><style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text class="title" x="{LEFT}" y="20">{plot.title}</text>{edges}'
        f'<path class="axis" d="M{LEFT} {TOP}V{FLOOR}H{right}"/>'
        f'<path class="limit" d="M{LEFT} {y(LIMIT)}H{right}"/>'
        f'<text class="end" x="{LEFT - 6}" y="{float(y(LIMIT)) + 4:.1f}">{LIMIT}</text>'
        f'<text class="end" x="{LEFT - 6}" y="{FLOOR + 4}">0</text>'
        f'<polygon class="count" points="{LEFT},{FLOOR} {line} {right},{FLOOR}"/>'
        f'<text class="end" x="{LEFT - 6}" y="{ROW + 4}">calls</text>{marks}{times}'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">dots are admitted, crosses are refused; '
        "the area is what is counted</text></svg>\n"
    )


def _mark(seen: Seen, x: Callable[[int], str]) -> str:
    at = x(seen.at_us)
    if seen.admitted:
        return f'<circle class="ok" cx="{at}" cy="{ROW}" r="3"/>'
    return f'<path class="over" d="M{at} {ROW}m-3 -3l6 6m0 -6l-6 6"/>'


def main(folder: Path) -> None:
    """Write every plot into a folder."""
    for plot in plots():
        (folder / f"{plot.name}.svg").write_text(draw(plot), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
