"""What is read of an environment, found out by letting it be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class WatchedEnvironment(Mapping[str, str]):
    """An environment that notes in ``asked`` which variables are asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
