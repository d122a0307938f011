"""`explain`: which rules hold for a request, and why."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ratelimit_service.config.addresses import parse_address
from ratelimit_service.config.load import check_rules
from ratelimit_service.config.resolve import rules_settings
from ratelimit_service.core.explain import Explanation, Level, explain
from ratelimit_service.core.model import Entry
from ratelimit_service.core.rules import Match
from ratelimit_service.errors import SettingsError

if TYPE_CHECKING:
    from ratelimit_service.cli.peek import Usage

_COMMA = re.compile(r"(?<!\\),")


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command to the program's parser."""
    parser = subparsers.add_parser(
        "explain",
        help="show which rules a request matches and why; with --target also the live usage",
        description="Show level by level which rules a request matches, and why.",
    )
    parser.add_argument("--config", metavar="PATH", help="rule file or folder (default: as serve)")
    parser.add_argument("--domain", required=True, help="the request's domain")
    parser.add_argument(
        "--descriptor",
        dest="descriptors",
        metavar="K=V,K2=V2",
        action="append",
        required=True,
        type=_descriptor,
        help=r"entries of one descriptor, in order; `\,` is a comma in a value; may be repeated",
    )
    parser.add_argument(
        "--target", metavar="ADDRESS", type=_target, help="a running service to ask for its usage"
    )
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Print the explanation of each descriptor. Return the exit code."""
    try:
        checked = check_rules(rules_settings(args.config, os.environ))
    except SettingsError as error:
        return _fail(f"explain: {error}", 2)
    if checked.rules is None:
        return _fail("\n".join(str(error) for error in checked.errors), 1)
    usages: tuple[Usage | None, ...] = (None,) * len(args.descriptors)
    if args.target is not None:
        # gRPC is loaded where it is needed, so that the other commands start faster.
        from ratelimit_service.cli.peek import PeekError, peek  # noqa: PLC0415

        try:
            usages = peek(args.target, args.domain, args.descriptors)
        except PeekError as error:
            return _fail(f"explain: {error}", 1)
    explanations = explain(checked.rules, args.domain, args.descriptors)
    for explanation, usage in zip(explanations, usages, strict=True):
        for line in _describe(args.domain, explanation, usage):
            sys.stdout.write(f"{line}\n")
    return 0


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def _descriptor(text: str) -> tuple[Entry, ...]:
    return tuple(_entry(part) for part in _COMMA.split(text))


def _entry(text: str) -> Entry:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ArgumentTypeError(f"`{text}` is no entry; write key=value,key2=value2")
    return Entry(key, value.replace(r"\,", ","))


def _target(text: str) -> str:
    try:
        return str(parse_address("--target", text))
    except SettingsError as error:
        raise ArgumentTypeError(error.reason) from error


def _describe(domain: str, explanation: Explanation, usage: Usage | None) -> Iterator[str]:
    entries = ", ".join(f"{entry.key}={entry.value}" for entry in explanation.entries)
    yield f"{domain}: {entries}"
    for number, level in enumerate(explanation.levels, start=1):
        yield from _describe_level(number, level)
    if explanation.match is not None:
        yield from _describe_match(explanation.match, explanation.replaced_by)
    elif explanation.reason is not None:
        near = f" (known: {', '.join(explanation.near)})" if explanation.near else ""
        outcome = "refused" if explanation.refused else "allowed"
        yield f"  no rule holds, the call is {outcome}: {explanation.reason.value}{near}"
    if usage is not None:
        yield f"  now: {usage}"


def _describe_level(number: int, level: Level) -> Iterator[str]:
    yield f"  level {number}: {level.entry.key}={level.entry.value}"
    for candidate in level.candidates:
        answer = "matches" if candidate.fits else "no"
        yield f"    {candidate.form.value} {candidate.text}: {answer}"


def _describe_match(match: Match, replaced_by: tuple[str, ...]) -> Iterator[str]:
    rule = match.rule
    yield f"  rule {rule.title} at {rule.place}"
    if rule.unlimited:
        yield "    unlimited: not counted"
    for limit in rule.limits:
        yield f"    limit {limit}{' (shadow_mode)' if limit.shadow_mode else ''}"
    if match.exempt:
        yield "    exempt: the rules name one of its values, so nothing is counted"
    if any(step.shared for step in match.path):
        yield "    share_threshold: all values of the wildcard share one count"
    if replaced_by:
        yield f"    replaced in this request by {', '.join(replaced_by)}: not counted"
    if rule.replaces:
        yield f"    replaces rules named {', '.join(sorted(rule.replaces))}"
    if rule.shadow_mode:
        yield "    shadow_mode: counted, never refused"
    if rule.quota_mode:
        yield "    quota_mode: refused only when all quotas of the request are over"
