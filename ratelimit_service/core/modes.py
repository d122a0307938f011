"""How the whole service departs from what its rules say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Modes:
    """How deciding departs from the rules, for every domain.

    With ``shadow`` no call is refused; with ``quota`` every rule is a quota. A counter
    above ``near_limit_ratio`` of its limit is reported as near.
    """

    shadow: bool = False
    quota: bool = False
    near_limit_ratio: float = 0.8
