"""From what the counters say to the answer for the caller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ratelimit_service.core.plan import Plan, PlannedDescriptor
from ratelimit_service.core.rules import Limit, Metadata


class Code(StrEnum):
    """Whether to forward the call."""

    OK = "OK"
    OVER_LIMIT = "OVER_LIMIT"


class Result(StrEnum):
    """What became of a descriptor, as metrics count it."""

    UNMATCHED = "unmatched"
    UNLIMITED = "unlimited"
    REPLACED = "replaced"
    WITHIN = "within"
    NEAR = "near"
    OVER = "over"
    SHADOWED = "shadowed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a counter holds after its charge, and how long until its window ends."""

    counted: int
    reset_in_us: int


@dataclass(frozen=True, slots=True)
class Modes:
    """How judging departs from the rules, for every domain.

    With ``shadow`` no call is refused; with ``quota`` every rule is a quota. A counter
    above ``near_limit_ratio`` of its limit is reported as near.
    """

    shadow: bool = False
    quota: bool = False
    near_limit_ratio: float = 0.8


@dataclass(frozen=True, slots=True)
class Status:
    """The answer for one descriptor.

    ``limit`` and ``reset_in_us`` are None where no limit applies. ``remaining`` is in
    hits, and None where there is no bound. ``metadata`` is the rule's, None where its
    limit was not asked.
    """

    code: Code
    result: Result
    title: str = ""
    limit: Limit | None = None
    remaining: int | None = 0
    reset_in_us: int | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for the call, and for each descriptor in order."""

    overall: Code
    statuses: tuple[Status, ...]

    def nearest(self) -> Status | None:
        """Return the status closest to refusing; None where no limit applies.

        One that is over comes first, then that of least remaining; of equals the one that
        stays so for longest, so that who waits for its reset need not wait again.
        """
        limited = [status for status in self.statuses if status.limit is not None]
        return min(limited, key=_distance, default=None)


def _distance(status: Status) -> tuple[bool, int, int]:
    return status.code is Code.OK, status.remaining or 0, -(status.reset_in_us or 0)


def judge(plan: Plan, outcomes: Sequence[Outcome], modes: Modes) -> Decision:
    """Say what the outcomes of a plan's charges, in their order, mean for the call."""
    pending = iter(outcomes)
    statuses = tuple(_judge_descriptor(item, pending, modes) for item in plan.descriptors)
    return Decision(_overall(plan, statuses, modes), statuses)


def _judge_descriptor(
    planned: PlannedDescriptor, outcomes: Iterator[Outcome], modes: Modes
) -> Status:
    limit, rule = planned.limit, planned.rule
    if limit is None:
        return _judge_uncounted(planned)
    outcome = next(outcomes)
    over = outcome.counted > limit.amount
    shadowed = over and rule is not None and rule.shadow_mode
    if shadowed:
        result = Result.SHADOWED
    elif over:
        result = Result.OVER
    elif outcome.counted > limit.amount * modes.near_limit_ratio:
        result = Result.NEAR
    else:
        result = Result.WITHIN
    return Status(
        code=Code.OVER_LIMIT if result is Result.OVER else Code.OK,
        result=result,
        title=planned.title,
        limit=limit,
        remaining=max(0, limit.amount - outcome.counted),
        reset_in_us=outcome.reset_in_us,
        metadata=None if rule is None else rule.metadata,
    )


def _judge_uncounted(planned: PlannedDescriptor) -> Status:
    if planned.rule is None:
        return Status(Code.OK, Result.UNMATCHED)
    if planned.rule.unlimited:
        return Status(Code.OK, Result.UNLIMITED, planned.title, remaining=None)
    return Status(Code.OK, Result.REPLACED, planned.title)


def _overall(plan: Plan, statuses: Sequence[Status], modes: Modes) -> Code:
    """Refuse when a descriptor that is no quota is over, or when all quotas are."""
    if modes.shadow:
        return Code.OK
    quotas: list[bool] = []
    for planned, status in zip(plan.descriptors, statuses, strict=True):
        over = status.code is Code.OVER_LIMIT
        if _is_quota(planned, status, modes):
            quotas.append(over)
        elif over:
            return Code.OVER_LIMIT
    return Code.OVER_LIMIT if quotas and all(quotas) else Code.OK


def _is_quota(planned: PlannedDescriptor, status: Status, modes: Modes) -> bool:
    """Tell whether a descriptor counts as a quota, also as one that is not over.

    As in the reference: with ``modes.quota`` every descriptor but an unlimited one, also one
    that no rule matched; else those whose quota rule has not been replaced.
    """
    if modes.quota:
        return status.result is not Result.UNLIMITED
    return planned.limit is not None and planned.rule is not None and planned.rule.quota_mode
