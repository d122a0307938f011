"""What the charges of one call mean for each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Counting(Enum):
    """Which charges of one call are counted when some of them do not fit."""

    EVERY = "every"
    """All of them: the reference's default."""

    ONLY_OVER = "only_over"
    """Only those that go over: STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT."""

    STRICT = "strict"
    """None but those whose terms say always: a refused call charges nothing (F3, F10)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a charge means for the call that it is part of.

    It fits where ``asks`` more would not go above the limit: that is its amount, or, where
    it only looks, how much room there must be. ``always``: counted even if the call is
    refused. ``refuses``: one that does not fit refuses the call, unless it is part of a
    ``quota`` (numbered from 1; 0 is none): those refuse when every quota of the call has one
    that does not fit.
    """

    asks: int
    always: bool = True
    refuses: bool = True
    quota: int = 0
