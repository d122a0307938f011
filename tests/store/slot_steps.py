"""Random conversations with a slot: messages of every kind, at times that jump about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hypothesis import strategies as st

from ratelimit_service.core.algorithms import Algorithm, Cap
from ratelimit_service.core.messages import (
    GRACE_US,
    LATE_US,
    TENTATIVE_US,
    Admit,
    Cancel,
    Confirm,
    Exchange,
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
from ratelimit_service.core.units import MAX_AMOUNT, SECOND_US
from ratelimit_service.store.redis.messages import holds_key

MINUTE_US: Final = 60 * SECOND_US
YEAR_US: Final = 365 * 24 * 60 * MINUTE_US
START_US: Final = 28_333_333 * MINUTE_US

CAPS: Final = {
    "fixed": Cap(Algorithm.FIXED_WINDOW, 10, MINUTE_US),
    "zero": Cap(Algorithm.FIXED_WINDOW, 0, MINUTE_US),
    "first": Cap(Algorithm.FIRST_HIT, 10, MINUTE_US),
    "calendar": Cap(Algorithm.CALENDAR, 10),
    "lifetime": Cap(Algorithm.LIFETIME, 10, 3 * MINUTE_US),
    "sliding": Cap(Algorithm.SLIDING_WINDOW, 10, MINUTE_US),
    "bucket": Cap(Algorithm.TOKEN_BUCKET, 10, MINUTE_US, refill=30),
    "leases": Cap(Algorithm.CONCURRENCY, 5),
    "vast": Cap(Algorithm.SLIDING_WINDOW, MAX_AMOUNT, YEAR_US),
    "deep": Cap(Algorithm.TOKEN_BUCKET, MAX_AMOUNT, YEAR_US, refill=MAX_AMOUNT - 4),
    "still": Cap(Algorithm.TOKEN_BUCKET, 0, MINUTE_US),
}
"""A counter of each algorithm, and some with numbers at the edge."""

_SMALL: Final = st.integers(0, 6)
_AMOUNTS: Final = st.one_of(
    *[_SMALL] * 6,
    st.integers(0, 12),
    st.sampled_from([10**9, 10**15 + 7, MAX_AMOUNT - 1, MAX_AMOUNT]),
)
_PASSING_US: Final = st.one_of(
    *[st.sampled_from([0, 1, SECOND_US])] * 6,
    st.sampled_from([TENTATIVE_US - 1, TENTATIVE_US, MINUTE_US - 1, MINUTE_US, -1, -GRACE_US]),
    st.integers(-GRACE_US, MINUTE_US),
    st.sampled_from(
        [25 * SECOND_US, 2 * MINUTE_US, 3 * MINUTE_US + 1, LATE_US - 1, LATE_US, YEAR_US]
    ),
)
_LASTS_US: Final = st.sampled_from([1, TENTATIVE_US, 25 * SECOND_US, 2 * MINUTE_US, 2 * LATE_US])
_KINDS: Final = st.sampled_from(
    [*[HoldKind.TENTATIVE] * 3, HoldKind.KEEP, HoldKind.RELEASE, HoldKind.LEASE]
)
_NAMES: Final = st.sampled_from(["{h1}r;a", "{h1}r;b"])


def bounds(now_us: int) -> tuple[int, int]:
    """Return the window of a calendar whose windows are of 40 and 80 seconds in turn."""
    start_us = now_us - now_us % (2 * MINUTE_US)
    middle_us = start_us + 40 * SECOND_US
    if now_us < middle_us:
        return start_us, middle_us
    return middle_us, start_us + 2 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Part:
    """What a step may do to one counter.

    ``counter`` chooses among the counters of the conversation, ``pick`` among the holds.
    """

    counter: int
    amount: int
    minimum: int
    kind: HoldKind | None
    pick: int
    lasts_us: int


@dataclass(frozen=True, slots=True)
class Step:
    """A message that is filled in when what came before it is known.

    ``lost`` chooses a key that the store loses before it: a counter, or its holds.
    """

    message: type[Message]
    passing_us: int
    parts: Sequence[Part]
    hold_id: str
    swap: Swap | None
    revision: int
    stale_boundaries: bool
    lost: int | None


_PARTS: Final = st.builds(
    Part,
    counter=st.integers(0, 2),
    amount=_AMOUNTS,
    minimum=_SMALL,
    kind=st.one_of(st.none(), *[_KINDS] * 4),
    pick=st.integers(0, 3),
    lasts_us=_LASTS_US,
)
_SWAPS: Final = st.builds(
    Swap,
    name=_NAMES,
    expected=st.just(0),
    state=st.sampled_from(State),
    payload=st.sampled_from(["p", "q"]),
    secret=st.just("s"),
    body=st.sampled_from(["", '{"é": 1}']),
    lasts_us=st.just(0) | _LASTS_US,
    due_list=st.sampled_from(["", "{h1}due"]),
    due_us=st.sampled_from([0, 1, TENTATIVE_US]),
)
KEYS: Final = st.lists(st.sampled_from(sorted(CAPS)), min_size=1, max_size=3, unique=True)
"""The counters of a conversation: few, so that much happens to each."""

STEPS: Final = st.builds(
    Step,
    message=st.sampled_from(
        [*[Admit] * 6, Confirm, Renew, *[Settle] * 3, Cancel, Look, Write, Read, ListDue]
    ),
    passing_us=_PASSING_US,
    parts=st.lists(_PARTS, max_size=4),
    hold_id=st.sampled_from(["a.1.", "a.2.", "b.1."]),
    swap=st.one_of(*[st.none()] * 4, _SWAPS),
    revision=st.integers(0, 9),
    stale_boundaries=st.booleans(),
    lost=st.one_of(*[st.none()] * 19, st.integers(0, 5)),
)


@dataclass(slots=True)
class Conversation:
    """What has been said, as far as the next message needs it."""

    keys: Sequence[str]
    now_us: int = START_US
    latest_us: int = START_US
    holds: list[tuple[str, Hold]] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    def pass_time(self, passing_us: int) -> None:
        """Move the clock, back no further than what is kept for that."""
        self.now_us = max(self.now_us + passing_us, self.latest_us - GRACE_US)
        self.latest_us = max(self.latest_us, self.now_us)

    def message(self, step: Step) -> Message:
        """Fill a step in."""
        parts = list({self._key(part): part for part in step.parts}.values())
        swap = self._swap(step)
        lines = tuple(self._line(part, step) for part in parts)
        if step.message is Admit:
            return Admit(step.hold_id, lines, swap)
        if step.message is Cancel:
            return Cancel(step.hold_id[: 2 + step.revision % 3], lines)
        if step.message is Look:
            return Look(lines)
        if step.message in {Confirm, Renew, Settle}:
            return self._of_holds(step, swap)
        return self._of_records(step, swap)

    def look(self) -> Look:
        """Ask what every counter holds, and how much of its limit is left."""
        caps = [(key, self.cap(key, self.now_us)) for key in self.keys]
        return Look(tuple(Line(key, cap, cap.limit, 0) for key, cap in caps))

    def lost(self, step: Step) -> str | None:
        """Return the key that is lost before a step, if any."""
        if step.lost is None:
            return None
        key = self.keys[step.lost % len(self.keys)]
        return key if step.lost < 3 else holds_key(key)

    def heard(self, message: Message, reply: SlotReply) -> None:
        """Remember what a message did."""
        if reply.record is not None and isinstance(
            message, Admit | Confirm | Renew | Settle | Write
        ):
            assert message.swap is not None
            self.revisions[message.swap.name] = reply.record.revision
        if reply.verdict is not Verdict.DONE:
            return
        if isinstance(message, Admit):
            for line, view in zip(message.lines, reply.views, strict=True):
                if line.kind is not None:
                    held = Hold(message.hold_id, line.kind, view.granted, view.state.at_us)
                    self.holds.append((line.key, held))
        if isinstance(message, Confirm | Renew):
            self.holds += [
                (item.key, replace(item.old, kind=item.kind, amount=item.amount))
                for item in message.exchanges
            ]

    def _of_holds(self, step: Step, swap: Swap | None) -> Message:
        if step.message is Settle:
            return Settle(self._payments(step), swap)
        exchanges = self._exchanges(step)
        return Confirm(exchanges, swap) if step.message is Confirm else Renew(exchanges, swap)

    def _of_records(self, step: Step, swap: Swap | None) -> Message:
        if step.message is Read or swap is None:
            name = "{h1}r;a" if step.revision % 2 else "{h1}r;b"
            return Read(name, "{h1}due" if step.revision > 4 else "")
        return Write(swap) if step.message is Write else ListDue("{h1}due", 1 + step.revision)

    def cap(self, key: str, now_us: int) -> Cap:
        """Return a counter's cap as it is made at a time."""
        cap = CAPS[key]
        if cap.algorithm is not Algorithm.CALENDAR:
            return cap
        start_us, end_us = bounds(now_us)
        return replace(cap, start_us=start_us, end_us=end_us)

    def _key(self, part: Part) -> str:
        return self.keys[part.counter % len(self.keys)]

    def _line(self, part: Part, step: Step) -> Line:
        at_us = self.now_us - step.stale_boundaries * (part.pick % 3) * 20 * SECOND_US
        key = self._key(part)
        minimum = min(part.minimum, part.amount)
        kind = _kind(key, part)
        return Line(key, self.cap(key, at_us), part.amount, minimum, kind, part.lasts_us)

    def _frozen_cap(self, key: str, step: Step) -> Cap:
        """Return a cap as it may have been when the hold was charged."""
        return self.cap(key, self.now_us - step.stale_boundaries * MINUTE_US)

    def _picked(self, step: Step) -> dict[tuple[str, Hold], Part]:
        """Choose among the holds, each once."""
        if not self.holds:
            return {}
        return {self.holds[-1 - part.pick % len(self.holds)]: part for part in step.parts}

    def _exchanges(self, step: Step) -> tuple[Exchange, ...]:
        return tuple(
            Exchange(
                key,
                self._frozen_cap(key, step),
                held,
                _kind(key, part) or HoldKind.KEEP,
                part.amount if part.pick % 2 else held.amount,
                part.lasts_us,
            )
            for (key, held), part in self._picked(step).items()
        )

    def _payments(self, step: Step) -> tuple[Payment, ...]:
        return tuple(
            Payment(key, self._frozen_cap(key, step), held, part.amount)
            for (key, held), part in self._picked(step).items()
        )

    def _swap(self, step: Step) -> Swap | None:
        """Expect the revision that is there, now and then another."""
        if step.swap is None:
            return None
        expected = self.revisions.get(step.swap.name, 0)
        return replace(step.swap, expected=expected if step.revision < 8 else step.revision - 7)


def _kind(key: str, part: Part) -> HoldKind | None:
    if key == "leases" and part.kind is not HoldKind.TENTATIVE:
        return HoldKind.LEASE
    return part.kind
