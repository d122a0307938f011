"""The commands in docs/stores.md print what it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ratelimit_service.core.counters import Counter
from ratelimit_service.core.rules import Step
from ratelimit_service.core.terms import Counting
from ratelimit_service.store.redis.link import Link
from ratelimit_service.store.redis.store import RedisStore
from ratelimit_service.telemetry.recorder import NullRecorder
from tests.store.subjects import MINUTE_US, TIMEOUT_S, charge
from tests.support.valkey import VALKEY, Standalone

DOCUMENT = Path(__file__).parents[2] / "docs" / "stores.md"
CLIENT = Path(VALKEY).with_name("valkey-cli")
NOW_US = 1_795_312_043_210_000


async def test_commands_print_what_the_document_says(
    standalone_link: Link, standalone_server: Standalone
) -> None:
    server = standalone_server
    store = RedisStore(standalone_link, NullRecorder(), now_us=lambda: NOW_US)
    alice = Counter("llm", (Step("user", "alice"),), "user_rpm", MINUTE_US)
    await store.charge([charge(alice, 3, 60)], Counting.EVERY, TIMEOUT_S)

    blocks = re.findall(r"```console\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    said = [line for block in blocks for line in block.splitlines()]
    commands = [line for line in said if line.startswith("$ redis-cli ")]
    printed = [line for command in commands for line in (command, *_run(command, server))]

    assert printed == said


def _run(command: str, server: Standalone) -> list[str]:
    client = f"{CLIENT} -p {server.address.port}"
    shell = command.replace("$ redis-cli", client)
    output = subprocess.check_output(shell, shell=True, text=True)  # noqa: S602  # as readers do
    return [line for line in output.splitlines() if line]
