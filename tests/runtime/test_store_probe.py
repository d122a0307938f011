"""F31: a store that is away is asked again until it answers."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from ratelimit_service.config.settings import HealthSettings
from ratelimit_service.errors import StoreUnavailableError
from ratelimit_service.health import RULES, Health, State
from ratelimit_service.runtime.store_probe import StoreProbe
from ratelimit_service.store.memory import MemoryStore


class MovingStore(MemoryStore):
    """A store that may be away, or stall."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.stalled = False

    async def ping(self) -> None:
        if self.stalled:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def health() -> Health:
    health = Health(HealthSettings())
    health.working(RULES)
    return health


async def test_readiness_follows_the_store(health: Health) -> None:
    store = MovingStore()
    probe = StoreProbe(store, health, timeout_s=0.02)
    states = []
    for store.error, store.stalled in (
        (StoreUnavailableError("refused"), False),
        (None, False),
        (StoreUnavailableError("lost"), False),
        (None, True),
        (None, False),
    ):
        await probe.probe()
        states.append((health.condition.state, [p.reason for p in health.condition.problems]))

    assert states == [
        (State.STARTING, ["refused"]),
        (State.READY, []),
        (State.NOT_READY, ["lost"]),
        (State.NOT_READY, ["no answer within 0.02 s"]),
        (State.READY, []),
    ]


async def test_only_changes_are_logged(health: Health) -> None:
    store = MovingStore()
    probe = StoreProbe(store, health, timeout_s=1)
    lost = StoreUnavailableError("lost")
    with capture_logs() as logs:
        for store.error in (None, None, lost, lost, None):
            await probe.probe()

    assert [(entry["log_level"], entry.get("reason")) for entry in logs] == [
        ("info", None),
        ("warning", "lost"),
        ("info", None),
    ]


async def test_a_defect_of_the_store_ends_the_probe_for_the_supervisor_to_see(
    health: Health,
) -> None:
    store = MovingStore()
    store.error = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        await StoreProbe(store, health, timeout_s=1).run()
