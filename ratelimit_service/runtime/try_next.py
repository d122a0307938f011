"""What to type after a first start, for who serves the example rules."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from string import Template
from typing import Final

from ratelimit_service.config.settings import Address, UnixAddress
from ratelimit_service.runtime.service import Service
from ratelimit_service.transport.rls import RATE_LIMIT_NAME

_BODY: Final = json.dumps(
    {"domain": "demo", "descriptors": [{"entries": [{"key": "user", "value": "ann"}]}]},
    separators=(",", ":"),
)

_TEXT: Final = Template("""
Try next, in another terminal. The example rules allow each user 3 calls a minute.

  Ask four times; the fourth answer is 429:
    for i in 1 2 3 4; do curl -s -w ' %{http_code}\\n' -d '$body' $json; done

  The same over gRPC, which describes itself by reflection:
    $buf curl --http2-prior-knowledge --protocol grpc -d '$body' $grpc

  See the rules, and what was counted:
    curl $rules
    curl $metrics

Ctrl-C ends the service. docs/ and --help tell the rest.

""")


def try_next(service: Service) -> str:
    """Return commands that work as they are printed, on this host."""
    return _TEXT.substitute(
        body=_BODY,
        buf=_buf(),
        json=_url(service.http_address, "/json"),
        grpc=_url(service.grpc_address, f"/{RATE_LIMIT_NAME}/ShouldRateLimit"),
        rules=_url(service.admin_address, "/rlconfig"),
        metrics=_url(service.http_address, "/metrics"),
    )


def _url(address: Address, path: str) -> str:
    if isinstance(address, UnixAddress):
        return f"--unix-socket {address.path} http://localhost{path}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - compared, not bound
    return f"http://{type(address)(host, address.port)}{path}"


def _buf() -> str:
    """Return the program of the development environment where it is there, else its name."""
    program = Path(sys.executable).with_name("buf")
    return str(program) if program.exists() else program.name
