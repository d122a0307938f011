"""`check-config`: is a set of rule files right, and if not, where is it wrong."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from dataclasses import replace
from pathlib import Path

from ratelimit_service.config.load import Source, check_sources, read_sources
from ratelimit_service.config.resolve import rules_settings
from ratelimit_service.errors import SettingsError


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command to the program's parser."""
    parser = subparsers.add_parser(
        "check-config",
        help="check rule files; exit 1 and name each error with its place",
        description="Check rule files as one set, as the service would load them together.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="a file or a folder")
    parser.add_argument(
        "--merge-domains",
        action="store_true",
        help="files may share a domain (default: MERGE_DOMAIN_CONFIG)",
    )
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Print `file:line:column: reason` for each error, or a summary. Return the exit code."""
    try:
        sources, merge_domains = _sources(args)
    except SettingsError as wrong:
        sys.stderr.write(f"check-config: {wrong}\n")
        return 2
    checked = check_sources(sources, merge_domains=merge_domains)
    if checked.rules is None:
        for error in checked.errors:
            sys.stdout.write(f"{error}\n")
        return 1
    rules = sum(1 for _ in checked.rules.rules())
    counts = (
        _count(len(sources), "file"),
        _count(len(checked.rules.domains), "domain"),
        _count(rules, "rule"),
    )
    sys.stdout.write(f"OK: {', '.join(counts)}\n")
    return 0


def _sources(args: Namespace) -> tuple[list[Source], bool]:
    """Read all files once, also those that two of the paths lead to."""
    base = rules_settings(None, os.environ)
    found: dict[Path, Source] = {}
    for path in args.paths:
        settings = replace(base, path=path, with_siblings=False)
        for source in read_sources(settings):
            found.setdefault(source.path.resolve(), source)
    return list(found.values()), args.merge_domains or base.merge_domains


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
