"""Dynamic metadata, in the reference's shape."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from ratelimit_service.core.judge import Code, Decision, Result, Status
from ratelimit_service.core.model import Descriptor, Entry, Override, RateLimitRequest
from ratelimit_service.core.rules import Metadata
from ratelimit_service.core.units import Unit
from ratelimit_service.transport.dynamic_metadata import encode_dynamic_metadata

ENTRIES = (Entry("a", "1"), Entry("b", "x=y"))
AS_TEXT = ["a=1", "b=x=y"]
METADATA: Metadata = {"s": "t", "n": 1.5, "b": True, "z": None, "l": [1, {"k": "v"}], "m": {"x": 1}}


@pytest.mark.parametrize(
    ("asked", "described"),
    [
        pytest.param(Descriptor(ENTRIES), {"entries": AS_TEXT}, id="01 entries only"),
        pytest.param(Descriptor(()), {"entries": []}, id="02 no entries"),
        pytest.param(
            Descriptor(ENTRIES, hits=0), {"entries": AS_TEXT, "hitsAddend": 0}, id="03 hits of 0"
        ),
        pytest.param(
            Descriptor(ENTRIES, hits=7), {"entries": AS_TEXT, "hitsAddend": 7}, id="04 hits"
        ),
        pytest.param(
            Descriptor(ENTRIES, override=Override(5, Unit.HOUR)),
            {"entries": AS_TEXT, "limit": "requests_per_unit:5 unit:HOUR"},
            id="05 a limit of the caller",
        ),
        pytest.param(
            Descriptor(ENTRIES, override=Override(0, Unit.DAY)),
            {"entries": AS_TEXT, "limit": "unit:DAY"},
            id="06 a limit of 0",
        ),
    ],
)
def test_a_descriptor(asked: Descriptor, described: dict[str, object]) -> None:
    decision = Decision(Code.OK, (Status(Code.OK, Result.UNMATCHED),))

    message = encode_dynamic_metadata(RateLimitRequest("d", (asked,)), decision)

    assert MessageToDict(message) == {"domain": "d", "descriptors": [described]}


def test_the_whole() -> None:
    asked = (Descriptor(ENTRIES), Descriptor((Entry("c", "3"),)))
    statuses = (
        Status(Code.OVER_LIMIT, Result.OVER, metadata={"s": "of the one that is over"}),
        Status(Code.OK, Result.WITHIN, metadata=METADATA),
    )

    message = encode_dynamic_metadata(
        RateLimitRequest("d", asked, hits=3), Decision(Code.OVER_LIMIT, statuses)
    )

    assert MessageToDict(message) == {
        "domain": "d",
        "descriptors": [{"entries": AS_TEXT}, {"entries": ["c=3"]}],
        "hitsAddend": 3,
        "metadata": METADATA,
    }
