"""From the answers of reservations to the messages of ratelimit.v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ratelimit_service.core.judge import Code
from ratelimit_service.core.refusal import Reason, Refusal
from ratelimit_service.core.reservation_answers import Admission, Extension, Settlement, Stage
from ratelimit_service.core.statuses import DescriptorStatus, LimitStatus
from ratelimit_service.pb import decision_pb2 as pb
from ratelimit_service.transport.durations import duration, timestamp

_CODES: Final = {Code.OK: pb.OK, Code.OVER_LIMIT: pb.OVER_LIMIT}

_STATES: Final = {
    Stage.OPEN: pb.OPEN,
    Stage.SETTLED: pb.SETTLED,
    Stage.EXPIRED: pb.EXPIRED,
}

_REASONS: Final = {reason: pb.Refusal.Reason.Value(reason.value) for reason in Reason}


def encode_admission(admission: Admission) -> pb.CheckAndIncrementByNResponse:
    """Write the answer to CheckAndIncrementByN."""
    message = pb.CheckAndIncrementByNResponse(
        overall_code=_CODES[admission.code],
        granted={amount.measure: amount.amount for amount in admission.granted},
        statuses=_statuses(admission.statuses),
        headers=[pb.Header(key=header.name, value=header.value) for header in admission.headers],
        http_body=admission.http_body,
    )
    standing = admission.standing
    if standing is not None:
        message.reservation_id = standing.reservation_id
        message.state = _STATES[standing.stage]
        message.expires_at.CopyFrom(timestamp(standing.expires_at_us))
    if admission.refusal is not None:
        message.refusal.CopyFrom(_refusal(admission.refusal))
    return message


def encode_settlement(settlement: Settlement) -> pb.ReconcileResponse:
    """Write the answer to Reconcile."""
    return pb.ReconcileResponse(
        state=_STATES[settlement.stage], statuses=_statuses(settlement.statuses)
    )


def encode_extension(extension: Extension) -> pb.ExtendResponse:
    """Write the answer to Extend."""
    message = pb.ExtendResponse(
        overall_code=_CODES[extension.code], statuses=_statuses(extension.statuses)
    )
    if extension.expires_at_us is not None:
        message.expires_at.CopyFrom(timestamp(extension.expires_at_us))
    if extension.refusal is not None:
        message.refusal.CopyFrom(_refusal(extension.refusal))
    return message


def encode_usage(statuses: Iterable[DescriptorStatus]) -> pb.GetUsageResponse:
    """Write the answer to GetUsage."""
    return pb.GetUsageResponse(statuses=_statuses(statuses))


def _statuses(statuses: Iterable[DescriptorStatus]) -> list[pb.DescriptorStatus]:
    return [
        pb.DescriptorStatus(
            code=_CODES[status.code], limits=[_limit(limit) for limit in status.limits]
        )
        for status in statuses
    ]


def _limit(status: LimitStatus) -> pb.LimitStatus:
    reset_us = status.until_reset_us
    return pb.LimitStatus(
        name=status.name,
        measure=status.measure,
        algorithm=status.algorithm,
        code=_CODES[status.code],
        limit=status.limit,
        used=status.used,
        held=status.held,
        remaining=status.remaining,
        until_reset=None if reset_us is None else duration(reset_us),
    )


def _refusal(refusal: Refusal) -> pb.Refusal:
    retry_us, reset_us = refusal.retry_after_us, refusal.reset_at_us
    return pb.Refusal(
        descriptor_index=refusal.descriptor_index,
        limit_name=refusal.limit_name,
        measure=refusal.measure,
        limit=refusal.limit,
        used=refusal.used,
        held=refusal.held,
        requested=refusal.requested,
        retry_after=None if retry_us is None else duration(retry_us),
        reset_at=None if reset_us is None else timestamp(reset_us),
        reason=_REASONS[refusal.reason],
    )
