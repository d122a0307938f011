"""Calls of grpc.health.v1, whose stubs have no types for asyncio."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2

_Request = health_pb2.HealthCheckRequest
_Response = health_pb2.HealthCheckResponse


async def check(channel: grpc.aio.Channel, name: str = "") -> int:
    """Ask once."""
    call: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=_Request.SerializeToString,
        response_deserializer=_Response.FromString,
    )
    return (await call(_Request(service=name))).status


def watching(
    channel: grpc.aio.Channel, name: str = ""
) -> grpc.aio.UnaryStreamCall[_Request, _Response]:
    """Open a stream of changes."""
    call: grpc.aio.UnaryStreamMultiCallable[_Request, _Response] = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=_Request.SerializeToString,
        response_deserializer=_Response.FromString,
    )
    return call(_Request(service=name))
