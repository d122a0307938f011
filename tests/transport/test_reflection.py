"""What people find who come without the .proto files."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.transport.serving import serving

BUF = Path(sys.executable).with_name("buf")
RATE_LIMIT = "envoy.service.ratelimit.v3.RateLimitService"
METHOD = f"{RATE_LIMIT}/ShouldRateLimit"
REQUEST = {"domain": "d", "descriptors": [{"entries": [{"key": "k", "value": "v"}]}]}


async def buf_curl(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(BUF, "curl", "--http2-prior-knowledge", "--protocol", "grpc"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    return out.decode()


async def test_services_and_methods_are_listed() -> None:
    async with serving() as served:
        services = await buf_curl("--list-services", f"http://{served.address}")
        methods = await buf_curl("--list-methods", f"http://{served.address}")

    assert set(services.split()) == {
        RATE_LIMIT,
        "ratelimit.v1.DecisionService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert METHOD in methods.split()


async def test_a_call_needs_no_proto_files() -> None:
    async with serving() as served:
        answer = await buf_curl("--data", json.dumps(REQUEST), f"http://{served.address}/{METHOD}")

    assert json.loads(answer)["overallCode"] == "OK"
