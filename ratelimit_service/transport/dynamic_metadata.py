"""What a response tells the filters after the rate-limit filter: RESPONSE_DYNAMIC_METADATA."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from ratelimit_service.core.judge import Decision
from ratelimit_service.core.metadata import passed_metadata
from ratelimit_service.core.model import Descriptor, Override, RateLimitRequest
from ratelimit_service.core.rules import MetadataValue


def encode_dynamic_metadata(request: RateLimitRequest, decision: Decision) -> Struct:
    """Repeat the request, and add the metadata of the rules that passed.

    The fields are the reference's: ``domain``, ``descriptors`` (each with ``entries`` as
    "key=value", and ``limit`` and ``hitsAddend`` where the caller sent them), ``hitsAddend``
    where it is not 0, and ``metadata`` where there is any.
    """
    fields: dict[str, MetadataValue] = {
        "domain": request.domain,
        "descriptors": [_describe(descriptor) for descriptor in request.descriptors],
    }
    if request.hits:
        fields["hitsAddend"] = request.hits
    metadata = passed_metadata(decision.statuses)
    if metadata:
        fields["metadata"] = metadata
    message = Struct()
    message.update(fields)
    return message


def _describe(descriptor: Descriptor) -> dict[str, MetadataValue]:
    fields: dict[str, MetadataValue] = {
        "entries": [f"{entry.key}={entry.value}" for entry in descriptor.entries]
    }
    if descriptor.override is not None:
        fields["limit"] = _in_text_format(descriptor.override)
    if descriptor.hits is not None:
        fields["hitsAddend"] = descriptor.hits
    return fields


def _in_text_format(override: Override) -> str:
    """Write a limit as protobuf's text format does, which leaves out a 0."""
    amount = f"requests_per_unit:{override.amount} " if override.amount else ""
    return f"{amount}unit:{override.unit.name}"
