"""Settings to play: a home slot and counter slots, and callers that all want the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypedDict, Unpack

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.messages import HoldKind
from ratelimit_service.core.protocols.tasks import (
    ExtendTask,
    ReconcileTask,
    ReserveTask,
    SweepTask,
)
from ratelimit_service.core.reservation import Claimant, Home, PlannedLine, Share
from ratelimit_service.core.settlement import Amount, Report, Usage
from tests.core.exploring import DECIDED_US, Explorer, Promises
from tests.core.scheduler import Handle, Kind, Setting, Task

HOME: Final = "home"
DUE: Final = "due"
TTL_US: Final = 60_000_000
MONTH_US: Final = 30 * 86_400_000_000
CLOCKS_US: Final = (0, 90_000_000, -45_000_000, 7_000)
"""The clocks of slots differ by minutes."""


def line(slot: str, limit: int, amount: int = 1, minimum: int | None = None) -> PlannedLine:
    """Return a line on the one counter of a slot."""
    return PlannedLine(
        slot=slot,
        key=f"{slot}-counter",
        cap=Cap(Algorithm.FIXED_WINDOW, limit, MONTH_US),
        measure="tokens",
        kind=HoldKind.KEEP,
        amount=amount,
        minimum=amount if minimum is None else minimum,
        shares=(Share(0, amount),),
    )


@dataclass(frozen=True, slots=True)
class Script:
    """What callers do: reserve, perhaps top up, then settle to what they used."""

    lines: tuple[PlannedLine, ...]
    stages: tuple[str, ...] = ("reserve", "reconcile")
    used: tuple[int, ...] = (1, 0, 1, 0, 1)
    home: str = HOME
    more: int = 1

    def task(self, caller: int, stage: int, call: int, secret: str) -> Task:
        """Return what a call of a caller asks for."""
        due_list = "" if all(each.slot == self.home for each in self.lines) else DUE
        home = Home(self.home, f"n{caller}", due_list)
        owner = f"owner{caller}"
        what = self.stages[stage]
        if what == "reserve":
            claimant = Claimant(f"payload{caller}", f"secret{caller}.{call}")
            return ReserveTask(home, claimant, f"c{caller}r{call}", owner, self.lines, TTL_US)
        if what == "reconcile":
            usage = Usage(Report.AMOUNTS, (Amount("tokens", self.used[caller]),))
            return ReconcileTask(home, secret, owner, usage)
        amounts = (Amount("tokens", self.more),) if what == "top up" else ()
        return ExtendTask(
            home,
            secret,
            owner,
            f"c{caller}x{stage}-{call}".replace("-", "y"),
            2 * TTL_US,
            amounts,
            f"request{caller}.{stage}",
            "payload",
        )

    @property
    def sweeping(self) -> SweepTask:
        """Return the task of a sweeper."""
        return SweepTask(self.home, DUE)


class Changes(TypedDict, total=False):
    """Fields of Setting that differ from what is usual."""

    faults: int
    pauses: int
    jumps_us: tuple[int, ...]
    kinds: frozenset[Kind]
    handle: Handle


def play(script: Script, callers: int, limit: int, **changes: Unpack[Changes]) -> Explorer:
    """Return what plays a script; its last stage, to settle, comes when all are answered."""
    slots = (script.home, *sorted({each.slot for each in script.lines} - {script.home}))
    setting = Setting(
        slots=slots,
        lines=script.lines,
        offsets_us=CLOCKS_US[: len(slots)],
        stages=(len(script.stages) - 1,) * callers,
        task=script.task,
        sweeping=script.sweeping,
        jumps_us=(DECIDED_US,),
    )
    setting = replace(setting, **changes)
    actuals = tuple(
        {each.key: script.used[caller] for each in script.lines} for caller in range(callers)
    )
    limits = {each.key: each.cap.limit for each in script.lines}
    return Explorer(setting, Promises(limits, actuals, min(callers, limit)))
