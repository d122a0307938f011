from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.config.watch import RulesWatcher
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.errors import ConfigError
from tests.config.files import write


@dataclass
class Seen:
    """What a watcher called back, in order: domains of rules, or the text of an error."""

    events: list[set[str] | str] = field(default_factory=list)
    noticed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_rules(self, rules: RuleSet) -> None:
        self.events.append(set(rules.domains))
        self.noticed.set()

    def on_error(self, error: ConfigError) -> None:
        self.events.append(str(error))

    def watch(self, path: Path, interval_s: float = 0.5) -> RulesWatcher:
        return RulesWatcher(RulesSettings(path), self.on_rules, self.on_error, interval_s)


RULE = "descriptors: [{key: a, rate_limit: {unlimited: true}}]\n"


def publish(mount: Path, version: str, text: str) -> None:
    """Swap a folder's files as Kubernetes does for a ConfigMap: one rename of a link."""
    data = mount / f"..{version}"
    data.mkdir()
    write(data, text)
    link = mount / "..data_tmp"
    link.symlink_to(data.name)
    link.rename(mount / "..data")
    if not (mount / "rules.yaml").is_symlink():
        (mount / "rules.yaml").symlink_to("..data/rules.yaml")


async def test_the_first_poll_brings_the_rules(tmp_path: Path) -> None:
    path = write(tmp_path, "domain: x\n" + RULE)
    seen = Seen()
    watcher = seen.watch(path)

    await watcher.poll_once()

    assert seen.events == [{"x"}]
    assert watcher.status.rules == 1
    assert watcher.status.loaded_at is not None
    assert watcher.status.error is None


async def test_nothing_new_is_not_told_again(tmp_path: Path) -> None:
    path = write(tmp_path, "domain: x\n")
    seen = Seen()
    watcher = seen.watch(tmp_path)

    await watcher.poll_once()
    await watcher.poll_once()
    os.utime(path, ns=(1, 1))
    await watcher.poll_once()

    assert seen.events == [{"x"}]


async def test_an_edit_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    seen = Seen()
    watcher = seen.watch(write(tmp_path, "domain: x\n"))

    await watcher.poll_once()
    before = (tmp_path / "rules.yaml").stat()
    write(tmp_path, "domain: y\n")
    os.utime(tmp_path / "rules.yaml", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    await watcher.poll_once()

    assert seen.events == [{"x"}, {"y"}]


async def test_added_and_removed_files_are_noticed(tmp_path: Path) -> None:
    seen = Seen()
    watcher = seen.watch(tmp_path)
    write(tmp_path, "domain: a\n", "a.yaml")

    await watcher.poll_once()
    write(tmp_path, "domain: b\n", "b.yaml")
    await watcher.poll_once()
    (tmp_path / "a.yaml").unlink()
    await watcher.poll_once()

    assert seen.events == [{"a"}, {"a", "b"}, {"b"}]


async def test_a_swapped_symbolic_link_is_noticed(tmp_path: Path) -> None:
    seen = Seen()
    watcher = seen.watch(tmp_path)
    publish(tmp_path, "1", "domain: x\n")

    await watcher.poll_once()
    publish(tmp_path, "2", "domain: y\n")
    await watcher.poll_once()

    assert seen.events == [{"x"}, {"y"}]


async def test_f44_invalid_rules_leave_the_old_ones_and_are_told_once(tmp_path: Path) -> None:
    path = write(tmp_path, "domain: x\n" + RULE)
    seen = Seen()
    watcher = seen.watch(path)

    await watcher.poll_once()
    loaded_at = watcher.status.loaded_at
    write(tmp_path, "domain: x\ndescriptor: []\n")
    await watcher.poll_once()
    os.utime(path, ns=(1, 1))
    await watcher.poll_once()

    error = f"{path}:2:1: unknown key `descriptor`; did you mean `descriptors`?"
    assert seen.events == [{"x"}, error]
    assert (watcher.status.rules, watcher.status.loaded_at) == (1, loaded_at)
    assert str(watcher.status.error) == error


async def test_another_mistake_is_told_too(tmp_path: Path) -> None:
    seen = Seen()
    watcher = seen.watch(write(tmp_path, "domain: x\na: 1\n"))

    await watcher.poll_once()
    write(tmp_path, "domain: x\n\nbb: 1\n")
    await watcher.poll_once()

    assert [str(event).split(": ")[0].rpartition("yaml:")[2] for event in seen.events] == [
        "2:1",
        "3:1",
    ]


async def test_mended_rules_come_into_force_and_clear_the_error(tmp_path: Path) -> None:
    seen = Seen()
    watcher = seen.watch(write(tmp_path, "domain: x\n"))

    await watcher.poll_once()
    write(tmp_path, "domain: x\nbroken: 1\n")
    await watcher.poll_once()
    write(tmp_path, "domain: x\n")
    await watcher.poll_once()

    assert seen.events[0] == seen.events[2] == {"x"}
    assert watcher.status.error is None


async def test_a_folder_that_goes_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    write(folder, "domain: x\n")
    seen = Seen()
    watcher = seen.watch(folder)

    await watcher.poll_once()
    folder.rename(tmp_path / "away")
    await watcher.poll_once()
    (tmp_path / "away").rename(folder)
    await watcher.poll_once()

    assert seen.events[0] == seen.events[2] == {"x"}
    assert "cannot be read: No such file" in str(seen.events[1])


async def test_f45_a_running_watcher_applies_an_edit(tmp_path: Path) -> None:
    path = write(tmp_path, "domain: x\n")
    seen = Seen()
    task = asyncio.create_task(seen.watch(path, interval_s=0.001).run())
    try:
        async with asyncio.timeout(10):
            await seen.noticed.wait()
            seen.noticed.clear()
            write(tmp_path, "domain: renamed\n", "next")
            (tmp_path / "next").rename(path)
            await seen.noticed.wait()
    finally:
        task.cancel()

    assert seen.events == [{"x"}, {"renamed"}]
