from __future__ import annotations

import pytest

from ratelimit_service.config.settings import HealthSettings
from ratelimit_service.health import RULES, STORE, Condition, Health, Problem, State


def _ready(settings: HealthSettings | None = None) -> Health:
    health = Health(settings or HealthSettings())
    health.working(RULES)
    health.working(STORE)
    return health


def test_starts_healthy_and_says_what_is_missing() -> None:
    condition = Health(HealthSettings()).condition
    assert (condition.state, condition.healthy, condition.ready) == (State.STARTING, True, False)
    assert [problem.part for problem in condition.problems] == [RULES, STORE]


def test_is_ready_once_rules_and_store_work() -> None:
    assert _ready().condition == Condition(State.READY, healthy=True)


def test_a_store_that_goes_away_and_comes_back_f31() -> None:
    health = _ready()
    health.failing(STORE, "connection refused")
    assert health.condition == Condition(
        State.NOT_READY, healthy=True, problems=(Problem(STORE, "connection refused"),)
    )
    health.working(STORE)
    assert health.condition.ready


def test_a_dead_task_is_unhealthy_until_each_that_died_works_again_f58() -> None:
    health = _ready()
    health.failing("rules watcher", "failed")
    health.failing("store probe", "failed")
    health.working("rules watcher")
    assert (health.condition.healthy, health.condition.ready) == (False, False)
    health.working("store probe")
    assert health.condition == Condition(State.READY, healthy=True)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (HealthSettings(needs_rules=True), RULES),
        (HealthSettings(needs_store_connection=True), STORE),
    ],
)
def test_settings_make_a_missing_part_unhealthy(settings: HealthSettings, part: str) -> None:
    health = _ready(settings)
    assert health.condition.healthy
    health.failing(part, "gone")
    assert not health.condition.healthy


def test_draining_is_for_good_f57() -> None:
    health = _ready()
    health.drain()
    health.working(STORE)
    assert (health.condition.state, health.condition.healthy) == (State.DRAINING, False)
    assert not health.condition.ready


def test_listeners_hear_each_change_once_until_they_leave() -> None:
    health = Health(HealthSettings())
    heard: list[State] = []
    leave = health.listen(lambda condition: heard.append(condition.state))
    health.working(RULES)
    health.working(STORE)
    health.working(STORE)
    health.drain()
    assert heard == [State.STARTING, State.STARTING, State.READY, State.DRAINING]
    leave()
    health.failing(STORE, "closed")
    assert len(heard) == 4
