"""What is said to one slot of a store, and what it answers.

A slot does one message at a time, whole or not at all. Only durations are sent, since
each slot has a clock of its own. What a message says of one counter has one cap, and
names each hold once. The scripts in lua/ and core.slot do the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from ratelimit_service.core.algorithms import Cap, CounterState
from ratelimit_service.core.terms import Counting, Terms
from ratelimit_service.core.waiting import Release

TENTATIVE_US: Final = 10_000_000
"""How long a hold lasts whose reservation is not decided yet."""

LATE_US: Final = 3_600_000_000
"""How long after its end a reservation can still be settled, and its record be read."""

SWEEP_BOUND: Final = 200
"""The most holds of one counter that one message ends because they are due."""

LOOKED_AT: Final = 100
"""The most holds of one counter, the soonest to expire, that a refusal looks at."""

GRACE_US: Final = 10_000_000
"""How long everything is kept after it has no meaning any more, should a clock step back."""


class HoldKind(Enum):
    """What a hold is, which says what becomes of its amount when it expires."""

    TENTATIVE = "t"
    """Of a reservation that is not decided: given back, and forgotten."""

    KEEP = "k"
    """Stays charged; a late settlement corrects it."""

    RELEASE = "r"
    """Given back; a late settlement charges the actual amount."""

    LEASE = "l"
    """Of a call in flight: given back, and nothing is left to settle.

    Counters of concurrency have leases and tentative holds only.
    """

    KEPT = "K"
    """No hold any more: what KEEP leaves until a late settlement has come or cannot."""

    RELEASED = "R"
    """No hold any more: what RELEASE leaves until a late settlement has come or cannot."""


OPEN_KINDS: Final = frozenset({HoldKind.TENTATIVE, HoldKind.KEEP, HoldKind.RELEASE, HoldKind.LEASE})


@dataclass(frozen=True, slots=True)
class Hold:
    """The part of a counter that one reservation accounts for.

    Ids have letters, digits and dots only. ``charged_at_us`` is the ``at_us`` that the
    counter had when the hold was charged, which tells a settlement the window that it goes
    to.
    """

    id: str
    kind: HoldKind
    amount: int
    charged_at_us: int

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.id}:{self.amount}:{self.charged_at_us}"

    @classmethod
    def parse(cls, text: str) -> Hold:
        """Read what str() wrote; ids have no colon."""
        kind, hold_id, amount, charged_at_us = text.split(":")
        return cls(hold_id, HoldKind(kind), int(amount), int(charged_at_us))


class State(Enum):
    """Where a reservation stands, as its record says. See core.reservation for the moves."""

    PENDING = "pending"
    COMMITTED = "committed"
    ABORTING = "aborting"
    ABORTED = "aborted"
    SETTLING = "settling"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a reservation.

    ``revision`` grows by one with every change, from 1. ``payload`` is a digest of what was
    asked and by whom, ``secret`` what its id must carry. ``body`` is text that only the
    service reads. ``states`` is what its counters held when it was admitted, after it.
    """

    revision: int
    state: State
    payload: str
    secret: str = field(repr=False)
    expires_at_us: int
    body: str
    admitted_at_us: int = 0
    states: tuple[CounterState, ...] = ()


@dataclass(frozen=True, slots=True)
class Swap:
    """Write a record if its revision is as expected; 0 expects none.

    The reservation expires ``lasts_us`` from now, or as before where that is 0; its record
    is kept for LATE_US after that. ``due_list`` names the list of what a sweeper must look
    after, empty for none: the record is on it from ``due_us`` from now, or off it for 0.
    ``states`` are kept with the record; where a message admits, it keeps its own.
    """

    name: str
    expected: int
    state: State
    payload: str
    secret: str = field(repr=False)
    body: str
    lasts_us: int = 0
    due_list: str = ""
    due_us: int = 0
    states: tuple[CounterState, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One counter's part of a charge.

    Where ``kind`` is None nothing is held. At least ``minimum`` must fit, and as much of
    ``amount`` as fits is charged.
    """

    key: str
    cap: Cap
    amount: int
    minimum: int
    kind: HoldKind | None = None
    lasts_us: int = 0


@dataclass(frozen=True, slots=True)
class Admit:
    """Charge every line or none, and hold what is charged; then write the record, if any.

    Each line has a counter of its own.
    """

    hold_id: str
    lines: tuple[Line, ...]
    swap: Swap | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One hold that another takes the place of; what it holds less is given back."""

    key: str
    cap: Cap
    old: Hold
    kind: HoldKind
    amount: int
    lasts_us: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """Exchange every hold, or none when one is gone; then write the record, if any."""

    exchanges: tuple[Exchange, ...]
    swap: Swap | None = None


@dataclass(frozen=True, slots=True)
class Renew:
    """Exchange the holds that are still open, and leave the others as they are."""

    exchanges: tuple[Exchange, ...]
    swap: Swap | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """One hold, and the amount that was really used."""

    key: str
    cap: Cap
    hold: Hold
    actual: int


@dataclass(frozen=True, slots=True)
class Settle:
    """End holds and correct what they charged; each once, however often it is said."""

    payments: tuple[Payment, ...]
    swap: Swap | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give back what is held, firm or not, under every id that begins with ``ids_from``.

    What a late settlement has not come for yet is given back too. Of a line only its
    counter matters.
    """

    ids_from: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class CountLine:
    """One counter's part of a ShouldRateLimit call; nothing is held.

    ``amount`` is counted if above 0, given back if below, and 0 only looks. The same counter
    may have several lines of a call, each with the cap of its limit.
    """

    key: str
    cap: Cap
    amount: int
    terms: Terms


@dataclass(frozen=True, slots=True)
class Count:
    """Count the lines that core.counting.weigh() names, in their order.

    A view's state is that after its own line, its ``granted`` what was counted. Its ``fits``
    is that of weigh(), and ``releases`` are given where the line did not fit.
    """

    lines: tuple[CountLine, ...]
    counting: Counting


@dataclass(frozen=True, slots=True)
class Look:
    """Tell what counters hold, and what of each line would fit.

    Changes nothing, not even an expiry.
    """

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """Write a record, and nothing else."""

    swap: Swap


@dataclass(frozen=True, slots=True)
class Read:
    """Tell what is remembered of a reservation.

    Where that is nothing, its name is taken off ``due_list``, if one is given.
    """

    name: str
    due_list: str = ""


@dataclass(frozen=True, slots=True)
class ListDue:
    """Name the records of a list that are due, the longest due first."""

    due_list: str
    most: int


Message: TypeAlias = (
    Admit | Confirm | Renew | Settle | Cancel | Count | Look | Write | Read | ListDue
)


class Verdict(Enum):
    """What became of a message."""

    DONE = "done"
    OVER = "over"
    """A line does not fit, whatever becomes of tentative holds."""

    CONTENDED = "contended"
    """A line does not fit only because of other reservations' tentative holds."""

    GONE = "gone"
    """A hold that was to be confirmed is not there any more."""

    CONFLICT = "conflict"
    """The record has another revision than was expected; nothing else was done."""

    NEED_BOUNDARIES = "need_boundaries"
    """The slot's time is not in the window of a calendar's cap; nothing was done.

    Only Admit, Count and Look decide by the present window. The others go to the window that was
    charged, and take the caps that were frozen then.
    """


@dataclass(frozen=True, slots=True)
class View:
    """What a counter holds, rolled to the slot's time.

    ``granted`` is what the message charged, or would have where another line did not fit.
    Where the line did not fit, ``releases`` are holds that give back when they expire, in
    that order, among the first LOOKED_AT; CONTENDED tells none. ``shortfall`` is what a
    settlement could not give back, since less was counted (F23).
    """

    state: CounterState
    granted: int = 0
    fits: bool = True
    releases: tuple[Release, ...] = ()
    shortfall: int = 0


@dataclass(frozen=True, slots=True)
class SlotReply:
    """What a slot answers, with a view for each line and the slot's time.

    ``record`` is what is remembered after the message, where it wrote or asked for one.
    """

    verdict: Verdict
    now_us: int
    views: tuple[View, ...] = ()
    record: Record | None = None
    names: tuple[str, ...] = ()
