"""Running scripts on a server, and running them again where they certainly did not run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

from redis.exceptions import NoScriptError, RedisError

from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.store.redis.link import Reply, ScriptCall
from ratelimit_service.store.redis.node import Answer, Command, Node
from ratelimit_service.store.redis.refusals import (
    NotMasterError,
    NotReadyError,
    RedirectError,
    translate,
)

Outcome: TypeAlias = "Reply | StoreUnavailableError"

_FIRST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.1


async def evaluate(
    node: Node, calls: Sequence[ScriptCall], deadline: float, *, asking: bool = False
) -> list[Outcome]:
    """Run the calls in one pipeline; load scripts that the server does not know (F36).

    ``asking`` is what a node wants to hear before it serves keys of a slot that moves to it.
    """
    answers = await node.exchange(_pipeline(calls, asking=asking), deadline)
    outcomes = _of_calls(answers, asking=asking)
    unknown = [at for at, answer in enumerate(outcomes) if isinstance(answer, NoScriptError)]
    if unknown:
        repeated = [calls[at] for at in unknown]
        loads = _loads(repeated)
        answers = await node.exchange([*loads, *_pipeline(repeated, asking=asking)], deadline)
        again = _of_calls(answers[len(loads) :], asking=asking)
        for at, answer in zip(unknown, again, strict=True):
            outcomes[at] = answer
    return [
        translate(node.address, answer) if isinstance(answer, RedisError) else answer
        for answer in outcomes
    ]


async def run_until(
    deadline: float,
    calls: Sequence[ScriptCall],
    attempt: Callable[[Sequence[ScriptCall]], Awaitable[Sequence[Outcome]]],
) -> list[Outcome]:
    """Attempt the calls, and again those that would run a little later or elsewhere."""
    outcomes = list(await attempt(calls))
    for pause_s in _pauses():
        waiting = [at for at, outcome in enumerate(outcomes) if _worth_repeating(outcome)]
        left_s = deadline - asyncio.get_running_loop().time()
        # An attempt that has no time to finish would only hide why the others failed.
        if not waiting or left_s < 2 * pause_s:
            break
        await asyncio.sleep(pause_s)
        again = await attempt([calls[at] for at in waiting])
        for at, outcome in zip(waiting, again, strict=True):
            outcomes[at] = outcome
    return outcomes


def _worth_repeating(outcome: Outcome) -> bool:
    return isinstance(outcome, NotReadyError | NotMasterError | RedirectError)


def _pauses() -> Iterator[float]:
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _pipeline(calls: Sequence[ScriptCall], *, asking: bool) -> list[Command]:
    commands: list[Command] = []
    for call in calls:
        if asking:
            commands.append(("ASKING",))
        commands.append(("EVALSHA", call.script.sha1, len(call.keys), *call.keys, *call.arguments))
    return commands


def _of_calls(answers: Sequence[Answer], *, asking: bool) -> list[Answer]:
    return list(answers[1::2] if asking else answers)


def _loads(calls: Sequence[ScriptCall]) -> list[Command]:
    sources = {call.script.sha1: call.script.source for call in calls}
    return [("SCRIPT", "LOAD", source) for source in sources.values()]
