"""ShouldRateLimit over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import UInt64Value
from structlog.testing import capture_logs

from ratelimit_service.config.settings import Address, GrpcSettings, TcpAddress, UnixAddress
from ratelimit_service.core.headers import HeaderNames
from ratelimit_service.errors import (
    DeadlineExceededError,
    ListenError,
    OverloadedError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from ratelimit_service.pb import ratelimit_descriptor_pb2, rls_pb2, rls_pb2_grpc
from ratelimit_service.transport.rls import AnswerOptions, parse_message
from tests.transport.serving import (
    DEADLINE_S,
    LOOPBACK,
    BrokenStore,
    GatedStore,
    Setup,
    asking,
    build,
    calling,
    request,
    serving,
    until,
)

Code = grpc.StatusCode
METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
OK = rls_pb2.RateLimitResponse.OK
OVER_LIMIT = rls_pb2.RateLimitResponse.OVER_LIMIT


async def failing(call: Awaitable[object]) -> tuple[Code, str]:
    """Return the status and the text that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_a_limit_refuses_once_it_is_used_up() -> None:
    """F7."""
    async with serving() as served, calling(served) as stub:
        answers = [await stub.ShouldRateLimit(request()) for _ in range(3)]

    assert [answer.overall_code for answer in answers] == [OK, OK, OVER_LIMIT]
    assert [answer.statuses[0].limit_remaining for answer in answers] == [1, 0, 0]
    assert {answer.statuses[0].current_limit.requests_per_unit for answer in answers} == {2}
    # NOON_US is 40 seconds before the end of its minute.
    assert {answer.statuses[0].duration_until_reset.seconds for answer in answers} == {40}


async def test_a_peek_charges_nothing() -> None:
    peek = asking()
    peek.hits_addend.CopyFrom(UInt64Value(value=0))
    async with serving() as served, calling(served) as stub:
        answers = [await stub.ShouldRateLimit(request(peek, hits_addend=9)) for _ in range(5)]

    assert {answer.statuses[0].limit_remaining for answer in answers} == {2}


async def test_headers_and_dynamic_metadata_are_sent_where_they_are_asked_for() -> None:
    options = AnswerOptions(HeaderNames("L", "R", "T"), dynamic_metadata=True)
    async with serving(Setup(answers=options)) as served, calling(served) as stub:
        answers = [await stub.ShouldRateLimit(request()) for _ in range(3)]

    headers = [{h.key: h.value for h in answer.response_headers_to_add} for answer in answers]
    assert headers[1] == {"L": "2", "R": "0", "T": "40"}
    assert headers[2] == {"L": "2", "R": "0", "T": "40", "retry-after": "40"}
    assert answers[0].dynamic_metadata["domain"] == "d"


# --- errors ---------------------------------------------------------------------------------


def _with_unit(number: int) -> ratelimit_descriptor_pb2.RateLimitDescriptor:
    descriptor = asking()
    limit = ratelimit_descriptor_pb2.RateLimitDescriptor.RateLimitOverride
    descriptor.limit.CopyFrom(limit.FromString(bytes([0x08, 5, 0x10, number])))
    return descriptor


def _with_hits(hits: int) -> ratelimit_descriptor_pb2.RateLimitDescriptor:
    descriptor = asking()
    descriptor.hits_addend.CopyFrom(UInt64Value(value=hits))
    return descriptor


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (request(domain=""), "rate limit domain must not be empty"),
        (
            rls_pb2.RateLimitRequest(domain="d"),
            "rate limit descriptor list must not be empty",
        ),
        (
            request(_with_unit(0)),
            (
                "limit of descriptor 0 has unit UNKNOWN; "
                "it must be one of SECOND, MINUTE, HOUR, DAY, MONTH, YEAR"
            ),
        ),
        (
            request(asking(), _with_hits(2**53)),
            (
                "hits_addend of descriptor 1 is 9007199254740992, "
                "above the largest amount 9007199254740991"
            ),
        ),
    ],
)
async def test_bad_requests_are_refused_with_a_text_and_counted(
    message: rls_pb2.RateLimitRequest, text: str
) -> None:
    async with serving() as served, calling(served) as stub:
        assert await failing(stub.ShouldRateLimit(message)) == (Code.INVALID_ARGUMENT, text)

        assert served.errors("INVALID_ARGUMENT") == 1
        assert (await stub.ShouldRateLimit(request())).statuses[0].limit_remaining == 1


async def test_without_rules_there_is_no_decision() -> None:
    async with serving(Setup(rules=None)) as served, calling(served) as stub:
        assert await failing(stub.ShouldRateLimit(request())) == (
            Code.INVALID_ARGUMENT,
            "no rate limit configuration loaded",
        )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailableError("the store is away"), Code.UNAVAILABLE),
        (StoreTimeoutError("the store is away"), Code.UNAVAILABLE),
        (OverloadedError("the store is away"), Code.RESOURCE_EXHAUSTED),
    ],
)
async def test_errors_of_the_store_are_no_decision(error: Exception, code: Code) -> None:
    store = BrokenStore(error)
    async with serving(Setup(store=store)) as served, calling(served) as stub:
        assert await failing(stub.ShouldRateLimit(request())) == (code, "the store is away")
        assert served.errors(code.name) == 1

        store.error = None
        assert (await stub.ShouldRateLimit(request())).overall_code == OK


async def test_a_defect_is_logged_and_counted_and_the_next_call_is_answered() -> None:
    store = BrokenStore(ZeroDivisionError("a secret of a caller"))
    async with serving(Setup(store=store)) as served, calling(served) as stub:
        with capture_logs() as logs:
            ended = await failing(stub.ShouldRateLimit(request()))
        assert ended == (Code.INTERNAL, "internal error")
        assert [(entry["log_level"], entry["exc_info"]) for entry in logs] == [("error", True)]
        assert served.errors("INTERNAL") == 1

        store.error = None
        assert (await stub.ShouldRateLimit(request())).overall_code == OK


async def test_bytes_that_are_no_message_are_refused_and_counted() -> None:
    async with serving() as served, grpc.aio.insecure_channel(str(served.address)) as channel:
        raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        assert await failing(raw(b"\xff\xff\xff")) == (
            Code.INVALID_ARGUMENT,
            "the bytes are no RateLimitRequest",
        )
        assert served.errors("INVALID_ARGUMENT") == 1

        answer = rls_pb2.RateLimitResponse.FromString(await raw(request().SerializeToString()))
        assert answer.overall_code == OK


async def test_an_unknown_method_ends_its_call_alone() -> None:
    async with serving() as served, grpc.aio.insecure_channel(str(served.address)) as channel:
        raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{METHOD}s")
        code, _ = await failing(raw(b""))

    assert code is Code.UNIMPLEMENTED


async def test_a_message_that_is_too_large_ends_its_call_alone() -> None:
    async with serving() as served, calling(served) as stub:
        code, _ = await failing(stub.ShouldRateLimit(request(asking(value="x" * 2_000_000))))
        assert code is Code.RESOURCE_EXHAUSTED
        assert (await stub.ShouldRateLimit(request())).overall_code == OK


async def test_calls_beyond_the_bound_are_refused_at_once() -> None:
    store = GatedStore()
    setup = Setup(store=store, max_under_way=2)
    async with serving(setup) as served, calling(served) as stub:
        first = [asyncio.ensure_future(_answer(stub.ShouldRateLimit(request()))) for _ in range(2)]
        await until(lambda: store.waiting == 2)

        assert await failing(stub.ShouldRateLimit(request())) == (
            Code.RESOURCE_EXHAUSTED,
            "too many calls under way",
        )
        store.gate.set()
        assert [(await call).overall_code for call in first] == [OK, OK]
        assert (await stub.ShouldRateLimit(request())).overall_code == OVER_LIMIT


# --- deadlines ------------------------------------------------------------------------------


async def test_the_store_is_given_what_is_left_of_the_callers_deadline() -> None:
    store = GatedStore()
    store.gate.set()
    async with serving(Setup(store=store)) as served, calling(served) as stub:
        await stub.ShouldRateLimit(request(), timeout=3)
        await stub.ShouldRateLimit(request(), timeout=3600)
        await stub.ShouldRateLimit(request())

    # gRPC rounds deadlines up on the wire and takes them from one clock to another, so that a
    # few milliseconds more than 3 seconds may be left; far from the 5 that the service gives.
    assert 0 < store.timeouts_s[0] < 4
    assert store.timeouts_s[1:] == [5, 5]


async def test_a_call_that_came_too_late_charges_nothing() -> None:
    async with serving() as served, calling(served) as stub:
        with pytest.raises(DeadlineExceededError):
            await served.endpoint.answer(b"", parse_message, 0.0)

        assert served.errors("DEADLINE_EXCEEDED") == 1
        assert (await stub.ShouldRateLimit(request())).statuses[0].limit_remaining == 1


async def test_a_caller_that_gives_up_disturbs_no_other() -> None:
    """F32, F56."""
    store = GatedStore()
    async with serving(Setup(store=store)) as served, calling(served) as stub:
        code, _ = await failing(stub.ShouldRateLimit(request(), timeout=0.05))
        assert code is Code.DEADLINE_EXCEEDED
        await until(lambda: store.waiting == 0)

        store.gate.set()
        assert (await stub.ShouldRateLimit(request())).overall_code == OK


# --- addresses and connections --------------------------------------------------------------


async def test_a_unix_socket(tmp_path: Path) -> None:
    address = UnixAddress(tmp_path / "rls.sock")
    async with serving(Setup(grpc=GrpcSettings(address))) as served, calling(served) as stub:
        assert served.address == address
        assert (await stub.ShouldRateLimit(request())).overall_code == OK

    assert not address.path.exists()


async def test_a_taken_port_is_an_error_and_disturbs_nobody() -> None:
    async with serving() as served, calling(served) as stub:
        address = served.address
        with pytest.raises(ListenError, match=f"cannot listen on {address}: Address already"):
            await build(Setup(grpc=GrpcSettings(address))).server.start()

        assert (await stub.ShouldRateLimit(request())).overall_code == OK


async def test_old_connections_are_ended_without_failing_a_call() -> None:
    settings = GrpcSettings(LOOPBACK, max_connection_age_s=0.2, max_connection_age_grace_s=10)
    setup = Setup(grpc=settings)
    async with serving(setup) as served, grpc.aio.insecure_channel(str(served.address)) as channel:
        stub = rls_pb2_grpc.RateLimitServiceStub(channel)
        await stub.ShouldRateLimit(request())
        async with asyncio.timeout(DEADLINE_S):
            while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(state)

        assert (await stub.ShouldRateLimit(request())).statuses[0].limit_remaining == 0


@pytest.mark.slow
async def test_gateways_may_ping_every_ten_seconds_without_calling() -> None:
    """A server that takes this for abuse ends the connection with the third ping."""
    options = [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with (
        serving() as served,
        grpc.aio.insecure_channel(str(served.address), options=options) as channel,
    ):
        stub = rls_pb2_grpc.RateLimitServiceStub(channel)
        await stub.ShouldRateLimit(request())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                channel.wait_for_state_change(grpc.ChannelConnectivity.READY), timeout=65
            )

        assert (await stub.ShouldRateLimit(request())).overall_code == OK


async def test_stopping_lets_calls_under_way_finish_and_takes_no_more() -> None:
    """F57."""
    store = GatedStore()
    served = build(Setup(store=store))
    await served.server.start()
    async with calling(served) as stub, calling(served) as late:
        slow = asyncio.ensure_future(_answer(stub.ShouldRateLimit(request())))
        await until(lambda: store.waiting == 1)
        stopping = asyncio.create_task(served.server.stop())
        await until(lambda: not _accepts(served.address))

        code, _ = await failing(late.ShouldRateLimit(request(), timeout=5))
        assert code is Code.UNAVAILABLE
        assert not stopping.done()

        store.gate.set()
        assert (await slow).overall_code == OK
        await stopping


async def _answer(call: Awaitable[rls_pb2.RateLimitResponse]) -> rls_pb2.RateLimitResponse:
    return await call


def _accepts(address: Address) -> bool:
    assert isinstance(address, TcpAddress)
    with socket.socket() as probe:
        return probe.connect_ex((address.host, address.port)) == 0
