"""The wire messages, field by field."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import UInt64Value
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.core.headers import Header
from ratelimit_service.core.judge import Code, Decision, Result, Status
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Descriptor, Entry, Override, RateLimitRequest
from ratelimit_service.core.units import Unit
from ratelimit_service.errors import InvalidRequestError
from ratelimit_service.pb import ratelimit_descriptor_pb2, rls_pb2
from ratelimit_service.transport.codec import decode_request, encode_decision

Message = ratelimit_descriptor_pb2.RateLimitDescriptor
Wire = rls_pb2.RateLimitResponse
MAX = 2**32 - 1


def decoded(message: Message) -> Descriptor:
    (descriptor,) = decode_request(rls_pb2.RateLimitRequest(descriptors=[message])).descriptors
    return descriptor


# --- requests -------------------------------------------------------------------------------


def test_a_request_keeps_its_order_and_its_hits() -> None:
    message = rls_pb2.RateLimitRequest(
        domain="d",
        descriptors=[
            Message(entries=[Message.Entry(key="a", value="1"), Message.Entry(key="b", value="")]),
            Message(),
        ],
        hits_addend=MAX,
    )

    assert decode_request(message) == RateLimitRequest(
        "d", (Descriptor((Entry("a", "1"), Entry("b", ""))), Descriptor(())), MAX
    )


@pytest.mark.parametrize(
    ("message", "hits", "refund"),
    [
        pytest.param(Message(), None, False, id="01 absent"),
        pytest.param(Message(hits_addend=UInt64Value()), 0, False, id="02 0 is not absent"),
        pytest.param(Message(hits_addend=UInt64Value(value=7)), 7, False, id="03 given"),
        pytest.param(
            Message(hits_addend=UInt64Value(value=2**64 - 1)), 2**64 - 1, False, id="04 the most"
        ),
        pytest.param(Message(is_negative_hits=True), None, True, id="05 a refund of the request's"),
        pytest.param(
            Message(hits_addend=UInt64Value(value=7), is_negative_hits=True), 7, True, id="06 own"
        ),
    ],
)
def test_hits_of_a_descriptor(message: Message, hits: int | None, refund: bool) -> None:
    descriptor = decoded(message)

    assert (descriptor.hits, descriptor.refund) == (hits, refund)


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        (1, Unit.SECOND),
        (2, Unit.MINUTE),
        (3, Unit.HOUR),
        (4, Unit.DAY),
        (5, Unit.MONTH),
        (6, Unit.YEAR),
    ],
)
@pytest.mark.parametrize("amount", [0, 1, MAX])
def test_a_limit_of_the_caller(number: int, unit: Unit, amount: int) -> None:
    limit = Message.RateLimitOverride.FromString(
        Message.RateLimitOverride(requests_per_unit=amount).SerializeToString()
        + bytes([0x10, number])
    )

    assert decoded(Message(limit=limit)).override == Override(amount, unit)


@pytest.mark.parametrize(("number", "said"), [(0, "unit UNKNOWN"), (7, "unit 7"), (99, "unit 99")])
def test_a_limit_without_a_known_unit_is_refused_by_place(number: int, said: str) -> None:
    limit = Message.RateLimitOverride.FromString(bytes([0x08, 5, 0x10, number]))
    message = rls_pb2.RateLimitRequest(descriptors=[Message(), Message(limit=limit)])

    with pytest.raises(InvalidRequestError) as caught:
        decode_request(message)

    assert str(caught.value) == (
        f"limit of descriptor 1 has {said}; "
        "it must be one of SECOND, MINUTE, HOUR, DAY, MONTH, YEAR"
    )


def test_an_empty_limit_is_a_limit_without_a_unit() -> None:
    with pytest.raises(InvalidRequestError, match="limit of descriptor 0 has unit UNKNOWN"):
        decoded(Message(limit=Message.RateLimitOverride()))


@given(st.binary(max_size=64))
def test_any_message_is_read_or_refused(content: bytes) -> None:
    """F24."""
    try:
        message = rls_pb2.RateLimitRequest.FromString(content)
    except DecodeError:  # refused before it gets here
        return
    try:
        request = decode_request(message)
    except InvalidRequestError:
        return
    assert len(request.descriptors) == len(message.descriptors)


# --- answers --------------------------------------------------------------------------------


def status(limit: Limit, remaining: int, reset_in_us: int, code: Code = Code.OK) -> Status:
    return Status(code, Result.WITHIN, "t", limit, remaining, reset_in_us)


@pytest.mark.parametrize(
    ("given_status", "written"),
    [
        pytest.param(
            status(Limit.per(10, Unit.MINUTE, "n"), 4, 30_000_000),
            {
                "code": "OK",
                "currentLimit": {"requestsPerUnit": 10, "unit": "MINUTE", "name": "n"},
                "limitRemaining": 4,
                "durationUntilReset": "30s",
            },
            id="01 within",
        ),
        pytest.param(
            status(Limit.per(10, Unit.WEEK), 0, 30_000_001, Code.OVER_LIMIT),
            {
                "code": "OVER_LIMIT",
                "currentLimit": {"requestsPerUnit": 10, "unit": "WEEK"},
                "durationUntilReset": "31s",
            },
            id="02 over; seconds go up",
        ),
        pytest.param(
            status(Limit.per(0, Unit.SECOND), 0, 1),
            {"code": "OK", "currentLimit": {"unit": "SECOND"}, "durationUntilReset": "1s"},
            id="03 a limit of 0; at least a second until its reset",
        ),
        pytest.param(
            status(Limit.per(MAX, Unit.YEAR), MAX, 31_536_000_000_000),
            {
                "code": "OK",
                "currentLimit": {"requestsPerUnit": MAX, "unit": "YEAR"},
                "limitRemaining": MAX,
                "durationUntilReset": "31536000s",
            },
            id="04 the most that fits",
        ),
        pytest.param(
            status(Limit.per(MAX + 1, Unit.DAY), MAX + 1, 1_000_000),
            {
                "code": "OK",
                "currentLimit": {"requestsPerUnit": MAX, "unit": "DAY"},
                "limitRemaining": MAX,
                "durationUntilReset": "1s",
            },
            id="05 what does not fit is clamped",
        ),
        pytest.param(
            status(Limit.per(2**53 - 1, Unit.DAY), 5, 1_000_000),
            {
                "code": "OK",
                "currentLimit": {"requestsPerUnit": MAX, "unit": "DAY"},
                "limitRemaining": 5,
                "durationUntilReset": "1s",
            },
            id="06 each field for itself",
        ),
        pytest.param(
            Status(Code.OK, Result.UNLIMITED, "t", remaining=None),
            {"code": "OK", "limitRemaining": MAX},
            id="07 unlimited",
        ),
        pytest.param(Status(Code.OK, Result.UNMATCHED), {"code": "OK"}, id="08 unmatched is bare"),
        pytest.param(
            Status(Code.OK, Result.REPLACED, "t"), {"code": "OK"}, id="09 replaced is bare"
        ),
    ],
)
def test_a_status(given_status: Status, written: dict[str, object]) -> None:
    message = encode_decision(Decision(Code.OK, (given_status,)))

    assert message == ParseDict({"overallCode": "OK", "statuses": [written]}, Wire())


@pytest.mark.parametrize("unit", list(Unit))
def test_units_have_their_names_on_the_wire(unit: Unit) -> None:
    message = encode_decision(Decision(Code.OK, (status(Limit.per(1, unit), 1, 1),)))

    assert Wire.RateLimit.Unit.Name(message.statuses[0].current_limit.unit) == unit.name


def test_statuses_keep_their_order_and_headers_theirs() -> None:
    statuses = tuple(status(Limit.per(10, Unit.MINUTE), left, 1_000_000) for left in (3, 1, 2))
    headers = (Header("B", "2"), Header("A", "1"))

    message = encode_decision(Decision(Code.OVER_LIMIT, statuses), headers)

    assert message.overall_code == Wire.OVER_LIMIT
    assert [item.limit_remaining for item in message.statuses] == [3, 1, 2]
    assert [(item.key, item.value) for item in message.response_headers_to_add] == [
        ("B", "2"),
        ("A", "1"),
    ]
    assert not message.request_headers_to_add
    assert not message.raw_body
    assert not message.HasField("dynamic_metadata")
