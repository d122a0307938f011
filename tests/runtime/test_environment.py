"""What the reference's variables do to a service that runs with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.config.settings import Address
from ratelimit_service.pb import rls_pb2, rls_pb2_grpc
from ratelimit_service.runtime.service import Service, running
from tests.support.certificates import Authority
from tests.support.cluster import Cluster
from tests.support.ports import free_port
from tests.support.sentinels import SENTINEL_SERVICE, Sentinels
from tests.support.valkey import Standalone
from tests.transport.serving import DEADLINE_S, until

# An answer in protobuf's JSON mapping.
Answer: TypeAlias = dict[str, Any]

LOOPBACK: Final = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "GRPC_HOST": "127.0.0.1",
    "GRPC_PORT": "0",
    "DEBUG_PORT": "0",
}
# A year, so that no window ends between two calls of a test.
RULES: Final = """
domain: d
descriptors:
  - {key: k, metadata: {tier: gold}, rate_limit: {unit: year, requests_per_unit: 10}}
  - {key: one, rate_limit: {unit: year, requests_per_unit: 1}}
  - {key: two, rate_limit: {unit: year, requests_per_unit: 2}}
"""


class Caller:
    """Calls a service that runs in this process."""

    def __init__(self, service: Service, channel: grpc.aio.Channel) -> None:
        self.service = service
        self._stub = rls_pb2_grpc.RateLimitServiceStub(channel)

    async def ask(self, *keys: str, hits: int | None = None) -> Answer:
        """Ask for descriptors of one entry each."""
        own = {} if hits is None else {"hits_addend": hits}
        descriptors = [{"entries": [{"key": key, "value": "v"}], **own} for key in keys]
        document = {"domain": "d", "descriptors": descriptors}
        message = ParseDict(document, rls_pb2.RateLimitRequest())
        return MessageToDict(await self._stub.ShouldRateLimit(message, timeout=DEADLINE_S))

    async def get(self, path: str) -> tuple[int, str]:
        """GET a path of the HTTP address."""
        url = f"http://{self.service.http_address}{path}"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return response.status, await response.text()


@asynccontextmanager
async def serving(
    environment: Mapping[str, str], channel: grpc.ChannelCredentials | None = None
) -> AsyncIterator[Caller]:
    """Run a service with nothing but these variables."""
    async with running(load_settings(Flags(), {**LOOPBACK, **environment})) as service:
        target = str(service.grpc_address)
        async with (
            grpc.aio.insecure_channel(target)
            if channel is None
            else grpc.aio.secure_channel(target, channel)
        ) as opened:
            yield Caller(service, opened)


@pytest.fixture
def root(tmp_path: Path) -> dict[str, str]:
    """A runtime root with rule files, and the variable that names it."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "d.yaml").write_text(RULES)
    return {"RUNTIME_ROOT": str(tmp_path)}


async def codes(caller: Caller, *keys: str, calls: int) -> list[str]:
    return [(await caller.ask(*keys))["overallCode"] for _ in range(calls)]


async def test_rules_come_from_the_runtime_root(root: dict[str, str]) -> None:
    async with serving(root) as caller:
        assert await codes(caller, "one", calls=2) == ["OK", "OVER_LIMIT"]


@pytest.mark.parametrize(
    ("path", "environment"),
    [
        ("sub/config/d.yaml", {"RUNTIME_SUBDIRECTORY": "sub"}),
        ("limits/d.yaml", {"RUNTIME_APPDIRECTORY": "limits"}),
        ("config.d.yaml", {}),
        ("config/.d.yaml", {"RUNTIME_IGNOREDOTFILES": "false"}),
    ],
)
async def test_rules_are_found_where_the_variables_say(
    tmp_path: Path, path: str, environment: dict[str, str]
) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(RULES)

    async with serving({"RUNTIME_ROOT": str(tmp_path), **environment}) as caller:
        assert (await caller.ask("k"))["statuses"][0]["limitRemaining"] == 9


async def test_files_beside_the_folder_and_dotfiles_are_left_out_where_asked(
    root: dict[str, str], tmp_path: Path
) -> None:
    for name in ("config.e.yaml", "config/.e.yaml"):
        (tmp_path / name).write_text("domain: d\n")
    environment = {"RUNTIME_WATCH_ROOT": "false", "RUNTIME_IGNOREDOTFILES": "true"}

    async with serving(root | environment) as caller:  # else the domain would be there twice
        assert (await caller.ask("k"))["statuses"][0]["limitRemaining"] == 9


async def test_domains_are_merged(root: dict[str, str], tmp_path: Path) -> None:
    more = "domain: d\ndescriptors: [{key: m, rate_limit: {unit: year, requests_per_unit: 1}}]\n"
    (tmp_path / "config" / "more.yaml").write_text(more)

    async with serving(root | {"MERGE_DOMAIN_CONFIG": "true"}) as caller:
        answer = await caller.ask("k", "m")

    limits = [status["currentLimit"]["requestsPerUnit"] for status in answer["statuses"]]
    assert limits == [10, 1]


async def test_global_shadow_mode_refuses_nothing_and_hides_nothing(root: dict[str, str]) -> None:
    async with serving(root | {"SHADOW_MODE": "true"}) as caller:
        await caller.ask("one")
        answer = await caller.ask("one")

    assert answer["overallCode"] == "OK"
    assert [status["code"] for status in answer["statuses"]] == ["OVER_LIMIT"]


async def test_global_quota_mode_refuses_once_all_are_over(root: dict[str, str]) -> None:
    async with serving(root | {"QUOTA_MODE": "true"}) as caller:
        assert await codes(caller, "one", "two", calls=3) == ["OK", "OK", "OVER_LIMIT"]


@pytest.mark.parametrize(("stop", "left"), [("false", 6), ("true", 8)])
async def test_what_is_within_is_not_counted_beside_what_is_over(
    root: dict[str, str], stop: str, left: int
) -> None:
    environment = {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT": stop}
    async with serving(root | environment) as caller:
        assert await codes(caller, "k", "two", calls=4) == ["OK"] * 2 + ["OVER_LIMIT"] * 2
        look = await caller.ask("k", hits=0)

    assert look["statuses"][0]["limitRemaining"] == left


@pytest.mark.parametrize(("ratio", "result"), [("0.5", "near"), ("1", "within")])
async def test_what_is_near_is_counted_as_such(
    root: dict[str, str], ratio: str, result: str
) -> None:
    async with serving(root | {"NEAR_LIMIT_RATIO": ratio}) as caller:
        await caller.ask("k", hits=6)
        _, metrics = await caller.get("/metrics")

    count = f'ratelimit_decisions_total{{domain="d",result="{result}",rule="d.k"}} 1.0'
    assert count in metrics


async def test_headers_have_the_names_that_are_given(root: dict[str, str]) -> None:
    names = {
        "LIMIT_LIMIT_HEADER": "x-limit",
        "LIMIT_REMAINING_HEADER": "x-left",
        "LIMIT_RESET_HEADER": "x-reset",
    }
    async with serving(root | names | {"LIMIT_RESPONSE_HEADERS_ENABLED": "true"}) as caller:
        headers = (await caller.ask("k"))["responseHeadersToAdd"]

    assert [header["key"] for header in headers] == ["x-limit", "x-left", "x-reset"]
    assert [header["value"] for header in headers][:2] == ["10", "9"]


async def test_dynamic_metadata_is_sent_where_asked(root: dict[str, str]) -> None:
    async with serving(root | {"RESPONSE_DYNAMIC_METADATA": "true"}) as caller:
        answer = await caller.ask("k", hits=3)

    assert answer["dynamicMetadata"] == {
        "domain": "d",
        "descriptors": [{"entries": ["k=v"], "hitsAddend": 3.0}],
        "metadata": {"tier": "gold"},
    }


async def test_it_is_unhealthy_until_rules_came(tmp_path: Path) -> None:
    environment = {
        "RUNTIME_ROOT": str(tmp_path),
        "FORCE_START_WITHOUT_INITIAL_CONFIG": "true",
        "HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED": "true",
    }
    async with serving(environment) as caller:
        assert (await caller.get("/healthcheck"))[0] == 500

        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "d.yaml").write_text(RULES)
        await until_healthy(caller)
        assert (await caller.ask("k"))["overallCode"] == "OK"


async def until_healthy(caller: Caller) -> None:
    health = caller.service.health
    await until(lambda: health.condition.healthy)
    assert await caller.get("/healthcheck") == (200, "OK")


async def test_it_is_unhealthy_while_the_store_is_away(
    root: dict[str, str], standalone_server: Standalone
) -> None:
    standalone_server.stop()
    environment = {
        "REDIS_URL": str(standalone_server.address),
        "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION": "true",
    }
    async with serving(root | environment) as caller:
        assert (await caller.get("/healthcheck"))[0] == 500

        standalone_server.start()
        await until_healthy(caller)


async def test_the_store_is_reached_as_the_variables_say(root: dict[str, str]) -> None:
    with Standalone("--requirepass", "s3cret", password="s3cret") as server:
        environment = {
            "REDIS_URL": str(server.address),
            "REDIS_TYPE": "single",
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_AUTH": "s3cret",
            "REDIS_POOL_SIZE": "1",
            "REDIS_TIMEOUT": "10s",
            "CACHE_KEY_PREFIX": "mine:",
        }
        async with serving(root | environment) as caller:
            await caller.ask("k")
            assert server.client_names().count("ratelimit-service") == 1
        (key,) = server.execute("KEYS", "*")

    assert key.startswith(b"mine:{d/k=v}")


async def test_the_store_is_found_by_sentinels(
    root: dict[str, str], sentinel_servers: Sentinels
) -> None:
    addresses = ",".join(map(str, sentinel_servers.addresses))
    environment = {
        "REDIS_URL": f"{SENTINEL_SERVICE},{addresses}",
        "REDIS_TYPE": "sentinel",
    }
    async with serving(root | environment) as caller:
        assert await codes(caller, "one", calls=2) == ["OK", "OVER_LIMIT"]


async def test_the_store_is_a_cluster(root: dict[str, str], cluster_servers: Cluster) -> None:
    environment = {
        "REDIS_URL": ",".join(map(str, cluster_servers.addresses)),
        "REDIS_TYPE": "CLUSTER",
    }
    async with serving(root | environment) as caller:
        assert await codes(caller, "one", "two", calls=2) == ["OK", "OVER_LIMIT"]


async def test_refusals_are_remembered_in_a_near_cache(
    root: dict[str, str], standalone_server: Standalone
) -> None:
    environment = {
        "REDIS_URL": str(standalone_server.address),
        "LOCAL_CACHE_SIZE_IN_BYTES": "100000",
    }
    async with serving(root | environment) as caller:
        await caller.ask("one", hits=2)
        scripts = standalone_server.calls("evalsha")
        # Far more calls than 200 ms hold script calls, one by one.
        answers = [await caller.ask("one") for _ in range(20)]
        asked = standalone_server.calls("evalsha") - scripts

    assert {answer["overallCode"] for answer in answers} == {"OVER_LIMIT"}
    assert asked < len(answers)


async def test_grpc_listens_on_a_unix_socket(root: dict[str, str], tmp_path: Path) -> None:
    socket = tmp_path / "rls.sock"
    async with serving(root | {"GRPC_UDS": str(socket)}) as caller:
        assert socket.is_socket()
        assert (await caller.ask("k"))["overallCode"] == "OK"


async def test_every_edge_listens_on_the_ports_that_are_given(root: dict[str, str]) -> None:
    names = ("GRPC_PORT", "PORT", "DEBUG_PORT")
    ports = {name: str(free_port()) for name in names}
    async with serving(root | ports | {"DEBUG_HOST": "127.0.0.1"}) as caller:
        service = caller.service
        found = (service.grpc_address, service.http_address, service.admin_address)

    assert list(map(port, found)) == [ports[name] for name in names]


def port(address: Address) -> str:
    return str(address).rpartition(":")[2]


async def test_grpc_is_served_over_tls_to_named_callers(
    root: dict[str, str], tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    server, caller_pair = authority.issue("127.0.0.1"), authority.issue("gateway.test")
    environment = {
        "GRPC_SERVER_USE_TLS": "true",
        "GRPC_SERVER_TLS_CERT": str(server.certificate),
        "GRPC_SERVER_TLS_KEY": str(server.key),
        "GRPC_CLIENT_TLS_CACERT": str(authority.certificate),
        "GRPC_CLIENT_TLS_SAN": "gateway.test",
    }
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(),
        caller_pair.key.read_bytes(),
        caller_pair.certificate.read_bytes(),
    )
    async with serving(root | environment, credentials) as caller:
        assert (await caller.ask("k"))["overallCode"] == "OK"
