"""ShouldRateLimit as JSON: what goes in and what comes out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_service.errors import OverloadedError, StoreUnavailableError
from ratelimit_service.transport.json_rls import JsonRateLimit
from tests.transport.serving import BrokenStore, Setup, build

ENTRY = {"key": "k", "value": "v"}
DESCRIPTOR: dict[str, object] = {"entries": [ENTRY]}
REQUEST: dict[str, object] = {"domain": "d", "descriptors": [DESCRIPTOR]}


def edge(setup: Setup | None = None) -> JsonRateLimit:
    return JsonRateLimit(build(setup or Setup()).endpoint)


async def ask(json_edge: JsonRateLimit, document: object) -> tuple[int, dict[str, object]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = await json_edge.decide_json(body)
    return answer.status, json.loads(answer.body)


async def test_allowed_then_refused() -> None:
    json_edge = edge()
    answers = [await ask(json_edge, REQUEST) for _ in range(3)]

    limit = {"requestsPerUnit": 2, "unit": "MINUTE"}
    assert answers[0] == (
        200,
        {
            "overallCode": "OK",
            "statuses": [
                {
                    "code": "OK",
                    "currentLimit": limit,
                    "limitRemaining": 1,
                    "durationUntilReset": "40s",
                }
            ],
        },
    )
    assert answers[2] == (
        429,
        {
            "overallCode": "OVER_LIMIT",
            "statuses": [
                {"code": "OVER_LIMIT", "currentLimit": limit, "durationUntilReset": "40s"}
            ],
        },
    )


@pytest.mark.parametrize(
    ("change", "remaining"),
    [
        pytest.param({"hitsAddend": 2}, 0, id="01 a number"),
        pytest.param({"hitsAddend": "2"}, 0, id="02 a number as text"),
        pytest.param({"hitsAddend": 2.0}, 0, id="03 a whole number with a point"),
        pytest.param({"hits_addend": 2}, 0, id="04 the name in the .proto file"),
        pytest.param({"hitsAddend": 0}, 1, id="05 0 stands for 1"),
        pytest.param({"hitsAddend": None}, 1, id="06 null is absent"),
        pytest.param({"descriptors": [DESCRIPTOR | {"hitsAddend": "0"}]}, 2, id="07 a peek"),
        pytest.param({"descriptors": [DESCRIPTOR | {"hitsAddend": 0}]}, 2, id="08 a peek again"),
        pytest.param({"descriptors": [DESCRIPTOR | {"hitsAddend": "2"}]}, 0, id="09 64 bits"),
        pytest.param({"descriptors": [DESCRIPTOR | {"isNegativeHits": True}]}, 2, id="10 a refund"),
    ],
)
async def test_what_can_be_written(change: dict[str, object], remaining: int) -> None:
    status, answer = await ask(edge(), REQUEST | change)

    assert status == 200
    statuses = answer["statuses"]
    assert isinstance(statuses, list)
    assert statuses[0].get("limitRemaining", 0) == remaining


def _limit(**limit: object) -> dict[str, object]:
    return {"descriptors": [DESCRIPTOR | {"limit": limit}]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="01 nothing"),
        pytest.param(b"no json", id="02 no JSON"),
        pytest.param(b'{"domain": "d"', id="03 cut off"),
        pytest.param(b"\xff\xfe", id="04 no UTF-8"),
        pytest.param(b"[]", id="05 a list"),
        pytest.param(b"null", id="06 null"),
        pytest.param(b"7", id="07 a number"),
        pytest.param(b'"text"', id="08 a text"),
        pytest.param(b"{}", id="09 no domain"),
        pytest.param(b'{"domain": "d"}', id="10 no descriptors"),
        pytest.param(b'{"domain": "d", "domain": "d"}', id="11 a name twice"),
        pytest.param(b"[" * 100_000, id="12 too deep to be parsed"),
        pytest.param(b'{"a":' * 500 + b"1" + b"}" * 500, id="13 too deep for a message"),
        pytest.param(b'{"domain": "\\ud800"}', id="14 half a character"),
        pytest.param({"domain": 5}, id="15 a number for a text"),
        pytest.param({"descriptors": {}}, id="16 a map for a list"),
        pytest.param({"descriptors": [None]}, id="17 null in a list"),
        pytest.param({"unknown": 1}, id="18 an unknown field"),
        pytest.param({"hitsAddend": -1}, id="19 negative (F24)"),
        pytest.param({"hitsAddend": 1.5}, id="20 a fraction (F24)"),
        pytest.param({"hitsAddend": 2**32}, id="21 too large for 32 bits (F24)"),
        pytest.param({"hitsAddend": float("nan")}, id="22 NaN (F24)"),
        pytest.param({"hitsAddend": float("inf")}, id="23 infinite (F24)"),
        pytest.param({"hitsAddend": True}, id="24 a boolean for a number"),
        pytest.param({"hitsAddend": "1e400"}, id="25 a huge number in a text (F24)"),
        pytest.param({"hitsAddend": "9" * 5000}, id="26 more digits than are parsed (F24)"),
        pytest.param({"descriptors": [DESCRIPTOR | {"hitsAddend": 2**64}]}, id="27 above 64 bits"),
        pytest.param({"descriptors": [DESCRIPTOR | {"hitsAddend": 2**53}]}, id="28 not countable"),
        pytest.param(_limit(requestsPerUnit=5), id="29 a limit without a unit"),
        pytest.param(_limit(requestsPerUnit=5, unit="UNKNOWN"), id="30 the unit UNKNOWN"),
        pytest.param(_limit(requestsPerUnit=5, unit="FORTNIGHT"), id="31 no unit"),
        pytest.param(_limit(requestsPerUnit=5, unit=99), id="32 the number of no unit"),
    ],
)
async def test_what_cannot_be_decided_is_a_400_that_says_why(
    body: bytes | dict[str, object],
) -> None:
    status, answer = await ask(edge(), body if isinstance(body, bytes) else REQUEST | body)

    assert status == 400
    assert answer["code"] == "INVALID_ARGUMENT"
    assert 10 < len(str(answer["message"])) < 400


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailableError("away"), 503, "UNAVAILABLE"),
        (OverloadedError("full"), 503, "RESOURCE_EXHAUSTED"),
        (ZeroDivisionError("a secret"), 500, "INTERNAL"),
    ],
)
async def test_errors_have_their_http_status(error: Exception, status: int, code: str) -> None:
    found, answer = await ask(edge(Setup(store=BrokenStore(error))), REQUEST)

    assert found == status
    assert answer["code"] == code
    assert "secret" not in str(answer["message"])


async def test_a_body_that_cannot_be_read_is_counted() -> None:
    served = build(Setup())

    await JsonRateLimit(served.endpoint).decide_json(b"no json")

    assert served.errors("INVALID_ARGUMENT") == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["domain", "descriptors", "hitsAddend", "entries", "key", "value", "limit", "unit"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
async def test_every_json_document_is_answered(document: object) -> None:
    answer = await edge().decide_json(json.dumps(document).encode())

    assert answer.status in {200, 400}
    json.loads(answer.body)
