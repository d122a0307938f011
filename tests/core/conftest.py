"""Shows after the tests how much was explored."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_LINES: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Print a line now, for -s, and after all tests."""
    lines = request.config.stash.setdefault(_LINES, [])

    def add(found: object) -> None:
        line = f"{request.node.name}: {found}"
        print(line)  # noqa: T201 - that is what it is for
        lines.append(line)

    return add


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write the lines."""
    lines = config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("explored schedules")
        for line in lines:
            terminalreporter.line(line)
