"""What operators find on the admin address."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry

from ratelimit_service.admin.metrics import MetricsEndpoints
from ratelimit_service.admin.rules import RulesEndpoint, RulesView
from ratelimit_service.config.settings import Address, TcpAddress

INDEX: Final = """\
/rlconfig   rules in force, where they stand, and the last error; Accept: application/json for JSON
/stats      counters, a line for each
"""


def admin_app(address: Address, rules: RulesView, registry: CollectorRegistry) -> web.Application:
    """Build /rlconfig, /stats and the index, to be served on ``address``."""
    app = web.Application(middlewares=[_refuse_foreign_names] if _is_loopback(address) else [])
    app.add_routes(
        [
            web.get("/", _index),
            web.get("/rlconfig", RulesEndpoint(rules).rlconfig),
            web.get("/stats", MetricsEndpoints(registry).stats),
        ]
    )
    return app


async def _index(_: web.Request) -> web.Response:
    return web.Response(text=INDEX)


@web.middleware
async def _refuse_foreign_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse hosts that are named otherwise than by address or as localhost.

    Only a browser that was lured to a name which resolves to this host sends another
    (DNS rebinding); it would hand our answer to that name's owner.
    """
    if not _is_local(request.headers.get(hdrs.HOST, "localhost")):
        raise web.HTTPForbidden(text="the admin address answers to localhost and IP addresses only")
    return await handler(request)


def _is_loopback(address: Address) -> bool:
    if not isinstance(address, TcpAddress):
        return False
    return address.host == "localhost" or (
        _is_ip(address.host) and ip_address(address.host).is_loopback
    )


def _is_local(host: str) -> bool:
    """Tell whether a Host header, with its port or without, names no name but localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_ip(name)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
