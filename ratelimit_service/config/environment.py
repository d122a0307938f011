"""Environment variables, read one by one with their type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ratelimit_service.config import values
from ratelimit_service.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Environment:
    """A typed view of the environment. A variable that is set to nothing counts as absent."""

    variables: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """Return a variable as it is written, or None."""
        return self.variables.get(name) or None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean."""
        text = self.text(name)
        return default if text is None else values.boolean(name, text)

    def integer(self, name: str, default: int, bounds: range) -> int:
        """Return a whole number within bounds."""
        text = self.text(name)
        return default if text is None else values.integer(name, text, bounds, default)

    def duration_s(self, name: str) -> float | None:
        """Return a duration in seconds; 0 and absent are None, which stand for no bound."""
        text = self.text(name)
        return None if text is None else values.duration_s(name, text) or None

    def file(self, name: str) -> Path | None:
        """Return the path of a file that can be read, or None."""
        text = self.text(name)
        if text is None:
            return None
        path = Path(text)
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            raise SettingsError(
                name, f"{text} cannot be read: {error.strerror}; check the path and its permissions"
            ) from error

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """Return one of some words, in lower case; their case is free."""
        text = self.text(name) or default
        if text.lower() not in choices:
            raise SettingsError(name, f"`{text}` is not known; write {' or '.join(choices)}")
        return text.lower()
