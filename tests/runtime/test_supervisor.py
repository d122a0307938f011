"""F58: a background task that dies is seen, and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ratelimit_service.config.settings import HealthSettings
from ratelimit_service.health import RULES, STORE, Condition, Health
from ratelimit_service.runtime.supervisor import Supervisor

DEADLINE_S = 10.0


class Watched:
    """A health that is otherwise good, and all that it said."""

    def __init__(self) -> None:
        self.health = Health(HealthSettings())
        self.health.working(RULES)
        self.health.working(STORE)
        self.said: asyncio.Queue[Condition] = asyncio.Queue()
        self.health.listen(self.said.put_nowait)

    async def until(self, *, healthy: bool) -> Condition:
        async with asyncio.timeout(DEADLINE_S):
            while (condition := await self.said.get()).healthy is not healthy:
                pass
        return condition


class Failing:
    """Work that ends badly a number of times, and goes on for ever after that."""

    def __init__(self, end: Callable[[], Awaitable[None]], times: int) -> None:
        self.starts = 0
        self._end = end
        self._times = times

    async def __call__(self) -> None:
        self.starts += 1
        if self.starts <= self._times:
            await self._end()
            return
        await asyncio.Event().wait()


async def _raise() -> None:
    raise RuntimeError("a defect")


async def _return() -> None:
    return


@pytest.mark.parametrize(("end", "reason"), [(_raise, "failed: RuntimeError"), (_return, "ended")])
async def test_a_task_that_ends_turns_health_bad_and_starts_again(
    end: Callable[[], Awaitable[None]], reason: str
) -> None:
    watched, work = Watched(), Failing(end, times=3)
    async with Supervisor(watched.health, pause_s=0.02) as supervisor:
        supervisor.start("poller", work)

        bad = await watched.until(healthy=False)
        assert [(problem.part, problem.reason) for problem in bad.problems] == [("poller", reason)]
        await watched.until(healthy=True)

    assert work.starts == 4


async def test_a_task_that_goes_on_keeps_health_good() -> None:
    watched, work = Watched(), Failing(_raise, times=0)
    async with Supervisor(watched.health, pause_s=0.0) as supervisor:
        supervisor.start("poller", work)
        await asyncio.sleep(0)

    assert work.starts == 1
    assert watched.health.condition.healthy


async def test_tasks_end_with_their_supervisor() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    watched = Watched()
    async with Supervisor(watched.health) as supervisor:
        supervisor.start("poller", work)
        await asyncio.sleep(0)

    assert ended.is_set()
    assert watched.health.condition.healthy


async def test_one_that_fails_leaves_the_others_alone() -> None:
    watched, failing, steady = Watched(), Failing(_raise, times=1), Failing(_raise, times=0)
    async with Supervisor(watched.health, pause_s=0.02) as supervisor:
        supervisor.start("steady", steady)
        supervisor.start("failing", failing)
        await watched.until(healthy=False)
        await watched.until(healthy=True)

    assert (steady.starts, failing.starts) == (1, 2)
