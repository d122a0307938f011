"""A gRPC server of the same kind that decides nothing: the most that could be reached.

Usage: python -m tests.bench.noop_server PORT
"""

from __future__ import annotations

import sys

import grpc.aio
import uvloop

from ratelimit_service.pb import rls_pb2, rls_pb2_grpc


class NoopService(rls_pb2_grpc.RateLimitServiceServicer):
    """Parses every request and allows it, with as many statuses as it has descriptors."""

    async def ShouldRateLimit(  # noqa: N802 - named by the protocol
        self,
        request: rls_pb2.RateLimitRequest,
        context: grpc.aio.ServicerContext[rls_pb2.RateLimitRequest, rls_pb2.RateLimitResponse],
    ) -> rls_pb2.RateLimitResponse:
        """Answer OK."""
        del context
        code = rls_pb2.RateLimitResponse.OK
        status = rls_pb2.RateLimitResponse.DescriptorStatus(code=code)
        return rls_pb2.RateLimitResponse(
            overall_code=code, statuses=[status] * len(request.descriptors)
        )


async def serve(port: int) -> None:
    """Serve on loopback until the process ends."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    rls_pb2_grpc.add_RateLimitServiceServicer_to_server(NoopService(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
