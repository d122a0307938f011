"""Playing all schedules of a setting, or some, and checking what must hold after each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ratelimit_service.core.messages import Hold, HoldKind, State
from ratelimit_service.core.reservation import Reservation
from tests.core.scheduler import (
    FAULTS,
    BrokenPromiseError,
    Choice,
    Kind,
    Scheduler,
    Setting,
    World,
)

DECIDED_US: Final = 21_000_000
"""After so long a sweeper looks after what is not decided."""

_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Promises:
    """What must hold: the limit of each counter, and what each caller really uses of it.

    ``exactly`` is how many callers are admitted in the end; None where that may differ.
    """

    limits: Mapping[str, int]
    actuals: tuple[Mapping[str, int], ...]
    exactly: int | None = None


@dataclass(slots=True)
class Explored:
    """How much was explored."""

    schedules: int = 0
    worlds: int = 0
    steps: int = 0
    ends: int = 0

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules, {self.worlds:,} different worlds, "
            f"{self.steps:,} steps, {self.ends:,} different ends"
        )


@dataclass(slots=True)
class Explorer:
    """Plays the schedules of one setting."""

    setting: Setting
    promises: Promises
    explored: Explored = field(default_factory=Explored)
    _counts: dict[object, int] = field(default_factory=dict)
    _ended: set[object] = field(default_factory=set)
    _sound: set[object] = field(default_factory=set)

    def explore(self) -> Explored:
        """Take every choice in every world."""
        scheduler = Scheduler(self.setting)
        self.explored.schedules = self._explore(scheduler, scheduler.begin())
        return self.explored

    def _explore(self, scheduler: Scheduler, world: World) -> int:
        key = hash(world.key)
        count = self._counts.get(key)
        if count is not None:
            return count
        self.explored.worlds += 1
        choices = scheduler.needed(world)
        if all(choice.kind in FAULTS for choice in choices):
            self.end(scheduler, world)
            self._counts[key] = 1
            return 1
        count = 0
        for choice in choices:
            try:
                count += self._explore(scheduler, self.step(scheduler, world, choice))
            except BrokenPromiseError as error:
                error.add_note(scheduler.describe(world, choice))
                raise
        self._counts[key] = count
        return count

    def walk(self, seed: int, scheduler: Scheduler) -> None:
        """Take one choice in every world, drawn; faults seldom, so that they come anywhere."""
        random = Random(seed)
        world = scheduler.begin()
        while True:
            choices = list(scheduler.choices(world))
            useful = [choice for choice in choices if choice.kind not in FAULTS]
            if not useful:
                break
            faults = [choice for choice in choices if choice.kind in FAULTS]
            pool = faults if faults and random.random() < 0.08 else useful
            world = self.step(scheduler, world, random.choice(pool))
        self.explored.schedules += 1
        self.end(scheduler, world)
        self.explored.worlds = len(self._sound)

    def step(self, scheduler: Scheduler, world: World, choice: Choice) -> World:
        """Take a choice and check what must hold at any time."""
        self.explored.steps += 1
        world = scheduler.after(world, choice)
        key = tuple(image.number for image in world.images)
        if key not in self._sound:
            self._check_any_time(world)
            self._sound.add(key)
        return world

    def _check_any_time(self, world: World) -> None:
        holds: dict[str, frozenset[str]] = {}
        for image in world.images:
            for key, counted, _, held in image.facts.counters:
                holds[key] = held
                if counted > self.promises.limits[key]:
                    raise BrokenPromiseError(f"{key} counts {counted}")
        for image in world.images:
            for name, record in image.facts.records:
                if record.state is not State.COMMITTED:
                    continue
                for line in Reservation.of(record).lines:
                    if not all(_is_there(held, holds.get(line.key)) for held in line.holds):
                        raise BrokenPromiseError(f"{name} counts, and is not held in {line.key}")

    def end(self, scheduler: Scheduler, world: World) -> None:
        """Bring everything to its end, and check what must hold then."""
        key = (world.key[0], world.key[2], world.callers, world.now_us)
        if key in self._ended:
            return
        self._ended.add(key)
        self.explored.ends += 1
        world = self._until_answered(scheduler, world)
        self._check_admitted(world)
        for who, caller in enumerate(world.callers):
            if caller.secret and caller.stage == self.setting.stages[who]:
                world = self._finish(scheduler, scheduler.call(world, who))
        world = self._sweep(scheduler, self._sweep(scheduler, world))
        self._check_settled(scheduler, world)

    def _until_answered(self, scheduler: Scheduler, world: World) -> World:
        world = self._sweep(scheduler, self._finish(scheduler, world))
        for _ in range(_ROUNDS):
            waiting = scheduler.waiting(world)
            if not waiting:
                return world
            for who in waiting:
                world = self._finish(scheduler, scheduler.call(world, who))
            world = self._sweep(scheduler, scheduler.pass_time(world, DECIDED_US))
        raise BrokenPromiseError("a call under one id never gets an answer")

    def _finish(self, scheduler: Scheduler, world: World) -> World:
        """Take the first step that is no fault until there is none."""
        while True:
            useful = (
                choice
                for choice in scheduler.choices(world)
                if choice.kind not in FAULTS and choice.kind is not Kind.SWEEP
            )
            choice = next(useful, None)
            if choice is None:
                return world
            world = self.step(scheduler, world, choice)

    def _sweep(self, scheduler: Scheduler, world: World) -> World:
        for _ in range(_ROUNDS):
            if not scheduler.due(world):
                return world
            world = scheduler.pass_time(world, DECIDED_US)
            world = self._finish(scheduler, scheduler.after(world, Choice(Kind.SWEEP)))
        raise BrokenPromiseError("sweepers never run dry")

    def _check_admitted(self, world: World) -> None:
        admitted = sum(1 for caller in world.callers if caller.secret)
        if self.promises.exactly is not None and admitted != self.promises.exactly:
            raise BrokenPromiseError(f"{admitted} were admitted")

    def _check_settled(self, scheduler: Scheduler, world: World) -> None:
        used = dict.fromkeys(self.promises.limits, 0)
        for caller, actuals in zip(world.callers, self.promises.actuals, strict=True):
            for key, actual in actuals.items() if caller.secret else ():
                used[key] += actual
        world = scheduler.tidy(scheduler.pass_time(world, DECIDED_US))
        for image in world.images:
            for key, counted, held, holds in image.facts.counters:
                if counted != used[key] or held or holds:
                    raise BrokenPromiseError(
                        f"{key} counts {counted} instead of {used[key]}, holds {held}: {holds}"
                    )
            for name, record in image.facts.records:
                if record.state not in {State.SETTLED, State.ABORTED}:
                    raise BrokenPromiseError(f"the record of {name} stays {record.state.value}")


def _is_there(held: Hold, holds: frozenset[str] | None) -> bool:
    left = {HoldKind.KEEP: HoldKind.KEPT, HoldKind.RELEASE: HoldKind.RELEASED}.get(held.kind)
    ended = Hold(held.id, left, held.amount, held.charged_at_us) if left else held
    return holds is not None and (str(held) in holds or str(ended) in holds)
