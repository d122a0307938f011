"""Names and numbers on the wire are those of the public protocol that gateways speak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from ratelimit_service.pb import (
    header_value_pb2,
    ratelimit_descriptor_pb2,
    ratelimit_unit_pb2,
    rls_pb2,
)

SERVICE: Final = "envoy.service.ratelimit.v3"
COMMON: Final = "envoy.extensions.common.ratelimit.v3"
RESPONSE: Final = f"{SERVICE}.RateLimitResponse"
LIMIT_UNITS: Final = {
    "UNKNOWN": 0,
    "SECOND": 1,
    "MINUTE": 2,
    "HOUR": 3,
    "DAY": 4,
    "MONTH": 5,
    "YEAR": 6,
}

MESSAGES: Final = {
    f"{SERVICE}.RateLimitRequest": [
        "1 domain string",
        f"2 descriptors repeated {COMMON}.RateLimitDescriptor",
        "3 hits_addend uint32",
    ],
    f"{COMMON}.RateLimitDescriptor": [
        f"1 entries repeated {COMMON}.RateLimitDescriptor.Entry",
        f"2 limit {COMMON}.RateLimitDescriptor.RateLimitOverride",
        "3 hits_addend google.protobuf.UInt64Value",
        "4 is_negative_hits bool",
    ],
    f"{COMMON}.RateLimitDescriptor.Entry": ["1 key string", "2 value string"],
    f"{COMMON}.RateLimitDescriptor.RateLimitOverride": [
        "1 requests_per_unit uint32",
        "2 unit envoy.type.v3.RateLimitUnit",
    ],
    RESPONSE: [
        f"1 overall_code {RESPONSE}.Code",
        f"2 statuses repeated {RESPONSE}.DescriptorStatus",
        "3 response_headers_to_add repeated envoy.config.core.v3.HeaderValue",
        "4 request_headers_to_add repeated envoy.config.core.v3.HeaderValue",
        "5 raw_body bytes",
        "6 dynamic_metadata google.protobuf.Struct",
        f"7 quota {RESPONSE}.Quota",
    ],
    f"{RESPONSE}.RateLimit": [
        "1 requests_per_unit uint32",
        f"2 unit {RESPONSE}.RateLimit.Unit",
        "3 name string",
    ],
    f"{RESPONSE}.DescriptorStatus": [
        f"1 code {RESPONSE}.Code",
        f"2 current_limit {RESPONSE}.RateLimit",
        "3 limit_remaining uint32",
        "4 duration_until_reset google.protobuf.Duration",
        f"5 quota {RESPONSE}.Quota",
    ],
    f"{RESPONSE}.Quota": [
        "1 requests uint32",
        "2 valid_until google.protobuf.Timestamp",
        "3 id string",
    ],
    "envoy.config.core.v3.HeaderValue": ["1 key string", "2 value string", "3 raw_value bytes"],
}
ENUMS: Final = {
    f"{RESPONSE}.Code": {"UNKNOWN": 0, "OK": 1, "OVER_LIMIT": 2},
    f"{RESPONSE}.RateLimit.Unit": {**LIMIT_UNITS, "WEEK": 7},
    "envoy.type.v3.RateLimitUnit": LIMIT_UNITS,
}
FILES: Final = (header_value_pb2, ratelimit_descriptor_pb2, ratelimit_unit_pb2, rls_pb2)


def messages() -> Iterator[Descriptor]:
    for file in FILES:
        for message in file.DESCRIPTOR.message_types_by_name.values():
            yield message
            yield from message.nested_types


def enums() -> Iterator[EnumDescriptor]:
    for file in FILES:
        yield from file.DESCRIPTOR.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def written(field: FieldDescriptor) -> str:
    """Write a field as ``number name type``."""
    named = field.message_type or field.enum_type
    kind = _SCALARS[field.type] if named is None else named.full_name
    return f"{field.number} {field.name} {'repeated ' if field.is_repeated else ''}{kind}"


_SCALARS: Final = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_UINT32: "uint32",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_the_fields_of_the_protocol(name: str) -> None:
    found = {message.full_name: message for message in messages()}

    assert [written(field) for field in found[name].fields] == MESSAGES[name]


def test_there_are_no_other_messages_and_enums() -> None:
    assert {message.full_name for message in messages()} == set(MESSAGES)
    assert {enum.full_name: dict(_values(enum)) for enum in enums()} == ENUMS


def _values(enum: EnumDescriptor) -> Iterator[tuple[str, int]]:
    for value in enum.values:
        yield value.name, value.number


def test_the_service_has_its_one_method() -> None:
    service = rls_pb2.DESCRIPTOR.services_by_name["RateLimitService"]
    (method,) = service.methods

    assert method.full_name == f"{SERVICE}.RateLimitService.ShouldRateLimit"
    assert (method.input_type.full_name, method.output_type.full_name) == (
        f"{SERVICE}.RateLimitRequest",
        RESPONSE,
    )
    assert not method.client_streaming
    assert not method.server_streaming


def test_a_quota_ends_at_one_kind_of_time() -> None:
    (choice,) = rls_pb2.RateLimitResponse.Quota.DESCRIPTOR.oneofs

    assert choice.name == "expiration_specifier"
    assert [field.name for field in choice.fields] == ["valid_until"]
