"""The program ``ratelimit-service``: one command, and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ratelimit_service import __version__
from ratelimit_service.cli import check_config, explain, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments (those of the process) name."""
    parsed = _parser().parse_args(arguments)
    run = parsed.run
    code: int = run(parsed)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ratelimit-service",
        description="Decides for gateways whether a call may pass: rate limits over gRPC.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (serve, check_config, explain):
        command.add_parser(commands)
    return parser
