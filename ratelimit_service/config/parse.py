"""One rule file: from its bytes to a checked table, or all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ratelimit_service.config.limit_table import LimitTable
from ratelimit_service.config.schema import (
    DescriptorTable,
    RateLimitTable,
    ReplaceTable,
    RuleFileTable,
)
from ratelimit_service.config.table import Table
from ratelimit_service.config.yaml_tree import Location, Spot, read_document
from ratelimit_service.errors import ConfigError, Place


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A file that is right by itself, with the places of its values."""

    table: RuleFileTable
    spot: Spot


def parse_file(content: bytes, file: str) -> ParsedFile | tuple[ConfigError, ...]:
    """Read one rule file. What is wrong is returned, in the order of the file."""
    try:
        document = read_document(_decode(content, file), file)
    except ConfigError as error:
        return (error,)
    errors = list(document.errors)
    try:
        table = RuleFileTable.model_validate(document.tree)
    except ValidationError as invalid:
        details = invalid.errors(include_url=False, include_context=False)
        misspelled = {_meant(detail) for detail in details}
        errors += [
            _explain(detail, document.spot) for detail in details if detail["loc"] not in misspelled
        ]
    if errors:
        return tuple(sorted(errors, key=lambda error: (error.place.line, error.place.column)))
    return ParsedFile(table, document.spot)


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - before.rfind(b"\n")
        place = Place(file, before.count(b"\n") + 1, column)
        raise ConfigError(place, "not UTF-8; save the file in that encoding") from error


def _explain(detail: ErrorDetails, spot: Spot) -> ConfigError:
    location: Location = detail["loc"]
    match detail["type"]:
        case "extra_forbidden":
            return ConfigError(spot.key_at(location), _unknown_key(location))
        case "model_type" | "dict_type" | "model_attributes_type":
            what = _name(location)
            return ConfigError(spot.at(location), f"{what} must be a map of keys and values")
    name = _name(location)
    return ConfigError(spot.at(location), f"{name}: {detail['msg']}")


def _name(location: Location) -> str:
    """Name a value as a path, as `descriptors[0].rate_limit.unit`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "the file"


def _meant(detail: ErrorDetails) -> Location | None:
    """Return where the key stands that a misspelled one was meant to be.

    That it is absent there is no error of its own.
    """
    if detail["type"] != "extra_forbidden":
        return None
    *parents, key = detail["loc"]
    close = _close_key(key, _table_at(tuple(parents)))
    return None if close is None else (*parents, close)


def _unknown_key(location: Location) -> str:
    *parents, key = location
    table = _table_at(tuple(parents))
    close = _close_key(key, table)
    if close is not None:
        return f"unknown key `{key}`; did you mean `{close}`?"
    if table is DescriptorTable:
        for name, inner in (("rate_limit", RateLimitTable), ("limits", LimitTable)):
            if key in inner.model_fields:
                return f"unknown key `{key}`; it belongs inside `{name}`"
    return f"unknown key `{key}`; known here are {', '.join(table.model_fields)}"


def _close_key(key: str | int, table: type[Table]) -> str | None:
    return next(iter(get_close_matches(str(key), table.model_fields, n=1)), None)


def _table_at(location: Location) -> type[Table]:
    """Return the table whose keys stand at a location."""
    names = [part for part in location if isinstance(part, str)]
    match names[-1] if names else "":
        case "descriptors":
            return DescriptorTable
        case "rate_limit":
            return RateLimitTable
        case "replaces":
            return ReplaceTable
        case "limits":
            return LimitTable
    return RuleFileTable
