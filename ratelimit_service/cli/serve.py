"""``ratelimit-service serve``: run the service until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from ratelimit_service.config.flags import Flags
from ratelimit_service.config.resolve import load_settings
from ratelimit_service.errors import ListenError, SettingsError

if TYPE_CHECKING:
    from ratelimit_service.config.settings import Settings

_DESCRIPTION = """\
Run the service until SIGTERM or Ctrl-C. A flag beats the environment; without both, the
example rules are served from memory."""

_STORES = """\
memory://, redis://host:port/db, rediss://..., unix:///path, redis+sentinel://h1:p,h2:p/name or
redis+cluster://h1:p,h2:p (default: REDIS_URL if set, else memory://)"""

_FLAGS = {
    "--config": ("PATH", "a rule file, or a folder of them (default: the example rules)"),
    "--store": ("URL", _STORES),
    "--grpc-address": ("A", "the rate-limit API (default: 0.0.0.0:8081)"),
    "--http-address": ("A", "/json, health and metrics (default: 0.0.0.0:8080)"),
    "--admin-address": ("A", "rules and statistics (default: 127.0.0.1:6070)"),
}

_EPILOG = """\
Addresses are HOST:PORT or unix:/path. docs/configuration.md lists the environment variables."""

_OTHER_ADDRESSES = "--grpc-address, --http-address and --admin-address choose others"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "serve", help="run the service", description=_DESCRIPTION, epilog=_EPILOG
    )
    for name, (metavar, text) in _FLAGS.items():
        parser.add_argument(name, metavar=metavar, help=text)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve. Return 0 after a drain, 1 when the service cannot start, 2 for wrong settings."""
    flags = Flags(
        config=arguments.config,
        store=arguments.store,
        grpc_address=arguments.grpc_address,
        http_address=arguments.http_address,
        admin_address=arguments.admin_address,
    )
    try:
        settings = load_settings(flags, os.environ)
    except SettingsError as error:
        return _fail(str(error), 2)
    return _serve(settings)


def _serve(settings: Settings) -> int:
    # gRPC's own log lines have another form; set before its first import, it keeps them.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from ratelimit_service.runtime.process import run_until_signalled  # noqa: PLC0415
    from ratelimit_service.runtime.rules import StartError  # noqa: PLC0415

    try:
        run_until_signalled(settings)
    except StartError as error:
        return _fail(f"the rules cannot be loaded\n{error}", 1)
    except ListenError as error:
        return _fail(f"{error}\n{_OTHER_ADDRESSES}", 1)
    except SettingsError as error:
        return _fail(str(error), 1)
    return 0


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"ratelimit-service: {text}\n")
    return code
