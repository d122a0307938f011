"""The steps that a protocol asks its driver for.

The driver owes it this:

- The messages of a round go out at once. What has no reply ROUND_US after that is Lost, and a
  reply that comes later is dropped.
- A lost message may have been done or not, and may still be done.
- After its Answer a protocol is driven on to its end, which only tidies up.
- A protocol that is not driven on, after whatever step, is never driven again.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias, TypeVar

from ratelimit_service.core.messages import TENTATIVE_US, Message, SlotReply
from ratelimit_service.core.protocols.answers import Result

ROUND_US: Final = 10_000_000
"""The longest that a round waits for replies."""

DUE_US: Final = ROUND_US + TENTATIVE_US
"""How long a record that is not decided is left to whoever claimed it.

A tentative hold is made at most ROUND_US after the record was last claimed, and can be made
firm for TENTATIVE_US after that. So nothing becomes firm once a sweeper has begun.
"""

_SHORTEST_PAUSE_US: Final = 2_000
_LONGEST_PAUSE_US: Final = 200_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A message to a slot."""

    slot: str
    message: Message


@dataclass(frozen=True, slots=True)
class Lost:
    """There was no reply: the message may have been done or not, and may still be done."""


Reply: TypeAlias = SlotReply | Lost


@dataclass(frozen=True, slots=True)
class Round:
    """Send messages at once, each to its slot; the driver sends back Replies."""

    sent: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for a random time, from half of ``at_most_us`` to all of it; sent back is Resumed."""

    at_most_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told, now. It is yielded once; the driver sends back None."""

    result: Result


@dataclass(frozen=True, slots=True)
class Replies:
    """The replies of a round, in the order of its messages."""

    items: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Resumed:
    """A pause is over. Without ``time_left`` the caller does not wait for another try."""

    time_left: bool


Step: TypeAlias = Round | Pause | Answer
Given: TypeAlias = Replies | Resumed | None
Protocol: TypeAlias = Generator[Step, Given, None]

T = TypeVar("T")
Part: TypeAlias = Generator[Step, Given, T]


def ask(*sent: Sent) -> Part[tuple[Reply, ...]]:
    """Say messages in one round and return a reply for each, in order."""
    if not sent:
        return ()
    given = yield Round(sent)
    if not isinstance(given, Replies):
        raise TypeError(f"a round is answered by Replies, not by {given!r}")
    return given.items


def ask_one(slot: str, message: Message) -> Part[Reply]:
    """Say one message and return its reply."""
    (reply,) = yield from ask(Sent(slot, message))
    return reply


def insist(slot: str, message: Message) -> Part[Reply]:
    """Say a message until there is a reply or no time is left. Only for what can be repeated."""
    for tries in count():
        reply = yield from ask_one(slot, message)
        if isinstance(reply, SlotReply) or not (yield from pause(tries)):
            break
    return reply


def pause(tries: int) -> Part[bool]:
    """Wait, longer after more tries, and tell whether there is time for another."""
    given = yield Pause(min(_SHORTEST_PAUSE_US << min(tries, 10), _LONGEST_PAUSE_US))
    if not isinstance(given, Resumed):
        raise TypeError(f"a pause is answered by Resumed, not by {given!r}")
    return given.time_left


def tell(result: Result) -> Part[None]:
    """Answer the caller."""
    yield Answer(result)
