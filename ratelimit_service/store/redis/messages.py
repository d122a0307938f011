"""From a message to a call of its script in lua/, and from the reply to what core.slot answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, cast

from ratelimit_service.core.algorithms import Cap, CounterState
from ratelimit_service.core.messages import (
    Admit,
    Cancel,
    Confirm,
    Exchange,
    Hold,
    Line,
    ListDue,
    Look,
    Message,
    Payment,
    Read,
    Record,
    Renew,
    Settle,
    SlotReply,
    State,
    Swap,
    Verdict,
    View,
    Write,
)
from ratelimit_service.core.waiting import Release
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.link import Reply, ScriptCall
from ratelimit_service.store.scripts import load_script

KeyNamer: TypeAlias = Callable[[str], str]
"""From the name of a record or of a list to its key. Counters come with their keys."""

_Arguments: TypeAlias = tuple[str | int, ...]


def holds_key(counter_key: str) -> str:
    """Return the key of a counter's holds, which lies in the same slot."""
    return f"{counter_key};holds"


def encode(message: Message, key: KeyNamer, time: str = "") -> ScriptCall:
    """Write a message as a call. ``time`` is in microseconds; empty takes the server's."""
    script, keys, arguments = _ENCODERS[type(message)](message, key)
    return ScriptCall(load_script(script), keys, (time, *arguments))


def decode(reply: Reply) -> SlotReply:
    """Read what a script replied.

    Raises StoreUnavailableError for a reply that is not a script's.
    """
    match reply:
        case [bytes(verdict), int(now_us), list(views), list(record), list(names)]:
            return SlotReply(
                Verdict(verdict.decode()),
                now_us,
                tuple(_view(cast("list[Reply]", view)) for view in views),
                _record(cast("list[bytes]", record)),
                tuple(name.decode() for name in cast("list[bytes]", names)),
            )
        case _:
            raise StoreUnavailableError("the store answered a script with something unknown")


_Call: TypeAlias = tuple[str, tuple[str, ...], _Arguments]


def _admit(message: Admit, key: KeyNamer) -> _Call:
    counters = _Counters(message.lines)
    swap = _Swapped(message.swap, key)
    lines = [
        argument
        for line in message.lines
        for argument in (
            line.amount,
            line.minimum,
            "" if line.kind is None else line.kind.value,
            line.lasts_us,
        )
    ]
    arguments = (*counters.arguments, message.hold_id, *lines, *swap.arguments)
    return "admit", counters.keys + swap.keys, arguments


def _confirm(message: Confirm, key: KeyNamer) -> _Call:
    return _exchange("all", message, key)


def _renew(message: Renew, key: KeyNamer) -> _Call:
    return _exchange("open", message, key)


def _exchange(mode: str, message: Confirm | Renew, key: KeyNamer) -> _Call:
    counters = _Counters(message.exchanges)
    swap = _Swapped(message.swap, key)
    exchanges = [
        argument
        for exchange in message.exchanges
        for argument in (
            counters.place(exchange.key),
            str(exchange.old),
            str(Hold(exchange.old.id, exchange.kind, exchange.amount, exchange.old.charged_at_us)),
            exchange.lasts_us,
        )
    ]
    count = len(message.exchanges)
    arguments = (*counters.arguments, mode, count, *exchanges, *swap.arguments)
    return "exchange", counters.keys + swap.keys, arguments


def _settle(message: Settle, key: KeyNamer) -> _Call:
    counters = _Counters(message.payments)
    swap = _Swapped(message.swap, key)
    payments = [
        argument
        for payment in message.payments
        for argument in (counters.place(payment.key), str(payment.hold), payment.actual)
    ]
    count = len(message.payments)
    arguments = (*counters.arguments, count, *payments, *swap.arguments)
    return "settle", counters.keys + swap.keys, arguments


def _cancel(message: Cancel, _: KeyNamer) -> _Call:
    counters = _Counters(message.lines)
    return "cancel", counters.keys, (*counters.arguments, message.ids_from)


def _look(message: Look, _: KeyNamer) -> _Call:
    counters = _Counters(message.lines)
    asked = [argument for line in message.lines for argument in (line.amount, line.minimum)]
    return "look", counters.keys, (*counters.arguments, *asked)


def _write(message: Write, key: KeyNamer) -> _Call:
    swap = _Swapped(message.swap, key)
    return "write", swap.keys, swap.arguments


def _read(message: Read, key: KeyNamer) -> _Call:
    keys = (key(message.name), key(message.due_list)) if message.due_list else (key(message.name),)
    return "read", keys, (message.name,)


def _list_due(message: ListDue, key: KeyNamer) -> _Call:
    return "list_due", (key(message.due_list),), (message.most,)


_ENCODERS: Final[dict[type[Message], Callable[..., _Call]]] = {
    Admit: _admit,
    Confirm: _confirm,
    Renew: _renew,
    Settle: _settle,
    Cancel: _cancel,
    Look: _look,
    Write: _write,
    Read: _read,
    ListDue: _list_due,
}


class _Counters:
    """The counters of a message, each once: their keys and caps, and their places from 1."""

    def __init__(self, items: Iterable[Line | Exchange | Payment]) -> None:
        caps = dict[str, Cap]()
        for item in items:
            caps.setdefault(item.key, item.cap)
        self._places = {counter: place for place, counter in enumerate(caps, 1)}
        self.keys = tuple(name for counter in caps for name in (counter, holds_key(counter)))
        written = [argument for cap in caps.values() for argument in cap_arguments(cap)]
        self.arguments: _Arguments = (len(caps), *written)

    def place(self, counter: str) -> int:
        return self._places[counter]


class _Swapped:
    """A record that a message writes, if any."""

    def __init__(self, swap: Swap | None, key: KeyNamer) -> None:
        self.keys: tuple[str, ...] = ()
        self.arguments: _Arguments = ()
        if swap is None:
            return
        names = (swap.name, swap.due_list) if swap.due_list else (swap.name,)
        self.keys = tuple(map(key, names))
        self.arguments = (
            swap.name,
            swap.expected,
            swap.state.value,
            swap.payload,
            swap.secret,
            swap.body,
            swap.lasts_us,
            swap.due_us,
            ";".join(map(_state_text, swap.states)),
        )


def cap_arguments(cap: Cap) -> tuple[str | int, ...]:
    """Write a cap as scripts take it."""
    return (
        cap.algorithm.value,
        cap.limit,
        cap.window_us,
        cap.refill,
        cap.start_us,
        cap.end_us,
    )


def _state_text(state: CounterState) -> str:
    return f"{state.at_us} {state.counted} {state.carry} {state.held}"


def _state(text: str) -> CounterState:
    """Read a state as scripts write it, with zeros left out at its end."""
    return CounterState(*map(int, text.split(" ")))


def _view(numbers: Sequence[Reply]) -> View:
    at_us, counted, carry, held, granted, fits, shortfall = cast("list[int]", numbers[:7])
    return View(
        CounterState(at_us, counted, carry, held),
        granted,
        bool(fits),
        releases_of(cast("list[int]", numbers[7])),
        shortfall,
    )


def releases_of(found: Sequence[int]) -> tuple[Release, ...]:
    """Read holds that give back, as scripts write them."""
    return tuple(map(Release, found[::3], found[1::3], found[2::3]))


def _record(values: Sequence[bytes]) -> Record | None:
    if not values:
        return None
    revision, state, payload, secret, expires, body, admitted, states = (
        value.decode() for value in values
    )
    return Record(
        revision=int(revision),
        state=State(state),
        payload=payload,
        secret=secret,
        expires_at_us=int(expires),
        body=body,
        admitted_at_us=int(admitted),
        states=tuple(map(_state, states.split(";"))) if states else (),
    )
