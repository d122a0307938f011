"""From what the counters say to the answer for a ShouldRateLimit call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ratelimit_service.core.limits import Limit
from ratelimit_service.core.measures import REQUESTS
from ratelimit_service.core.modes import Modes
from ratelimit_service.core.outcomes import Outcome
from ratelimit_service.core.planned import Charge, Plan, PlannedDescriptor
from ratelimit_service.core.rules import Metadata


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
class Status:
    """The answer for one descriptor.

    ``limit`` is the one of its limits that is nearest to refusing, None where no limit
    applies. ``remaining`` is what is left of it, and None where there is no bound;
    ``reset_in_us`` is None where it never resets by itself. ``wait_us`` is how long until one
    that is over has room, None where waiting does not help. ``metadata`` is the rule's, None
    where its limits were not asked.
    """

    code: Code
    result: Result
    title: str = ""
    limit: Limit | None = None
    remaining: int | None = 0
    reset_in_us: int | None = None
    metadata: Metadata | None = None
    wait_us: int | None = None


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
    statuses = tuple([_judge_descriptor(item, pending, modes) for item in plan.descriptors])
    return Decision(_overall(plan, statuses, modes), statuses)


def _judge_descriptor(
    planned: PlannedDescriptor, outcomes: Iterator[Outcome], modes: Modes
) -> Status:
    if not planned.limits:
        return _judge_uncounted(planned)
    if len(planned.limits) == 1:
        return _judge_limit(planned, 0, next(outcomes), modes)
    return _nearest_limit(
        [_judge_limit(planned, at, next(outcomes), modes) for at in range(len(planned.limits))]
    )


def _judge_limit(planned: PlannedDescriptor, at: int, outcome: Outcome, modes: Modes) -> Status:
    limit, rule = planned.limits[at], planned.rule
    most, counted = limit.cap.limit, outcome.counted
    over = counted > most or not outcome.fits
    wait_us = None
    if over:
        shadowed = limit.shadow_mode or (rule is not None and rule.shadow_mode)
        result = Result.SHADOWED if shadowed else Result.OVER
        wait_us = _wait_us(planned.charges[at], outcome)
    elif counted > most * modes.near_limit_ratio:
        result = Result.NEAR
    else:
        result = Result.WITHIN
    return Status(
        code=Code.OVER_LIMIT if result is Result.OVER else Code.OK,
        result=result,
        title=planned.title,
        limit=limit,
        remaining=max(0, most - counted),
        reset_in_us=outcome.reset_in_us,
        metadata=None if rule is None else rule.metadata,
        wait_us=wait_us,
    )


def _wait_us(charge: Charge, outcome: Outcome) -> int | None:
    if charge.terms.asks > charge.cap.limit and charge.counter.measure == REQUESTS:
        return None
    return outcome.reset_in_us if outcome.retry_in_us is None else outcome.retry_in_us


def _nearest_limit(statuses: Sequence[Status]) -> Status:
    """Return the status of the limit nearest to refusing; limits on trial come last."""
    nearest = min(statuses, key=_nearness)
    if nearest.code is Code.OK and any(one.result is Result.SHADOWED for one in statuses):
        return replace(nearest, result=Result.SHADOWED)
    return nearest


def _nearness(status: Status) -> tuple[bool, bool, float, float]:
    limit, wait_us = status.limit, status.wait_us
    share = (status.remaining or 0) / limit.most if limit is not None and limit.most else 0.0
    never = float("inf")
    wait = 0 if status.code is Code.OK else never if wait_us is None else wait_us
    return status.code is Code.OK, limit is not None and limit.shadow_mode, -wait, share


def _judge_uncounted(planned: PlannedDescriptor) -> Status:
    if planned.refused:
        return Status(Code.OVER_LIMIT, Result.UNMATCHED)
    if planned.unlimited:
        return Status(Code.OK, Result.UNLIMITED, planned.title, remaining=None)
    if planned.rule is None:
        return Status(Code.OK, Result.UNMATCHED)
    return Status(Code.OK, Result.REPLACED, planned.title)


def _overall(plan: Plan, statuses: Sequence[Status], modes: Modes) -> Code:
    """Refuse when a descriptor that is no quota is over, or when all quotas are."""
    if modes.shadow:
        return Code.OK
    if plan.missing is not None:
        return Code.OVER_LIMIT
    quotas: list[bool] = []
    for planned, status in zip(plan.descriptors, statuses, strict=True):
        over = status.code is Code.OVER_LIMIT
        if planned.is_quota(modes) and not planned.refused:
            quotas.append(over)
        elif over:
            return Code.OVER_LIMIT
    return Code.OVER_LIMIT if quotas and all(quotas) else Code.OK
