"""What a reservation is made of, where its record may move, and how the record is written.

A reservation freezes its plan when it is made: settling, extending and sweeping read it
from the record's body, so that rules that change later touch no open reservation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ratelimit_service.core.algorithms import Algorithm, Cap, CounterState
from ratelimit_service.core.messages import Hold, HoldKind, Record, State, Swap

MOVES: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({State.PENDING, State.COMMITTED, State.ABORTED}),
    State.PENDING: frozenset({State.PENDING, State.COMMITTED, State.ABORTING, State.ABORTED}),
    State.ABORTING: frozenset({State.ABORTED}),
    State.ABORTED: frozenset({State.PENDING, State.COMMITTED, State.ABORTED}),
    State.COMMITTED: frozenset({State.COMMITTED, State.SETTLING, State.SETTLED}),
    State.SETTLING: frozenset({State.SETTLED}),
    State.SETTLED: frozenset(),
}
"""Where a record may go from where it stands; None is where there is no record."""

ADMITTED: Final = frozenset({State.COMMITTED, State.SETTLING, State.SETTLED})
"""The states of a reservation whose caller may have heard OK."""

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Share:
    """What one descriptor asks of a line; descriptors that share a counter are added up."""

    descriptor: int
    amount: int


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """One counter's part of a reservation.

    ``kind`` is what the hold is once it is firm. ``lease_us`` bounds how long it then lasts;
    0 is as long as the reservation. ``amount`` is what is asked, and after the admission what
    was granted, top-ups included; ``holds`` are what accounts for it.
    """

    slot: str
    key: str
    cap: Cap
    measure: str
    kind: HoldKind
    amount: int
    minimum: int
    lease_us: int = 0
    limit_name: str = ""
    shares: tuple[Share, ...] = ()
    holds: tuple[Hold, ...] = ()

    def lasts_us(self, ttl_us: int) -> int:
        """Return how long a firm hold lasts in a reservation that lasts ``ttl_us``."""
        return min(self.lease_us, ttl_us) if self.lease_us else ttl_us


@dataclass(frozen=True, slots=True)
class Extension:
    """A top-up: digests of its request's id and of what it asks, and what its ids begin with."""

    request: str
    payload: str
    ids: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """The frozen plan of a reservation, as its record's body keeps it.

    ``owner`` is a digest of who reserved. ``ids`` is what the ids of its claim's holds begin
    with. ``note`` is the use case's own and is only kept. ``pending`` is a top-up under way,
    ``abandoned`` the ids of one that is being taken back. ``actuals`` are what was used, by
    line, once that is known.
    """

    owner: str
    ids: str
    lines: tuple[PlannedLine, ...]
    note: str = ""
    extensions: tuple[Extension, ...] = ()
    pending: Extension | None = None
    abandoned: str = ""
    actuals: tuple[int, ...] = ()

    def encode(self) -> str:
        """Write the body of a record."""
        pending = self.pending
        body = {
            "format": _FORMAT,
            "owner": self.owner,
            "ids": self.ids,
            "lines": [_pack_line(line) for line in self.lines],
            "note": self.note,
            "extensions": [_pack_extension(extension) for extension in self.extensions],
            "pending": _pack_extension(pending) if pending is not None else None,
            "abandoned": self.abandoned,
            "actuals": self.actuals,
        }
        return json.dumps(
            {key: value for key, value in body.items() if value}, separators=(",", ":")
        )

    @classmethod
    def of(cls, record: Record) -> Reservation:
        """Read the body of a record.

        Where one script admitted, the body was written before the charge: the holds then
        follow from the states that the script kept. Raises ValueError for a body of another format.
        """
        body = json.loads(record.body)
        if body.get("format") != _FORMAT:
            raise ValueError(f"the body of reservation {record.payload} has an unknown format")
        pending = body.get("pending")
        reservation = cls(
            owner=body.get("owner", ""),
            ids=body.get("ids", ""),
            lines=tuple(_unpack_line(packed) for packed in body.get("lines", ())),
            note=body.get("note", ""),
            extensions=tuple(Extension(*packed) for packed in body.get("extensions", ())),
            pending=Extension(*pending) if pending else None,
            abandoned=body.get("abandoned", ""),
            actuals=tuple(body.get("actuals", ())),
        )
        return reservation._with_holds(record.states)

    def _with_holds(self, states: tuple[CounterState, ...]) -> Reservation:
        if not states or any(line.holds for line in self.lines):
            return self
        hold_id = attempt_id(self.ids, 0)
        lines = (
            replace(line, holds=(Hold(hold_id, line.kind, line.amount, state.at_us),))
            for line, state in zip(self.lines, states, strict=True)
        )
        return replace(self, lines=tuple(lines))


def claim_ids(name: str, call: str, claim: int) -> str:
    """Return what the ids of a claim's holds begin with.

    ``call`` is a text without dot or colon that no other run of a protocol ever has;
    ``claim`` counts the run's claims. So no message that comes late can touch a later claim.
    """
    return f"{call_ids(name, call)}{claim}."


def call_ids(name: str, call: str) -> str:
    """Return what the ids of all holds of one run of a protocol begin with."""
    return f"{name}.{call}-"


def attempt_id(ids: str, attempt: int) -> str:
    """Return the id of the holds of one attempt of a claim."""
    return f"{ids}{attempt}."


@dataclass(frozen=True, slots=True)
class Home:
    """Where a record lies: its slot, the list of due records beside it, and its name.

    Without ``due_list`` no sweeper looks after the record, which then needs none.
    """

    slot: str
    name: str
    due_list: str = ""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims a name: a digest of what is asked, and the secret of the reservation's id."""

    payload: str
    secret: str


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a record; the fields are as in Swap."""

    state: State
    reservation: Reservation
    lasts_us: int = 0
    due_us: int = 0
    states: tuple[CounterState, ...] = ()


def move(
    home: Home, before: Record | None, change: Change, claimant: Claimant | None = None
) -> Swap:
    """Say how a record goes on from where it was seen to stand.

    A claimant makes the record its own. Raises ValueError for a move that no protocol makes.
    """
    if change.state not in MOVES[before.state if before is not None else None]:
        raise ValueError(f"a reservation's record cannot become {change.state.value} from here")
    if claimant is None:
        claimant = Claimant(before.payload, before.secret) if before else Claimant("", "")
    return Swap(
        name=home.name,
        expected=before.revision if before is not None else 0,
        state=change.state,
        payload=claimant.payload,
        secret=claimant.secret,
        body=change.reservation.encode(),
        lasts_us=change.lasts_us,
        due_list=home.due_list,
        due_us=change.due_us if home.due_list else 0,
        states=change.states,
    )


def _pack_extension(extension: Extension) -> list[str]:
    return [extension.request, extension.payload, extension.ids]


def _pack_line(line: PlannedLine) -> list[Any]:
    cap = line.cap
    return [
        line.slot,
        line.key,
        [cap.algorithm.value, cap.limit, cap.window_us, cap.refill, cap.start_us, cap.end_us],
        line.measure,
        line.kind.value,
        line.amount,
        line.minimum,
        line.lease_us,
        line.limit_name,
        [[share.descriptor, share.amount] for share in line.shares],
        [str(held) for held in line.holds],
    ]


def _unpack_line(packed: list[Any]) -> PlannedLine:
    slot, key, cap, measure, kind, amount, minimum, lease_us, limit_name, shares, holds = packed
    return PlannedLine(
        slot=slot,
        key=key,
        cap=Cap(Algorithm(cap[0]), *cap[1:]),
        measure=measure,
        kind=HoldKind(kind),
        amount=amount,
        minimum=minimum,
        lease_us=lease_us,
        limit_name=limit_name,
        shares=tuple(Share(*share) for share in shares),
        holds=tuple(Hold.parse(text) for text in holds),
    )
