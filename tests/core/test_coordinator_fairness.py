"""A thousand callers race for a few units over several slots, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Final

import pytest

from ratelimit_service.core.protocols.answers import Refused, Reserved, Result
from ratelimit_service.core.protocols.steps import (
    Answer,
    Given,
    Pause,
    Protocol,
    Replies,
    Reply,
    Resumed,
    Round,
    Sent,
)
from ratelimit_service.core.slot import Slot
from tests.core.scheduler import START_US, start
from tests.core.settings import HOME, Script, line

CALLERS: Final = 1_000
UNITS: Final = 200
DEADLINE_US: Final = 5_000_000


@dataclass(slots=True)
class Racer:
    """A coordinator under way, and when it began and answered."""

    protocol: Protocol
    began_us: int
    answer: Result | None = None
    answered_us: int = 0


class Race:
    """Delivers messages and replies and ends pauses, each after a random while."""

    def __init__(self, script: Script, seed: int) -> None:
        self.slots = {name: Slot() for name in (HOME, *(each.slot for each in script.lines))}
        self.messages = 0
        self._random = Random(seed)
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._events_so_far = 0
        self.racers = [
            Racer(start(script.task(caller, 0, 0, "")), self._random.randrange(20_000))
            for caller in range(CALLERS)
        ]
        for racer in self.racers:
            self._at(racer.began_us, partial(self._drive, racer, None))

    def run(self) -> None:
        """Run until nobody has anything left to do."""
        while self._events:
            now_us, _, act = heappop(self._events)
            act(now_us)

    def _at(self, at_us: int, act: Callable[[int], None]) -> None:
        self._events_so_far += 1
        heappush(self._events, (at_us, self._events_so_far, act))

    def _drive(self, racer: Racer, given: Given, now_us: int) -> None:
        try:
            step = racer.protocol.send(given)
            while isinstance(step, Answer):
                racer.answer, racer.answered_us = step.result, now_us
                step = racer.protocol.send(None)
        except StopIteration:
            return
        if isinstance(step, Pause):
            until_us = now_us + round(step.at_most_us * self._random.uniform(0.5, 1))
            resumed = Resumed(until_us - racer.began_us < DEADLINE_US)
            self._at(until_us, partial(self._drive, racer, resumed))
        else:
            self._send(racer, step, now_us)

    def _send(self, racer: Racer, step: Round, now_us: int) -> None:
        replies: dict[int, Reply] = {}
        for which in range(len(step.sent)):
            arrive = partial(self._deliver, racer, step.sent, which, replies)
            self._at(now_us + self._latency_us(), arrive)

    def _deliver(
        self,
        racer: Racer,
        sent: tuple[Sent, ...],
        which: int,
        replies: dict[int, Reply],
        now_us: int,
    ) -> None:
        self.messages += 1
        slot = self.slots[sent[which].slot]
        replies[which] = slot.handle(sent[which].message, START_US + now_us)
        if len(replies) == len(sent):
            given = Replies(tuple(replies[each] for each in range(len(sent))))
            self._at(now_us + self._latency_us(), partial(self._drive, racer, given))

    def _latency_us(self) -> int:
        return self._random.randrange(200, 2_000)


@pytest.mark.parametrize(
    ("slots", "seed"),
    [
        (2, 0),
        (4, 0),
        *(pytest.param(slots, seed, marks=pytest.mark.slow) for slots in (2, 4) for seed in (1, 2)),
    ],
)
def test_f1_as_many_are_admitted_as_there_are_units(
    slots: int, seed: int, report: Callable[[object], None]
) -> None:
    script = Script(tuple(line(slot, UNITS) for slot in "abcd"[:slots]))
    race = Race(script, seed)
    race.run()
    admitted = [racer for racer in race.racers if isinstance(racer.answer, Reserved)]
    refused = [racer.answer for racer in race.racers if isinstance(racer.answer, Refused)]
    assert len(admitted) == UNITS
    assert len(refused) == CALLERS - UNITS
    assert not any(answer.contended for answer in refused)
    slowest_us = max(racer.answered_us - racer.began_us for racer in race.racers)
    report(f"{race.messages / CALLERS:.1f} messages a call, the slowest {slowest_us / 1000:.0f} ms")
