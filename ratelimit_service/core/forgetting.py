"""Which of many things have had their time. Nothing runs in the background for it."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from typing import Final

STEPS: Final = 2
"""Looked at for each thing that is kept: more than one, so that memory shrinks; few, so that
midnight is no spike."""


class Forgetting:
    """Names, and until when each is to be kept."""

    def __init__(self) -> None:
        self._until_us: dict[str, int] = {}
        # One entry for each name: when to look whether it is to be kept still.
        self._looks: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._until_us)

    def keep(self, name: str, until_us: int) -> None:
        """Keep a name until a time, later or sooner than was said before."""
        if name not in self._until_us:
            heappush(self._looks, (until_us, name))
        self._until_us[name] = until_us

    def keep_longer(self, name: str, until_us: int) -> None:
        """Keep a name that is kept already at least until a time."""
        self._until_us[name] = max(self._until_us[name], until_us)

    def forgotten(self, now_us: int, kept: int) -> Iterator[str]:
        """Give up names whose time has come: as many as keeps pace with ``kept`` new ones."""
        for _ in range(STEPS * kept):
            if not self._looks or self._looks[0][0] > now_us:
                return
            _, name = self._looks[0]
            if self._until_us[name] > now_us:
                heapreplace(self._looks, (self._until_us[name], name))
            else:
                heappop(self._looks)
                del self._until_us[name]
                yield name
