"""The rules in force over HTTP: as the reference dumps them, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from aiohttp import hdrs, web

from ratelimit_service.config.watch import RulesStatus
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.measures import CONCURRENCY
from ratelimit_service.core.rules import Rule, RuleSet
from ratelimit_service.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RulesReport:
    """The rules in force, and how the last look at the rule files ended."""

    rules: RuleSet | None
    status: RulesStatus


RulesView: TypeAlias = Callable[[], RulesReport]


class RulesEndpoint:
    """Shows the rules as they are when the request comes."""

    def __init__(self, view: RulesView) -> None:
        self._view = view

    async def rlconfig(self, request: web.Request) -> web.Response:
        """Answer with a line for each rule, or with JSON where that is accepted."""
        report = self._view()
        if "application/json" in request.headers.get(hdrs.ACCEPT, ""):
            return web.json_response(asdict(_describe(report)))
        return web.Response(text="".join(f"{line}\n" for line in _lines(_describe(report))))


@dataclass(frozen=True, slots=True)
class _Limit:
    """One of a rule's limits as JSON shows it; ``window`` is null for calls in flight."""

    name: str
    measure: str
    amount: int
    window: str | None
    algorithm: str
    shadow_mode: bool


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as JSON shows it.

    ``unit`` and ``requests_per_unit`` are those of a ``rate_limit``, null where there is none.
    """

    title: str
    unit: str | None
    requests_per_unit: int | None
    unlimited: bool
    shadow_mode: bool
    quota_mode: bool
    name: str
    replaces: tuple[str, ...]
    limits: tuple[_Limit, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class _Error:
    at: str | None
    file: str
    line: int
    column: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class _Report:
    loaded_at: str | None
    error: _Error | None
    rules: tuple[_Rule, ...]


def _describe(report: RulesReport) -> _Report:
    status = report.status
    rules = () if report.rules is None else report.rules.rules()
    return _Report(
        loaded_at=_instant(status.loaded_at),
        error=None if status.error is None else _describe_error(status.error, status.error_at),
        rules=tuple(sorted(map(_describe_rule, rules), key=lambda rule: (rule.file, rule.line))),
    )


def _describe_rule(rule: Rule) -> _Rule:
    limit = rule.rate_limit
    unit = None if limit is None else limit.unit
    return _Rule(
        title=rule.title,
        unit=None if unit is None else unit.name,
        requests_per_unit=None if limit is None else limit.amount,
        unlimited=rule.unlimited,
        shadow_mode=rule.shadow_mode,
        quota_mode=rule.quota_mode,
        name=rule.name,
        replaces=tuple(sorted(rule.replaces)),
        limits=tuple(map(_describe_limit, rule.limits)),
        file=rule.place.file,
        line=rule.place.line,
    )


def _describe_limit(limit: Limit) -> _Limit:
    return _Limit(
        name=limit.name,
        measure=limit.measure,
        amount=limit.amount,
        window=None if limit.measure == CONCURRENCY else limit.window,
        algorithm=limit.algorithm,
        shadow_mode=limit.shadow_mode,
    )


def _describe_error(error: ConfigError, at: float | None) -> _Error:
    place = error.place
    return _Error(_instant(at), place.file, place.line, place.column, error.reason, str(error))


def _instant(seconds: float | None) -> str | None:
    return (
        None
        if seconds is None
        else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    )


def _lines(report: _Report) -> Iterator[str]:
    """Yield the reference's line for each rule, after remarks of our own behind a ``#``."""
    if report.error is not None:
        yield f"# not in force since {report.error.at}: {report.error.text}"
    if report.loaded_at is None:
        yield "# no rules in force yet"
        return
    count = len(report.rules)
    yield f"# {count} rule{'' if count == 1 else 's'} in force since {report.loaded_at}"
    for rule in report.rules:
        yield f"{_line(rule)}  # {rule.file}:{rule.line}"


def _line(rule: _Rule) -> str:
    if rule.unit is None and rule.limits:
        limits = ", ".join(f"{limit.name}={limit.amount}" for limit in rule.limits)
        return f"{rule.title}: limits: {limits}, shadow_mode: {_flag(rule.shadow_mode)}"
    return (
        f"{rule.title}: unit={rule.unit or 'UNKNOWN'} "
        f"requests_per_unit={rule.requests_per_unit or 0}, "
        f"shadow_mode: {_flag(rule.shadow_mode)}, quota_mode: {_flag(rule.quota_mode)}"
        + (", unlimited: true" if rule.unlimited else "")
    )


def _flag(value: bool) -> str:
    return "true" if value else "false"
