"""A deterministic scheduler: protocols over slots, where each next step is a choice.

A world is a value: what every slot holds, how far every run of a protocol has come, which
messages are late. ``choices`` names the steps that can come next, ``after`` takes one. So a
test can take all of them, in every order, or draw some.

Steps are the delivery of one message with its reply, the end of a pause, the delivery of a
late message, the start of a sweeper, and faults, of which a world has so many. A reply touches
nobody but its receiver, so that its delivery could be put off only together with what the
receiver does next: it is delivered with its message, or never.

Faults are: a message is lost; a message is late, so that its sender gives up and it may yet
come at any later step (which a lost reply is a case of); a run crashes, its undelivered
messages lost or late; the caller repeats its call elsewhere under the same id; the clocks
jump, which no round outlasts.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from ratelimit_service.core.messages import (
    Cancel,
    Line,
    Message,
    Read,
    Record,
    SlotReply,
    State,
    Write,
)
from ratelimit_service.core.protocols.answers import (
    Closed,
    Extended,
    Mismatch,
    NotFound,
    Refused,
    Replayed,
    Reserved,
    Result,
    Settled,
)
from ratelimit_service.core.protocols.extend import extend
from ratelimit_service.core.protocols.reconcile import reconcile
from ratelimit_service.core.protocols.reserve import reserve
from ratelimit_service.core.protocols.steps import (
    Answer,
    Given,
    Lost,
    Pause,
    Protocol,
    Replies,
    Reply,
    Resumed,
    Round,
    Sent,
)
from ratelimit_service.core.protocols.sweep import sweep
from ratelimit_service.core.protocols.tasks import (
    ExtendTask,
    ReconcileTask,
    ReserveTask,
    SweepTask,
)
from ratelimit_service.core.reservation import PlannedLine
from ratelimit_service.core.slot import Slot

START_US: Final = 1_800_000_000_000_000

Task: TypeAlias = ReserveTask | ReconcileTask | ExtendTask | SweepTask
Handle: TypeAlias = Callable[[Slot, Message, int], SlotReply]

_LOST: Final = -1
"""Stands for the number of a reply that never comes."""

_OUT: Final = -2
"""Stands for that of a reply that is still out."""


def start(task: Task) -> Protocol:
    """Begin the protocol of a task."""
    if isinstance(task, ReserveTask):
        return reserve(task)
    if isinstance(task, ReconcileTask):
        return reconcile(task)
    return extend(task) if isinstance(task, ExtendTask) else sweep(task)


class Node:
    """How far a run has come: its task, and all that it was sent back. Equal runs share it."""

    def __init__(self, number: int, task: Task, history: tuple[Given, ...]) -> None:
        self.number = number
        self.task = task
        self.history = history
        self.children: dict[object, Node] = {}
        self.answer: Result | None = None
        self._protocol: Protocol | None = start(task)
        given: Given = None
        for given in (None, *history):
            step = self._send(given)
        self.step: Round | Pause | None = step

    def _send(self, given: Given) -> Round | Pause | None:
        """Drive on to the next step that is no answer; None is the end."""
        if self._protocol is None:
            raise AssertionError("a protocol was driven on after its end")
        try:
            step = self._protocol.send(given)
            while isinstance(step, Answer):
                if self.answer is not None:
                    raise AssertionError("a protocol answered twice")
                self.answer = step.result
                step = self._protocol.send(None)
        except StopIteration:
            if self.answer is None:
                raise AssertionError("a protocol ended without an answer") from None
            self._protocol = None
            return None
        return step

    @property
    def sent(self) -> tuple[Sent, ...]:
        """The messages of the round that is waited for."""
        return self.step.sent if isinstance(self.step, Round) else ()


@dataclass(frozen=True, slots=True)
class Image:
    """What a slot holds, as bytes to go on from; equal images have one number."""

    number: int
    pickled: bytes = field(repr=False)
    facts: Facts


@dataclass(frozen=True, slots=True)
class Facts:
    """What can be checked of a slot: for each counter what is counted, held and the holds."""

    counters: tuple[tuple[str, int, int, frozenset[str]], ...]
    records: tuple[tuple[str, Record], ...]


class Kind(Enum):
    """The kinds of steps."""

    DELIVER = "deliver"
    RESUME = "resume"
    DELIVER_LATE = "deliver late"
    SWEEP = "sweep"
    LOSE = "lose"
    DELAY = "delay"
    CRASH = "crash"
    CRASH_LATE = "crash, the rest is late"
    REPEAT = "repeat"
    JUMP = "jump"


FAULTS: Final = frozenset(
    {Kind.LOSE, Kind.DELAY, Kind.CRASH, Kind.CRASH_LATE, Kind.REPEAT, Kind.JUMP}
)


class Choice(NamedTuple):
    """A next step: of which run or caller or late message, and which message or jump."""

    kind: Kind
    who: int = 0
    which: int = 0


class Run(NamedTuple):
    """A run of a protocol. ``replies`` are numbers of replies to its round, None is still out."""

    caller: int
    stage: int
    node: Node
    replies: tuple[int | None, ...]
    pauses: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        replies = tuple(_OUT if reply is None else reply for reply in self.replies)
        return (self.caller, self.stage, self.node.number, replies, self.pauses)


class Caller(NamedTuple):
    """How far a caller has come in its script, and what it knows of its reservation."""

    stage: int = 0
    calls: int = 0
    secret: str = ""
    refused: bool = False


class World(NamedTuple):
    """Everything, at one moment."""

    images: tuple[Image, ...]
    runs: tuple[Run, ...]
    late: tuple[tuple[Node, int], ...]
    callers: tuple[Caller, ...]
    faults: int
    now_us: int = 0
    sweepers: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        return (
            tuple(image.number for image in self.images),
            tuple(sorted(run.key for run in self.runs)),
            tuple(sorted((node.number, i) for node, i in self.late)),
            self.callers,
            self.faults,
            self.now_us,
            self.sweepers,
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """What is played: slots with the offsets of their clocks, scripts of callers, faults.

    A script says for each stage which task a call of it is; ``task`` makes it of the
    caller, the stage, the number of the call and the secret of its reservation.
    """

    slots: tuple[str, ...]
    lines: tuple[PlannedLine, ...]
    offsets_us: tuple[int, ...]
    stages: tuple[int, ...]
    task: Callable[[int, int, int, str], Task]
    sweeping: SweepTask
    faults: int = 0
    pauses: int = 2
    jumps_us: tuple[int, ...] = ()
    kinds: frozenset[Kind] = FAULTS
    handle: Handle = Slot.handle


class BrokenPromiseError(AssertionError):
    """A schedule after which a promise does not hold."""


class Scheduler:
    """Takes steps in worlds, and remembers what steps come to."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._roots: dict[Task, Node] = {}
        self._nodes = 0
        self._images: dict[object, Image] = {}
        self._replies: dict[SlotReply, int] = {}
        self._by_number: list[SlotReply] = []
        self._deliveries: dict[tuple[int, int, int, int], tuple[Image, int]] = {}

    def begin(self) -> World:
        """Return the world before the first step: every caller has called."""
        empty = self._image(Slot())
        images = (empty,) * len(self.setting.slots)
        callers = tuple(Caller() for _ in self.setting.stages)
        world = World(images, (), (), callers, self.setting.faults)
        for caller in range(len(callers)):
            world = self.call(world, caller)
        return world

    def call(self, world: World, caller: int) -> World:
        """Let a caller make, or make again, the call of its stage, on another coordinator."""
        state = world.callers[caller]
        task = self.setting.task(caller, state.stage, state.calls, state.secret)
        world = _with_caller(world, caller, state._replace(calls=state.calls + 1))
        return self._start(world, caller, state.stage, task)

    def _start(self, world: World, caller: int, stage: int, task: Task) -> World:
        node = self._roots.get(task)
        if node is None:
            node = self._roots[task] = self._node(task, ())
        return self._enter(world, Run(caller, stage, node, ()), len(world.runs))

    def _node(self, task: Task, history: tuple[Given, ...]) -> Node:
        self._nodes += 1
        return Node(self._nodes, task, history)

    def choices(self, world: World) -> Iterator[Choice]:
        """Name the steps that can come next."""
        return (
            choice
            for choice in self._choices(world, faulty=world.faults > 0)
            if choice.kind not in FAULTS or choice.kind in self.setting.kinds
        )

    def _choices(self, world: World, *, faulty: bool) -> Iterator[Choice]:
        for who, run in enumerate(world.runs):
            yield from _choices_of(who, run, faulty=faulty)
        for who in range(len(world.late)):
            yield Choice(Kind.DELIVER_LATE, who)
        if world.sweepers:
            yield Choice(Kind.SWEEP)
        if faulty:
            for who in self.waiting(world):
                yield Choice(Kind.REPEAT, who)
            for which in range(len(self.setting.jumps_us)):
                yield Choice(Kind.JUMP, 0, which)

    def waiting(self, world: World) -> list[int]:
        """Name the callers that have no answer yet."""
        return [
            who
            for who, caller in enumerate(world.callers)
            if not caller.refused and caller.stage < self.setting.stages[who]
        ]

    def needed(self, world: World) -> list[Choice]:
        """Name as many of the choices as are needed to see every outcome.

        A message to the record that only one run is concerned with commutes with all that
        other runs do, and so does the end of a pause. One such step can come first, or what
        may befall its run instead. A jump commutes with nothing.
        """
        choices = list(self.choices(world))
        jumps = world.faults > 0 and Kind.JUMP in self.setting.kinds
        if jumps or world.sweepers or any(run.caller < 0 for run in world.runs):
            return choices
        for choice in choices:
            if self._is_private(world, choice):
                run = world.runs[choice.who]
                return [other for other in choices if _befalls(other, choice, run)]
        return choices

    def _is_private(self, world: World, choice: Choice) -> bool:
        if choice.kind is Kind.RESUME:
            return True
        if choice.kind is not Kind.DELIVER:
            return False
        run = world.runs[choice.who]
        sent = run.node.sent[choice.which]
        return (
            isinstance(sent.message, Write | Read)
            and sum(other.caller == run.caller for other in world.runs) == 1
            and not any(node.sent[i].slot == sent.slot for node, i in world.late)
        )

    def after(self, world: World, choice: Choice) -> World:
        """Return the world after a step."""
        if choice.kind in FAULTS:
            world = world._replace(faults=world.faults - 1)
        return _STEPS[choice.kind](self, world, choice)

    def describe(self, world: World, choice: Choice) -> str:
        """Say a step in words; the last step of a schedule comes first."""
        if choice.kind in {Kind.DELIVER, Kind.LOSE, Kind.DELAY}:
            run = world.runs[choice.who]
            return f"{choice.kind.value}: caller {run.caller}: {run.node.sent[choice.which]}"
        if choice.kind is Kind.DELIVER_LATE:
            node, which = world.late[choice.who]
            return f"{choice.kind.value}: {node.sent[which]}"
        if choice.kind in {Kind.RESUME, Kind.CRASH, Kind.CRASH_LATE}:
            return f"{choice.kind.value}: caller {world.runs[choice.who].caller}"
        return f"{choice.kind.value}: {choice.who} {choice.which}"

    def deliver(self, world: World, choice: Choice) -> World:
        """Deliver a message, and its reply."""
        run = world.runs[choice.who]
        world, reply = self._deliver(world, run.node, choice.which)
        return self._reply(world, choice, reply)

    def lose(self, world: World, choice: Choice) -> World:
        """Lose a message."""
        return self._reply(world, choice, _LOST)

    def delay(self, world: World, choice: Choice) -> World:
        """Let a message be late."""
        run = world.runs[choice.who]
        world = world._replace(late=(*world.late, (run.node, choice.which)))
        return self._reply(world, choice, _LOST)

    def deliver_late(self, world: World, choice: Choice) -> World:
        """Deliver a late message."""
        node, which = world.late[choice.who]
        late = world.late[: choice.who] + world.late[choice.who + 1 :]
        return self._deliver(world._replace(late=late), node, which)[0]

    def resume(self, world: World, choice: Choice) -> World:
        """End a pause."""
        run = world.runs[choice.who]
        time_left = run.pauses < self.setting.pauses
        run = run._replace(pauses=run.pauses + 1)
        return self._advance(world, choice.who, run, (time_left,), Resumed(time_left))

    def crash(self, world: World, choice: Choice) -> World:
        """End a run where it is."""
        return world._replace(runs=_without(world.runs, choice.who))

    def crash_late(self, world: World, choice: Choice) -> World:
        """End a run where it is, with what it has sent still on its way."""
        return self.crash(_all_late(world, world.runs[choice.who]), choice)

    def repeat(self, world: World, choice: Choice) -> World:
        """Let a caller repeat its call."""
        return self.call(world, choice.who)

    def jump(self, world: World, choice: Choice) -> World:
        """Let all clocks jump.

        Nobody waits that long for a reply: a round of which something was delivered loses the
        rest. One of which nothing was may still be sent, by a process that was held up.
        """
        by_us = self.setting.jumps_us[choice.which]
        world = world._replace(now_us=world.now_us + by_us, sweepers=1)
        runs = world.runs
        for who in reversed(range(len(runs))):
            begun = any(reply is not None for reply in runs[who].replies)
            for which, reply in enumerate(runs[who].replies):
                if begun and reply is None:
                    world = self._reply(world, Choice(Kind.LOSE, who, which), _LOST)
        return world

    def sweep(self, world: World, choice: Choice) -> World:
        """Start a sweeper."""
        del choice
        world = world._replace(sweepers=world.sweepers - 1)
        return self._start(world, -1, 0, self.setting.sweeping)

    def _deliver(self, world: World, node: Node, which: int) -> tuple[World, int]:
        sent = node.sent[which]
        place = self.setting.slots.index(sent.slot)
        image = world.images[place]
        key = (image.number, node.number, which, world.now_us)
        found = self._deliveries.get(key)
        if found is None:
            slot = pickle.loads(image.pickled)  # noqa: S301 - our own bytes
            now_us = START_US + world.now_us + self.setting.offsets_us[place]
            reply = self.setting.handle(slot, sent.message, now_us)
            found = self._deliveries[key] = (self._image(slot), self._number(reply))
        images = (*world.images[:place], found[0], *world.images[place + 1 :])
        return world._replace(images=images), found[1]

    def _number(self, reply: SlotReply) -> int:
        number = self._replies.setdefault(reply, len(self._by_number))
        if number == len(self._by_number):
            self._by_number.append(reply)
        return number

    def _reply(self, world: World, choice: Choice, reply: int) -> World:
        run = world.runs[choice.who]
        replies = (*run.replies[: choice.which], reply, *run.replies[choice.which + 1 :])
        run = run._replace(replies=replies)
        if None in replies:
            return _with_run(world, choice.who, run)
        given = Replies(tuple(self._known(number) for number in replies if number is not None))
        return self._advance(world, choice.who, run, replies, given)

    def _known(self, number: int) -> Reply:
        return Lost() if number == _LOST else self._by_number[number]

    def _advance(
        self, world: World, who: int, run: Run, key: tuple[object, ...], given: Given
    ) -> World:
        node = run.node.children.get(key)
        if node is None:
            node = self._node(run.node.task, (*run.node.history, given))
            run.node.children[key] = node
        answered = run.node.answer is None and node.answer is not None
        world = self._enter(world, run._replace(node=node), who)
        if answered and node.answer is not None and run.caller >= 0:
            world = self._hear(world, run, node.answer)
        return world

    def _enter(self, world: World, run: Run, who: int) -> World:
        """Let a run wait for its next round or pause, or end it."""
        if run.node.step is None:
            return world._replace(runs=_without(world.runs, who))
        return _with_run(world, who, run._replace(replies=(None,) * len(run.node.sent)))

    def _hear(self, world: World, run: Run, answer: Result) -> World:
        """Let a caller hear an answer, and make the next call of its script."""
        caller = world.callers[run.caller]
        if isinstance(answer, Reserved | Replayed):
            self._check_told(world, answer)
        if caller.stage != run.stage:
            return world
        moved_on = isinstance(answer, Settled | Extended | Closed)
        if isinstance(answer, Reserved | Replayed):
            caller = caller._replace(stage=1, calls=0, secret=answer.record.secret, refused=False)
        elif moved_on or (isinstance(answer, Refused) and caller.stage):
            caller = caller._replace(stage=caller.stage + 1, calls=0)
        elif isinstance(answer, Refused) and not answer.contended:
            caller = caller._replace(refused=True)
        elif isinstance(answer, Mismatch | NotFound):
            raise BrokenPromiseError(f"caller {run.caller} heard {answer}")
        world = _with_caller(world, run.caller, caller)
        if 0 < caller.stage < self.setting.stages[run.caller] and not caller.calls:
            return self.call(world, run.caller)
        return world

    def _check_told(self, world: World, answer: Reserved | Replayed) -> None:
        for image in world.images:
            for _, record in image.facts.records:
                if record.secret == answer.record.secret and record.state in _COUNTING:
                    return
        raise BrokenPromiseError("a caller heard OK, and the record does not say so")

    def _image(self, slot: Slot) -> Image:
        facts = look(slot)
        timing = tuple(
            (key, cell.state, frozenset(cell.holds._expiries.items()))
            for key, cell in sorted(slot._cells.items())
        )
        due = tuple((name, tuple(sorted(d.items()))) for name, d in slot._records._due.items())
        key = (timing, facts.records, due)
        image = self._images.get(key)
        if image is None:
            pickled = pickle.dumps(slot, pickle.HIGHEST_PROTOCOL)
            image = self._images[key] = Image(len(self._images), pickled, facts)
        return image

    def pass_time(self, world: World, by_us: int) -> World:
        """Let time pass when nothing runs, after which a sweeper may start."""
        return world._replace(now_us=world.now_us + by_us, sweepers=1)

    def tidy(self, world: World) -> World:
        """Touch every counter, so that what is over ends in it."""
        images = list(world.images)
        for place, name in enumerate(self.setting.slots):
            lines = tuple(
                Line(line.key, line.cap, 0, 0) for line in self.setting.lines if line.slot == name
            )
            slot = pickle.loads(images[place].pickled)  # noqa: S301 - our own bytes
            now_us = START_US + world.now_us + self.setting.offsets_us[place]
            slot.handle(Cancel("nobody.", lines), now_us)
            images[place] = self._image(slot)
        return world._replace(images=tuple(images))

    def due(self, world: World) -> bool:
        """Tell whether a sweeper has anything left to do, now or later."""
        slot = pickle.loads(  # noqa: S301 - our own bytes
            world.images[self.setting.slots.index(self.setting.sweeping.slot)].pickled
        )
        return bool(slot._records._due)


_COUNTING: Final = frozenset({State.COMMITTED, State.SETTLING, State.SETTLED})

_STEPS: Final[dict[Kind, Callable[[Scheduler, World, Choice], World]]] = {
    Kind.DELIVER: Scheduler.deliver,
    Kind.RESUME: Scheduler.resume,
    Kind.DELIVER_LATE: Scheduler.deliver_late,
    Kind.SWEEP: Scheduler.sweep,
    Kind.LOSE: Scheduler.lose,
    Kind.DELAY: Scheduler.delay,
    Kind.CRASH: Scheduler.crash,
    Kind.CRASH_LATE: Scheduler.crash_late,
    Kind.REPEAT: Scheduler.repeat,
    Kind.JUMP: Scheduler.jump,
}


def look(slot: Slot) -> Facts:
    """Read what can be checked of a slot, without ending anything in it."""
    counters = tuple(
        (
            key,
            cell.state.counted if cell.state else 0,
            cell.state.held if cell.state else 0,
            frozenset(str(held) for held in cell.holds),
        )
        for key, cell in sorted(slot._cells.items())
    )
    return Facts(counters, tuple(sorted(slot._records._records.items(), key=lambda item: item[0])))


def _choices_of(who: int, run: Run, *, faulty: bool) -> Iterator[Choice]:
    if isinstance(run.node.step, Pause):
        yield Choice(Kind.RESUME, who)
    outstanding = [which for which, reply in enumerate(run.replies) if reply is None]
    for which in outstanding:
        yield Choice(Kind.DELIVER, who, which)
        if faulty:
            yield Choice(Kind.LOSE, who, which)
            yield Choice(Kind.DELAY, who, which)
    if faulty:
        yield Choice(Kind.CRASH, who)
        if outstanding:
            yield Choice(Kind.CRASH_LATE, who)


def _befalls(other: Choice, choice: Choice, run: Run) -> bool:
    """Tell whether a choice is another end of a step, or of the run that takes it."""
    if other.kind is Kind.REPEAT:
        return other.who == run.caller
    if other.who != choice.who or other.kind is Kind.DELIVER_LATE:
        return False
    return other.which == choice.which or other.kind in {Kind.CRASH, Kind.CRASH_LATE}


def _without(runs: tuple[Run, ...], who: int) -> tuple[Run, ...]:
    return runs[:who] + runs[who + 1 :]


def _with_run(world: World, who: int, run: Run) -> World:
    return world._replace(runs=(*world.runs[:who], run, *world.runs[who + 1 :]))


def _with_caller(world: World, who: int, caller: Caller) -> World:
    callers = (*world.callers[:who], caller, *world.callers[who + 1 :])
    return world._replace(callers=callers)


def _all_late(world: World, run: Run) -> World:
    late = tuple((run.node, i) for i, reply in enumerate(run.replies) if reply is None)
    return world._replace(late=(*world.late, *late))
