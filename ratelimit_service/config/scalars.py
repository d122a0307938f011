"""Single values of rule files, as they are written and as they are meant.

Values arrive as ``Scalar``, since text keeps how it was written: `value: 010` is "010",
not 8. An empty value stands for an absent key, as in the reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ratelimit_service.config.yaml_tree import Scalar
from ratelimit_service.core.units import MAX_AMOUNT


def _written(value: object) -> object:
    """Take a text as the file writes it; an empty value is an empty text."""
    if isinstance(value, Scalar):
        return "" if value.value is None else value.text
    if isinstance(value, list | dict):
        raise PydanticCustomError("text", "must be a single value, not a list or a map")
    return value


def _flag(value: object) -> object:
    if isinstance(value, Scalar):
        value = value.value
    if value is None:
        return False
    if not isinstance(value, bool):
        raise PydanticCustomError("flag", "must be true or false, without quotes")
    return value


def _amount(value: object) -> object:
    if isinstance(value, Scalar):
        value = value.value
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticCustomError("amount", "must be a whole number without quotes, as 100")
    if not 0 <= value <= MAX_AMOUNT:
        raise PydanticCustomError(
            "amount", "must be between 0 and {largest}", {"largest": MAX_AMOUNT}
        )
    return value


def as_list(value: object) -> object:
    """Take a list; an empty value is an empty one."""
    if isinstance(value, Scalar) and value.value is None:
        return []
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("list", "must be a list; start each item with `- `")
    return value


def as_map(value: object) -> object:
    """Take a map; an empty value is none."""
    if isinstance(value, Scalar) and value.value is None:
        return None
    return value


def _plain(value: object) -> object:
    """Take free data as YAML reads it."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _free_map(value: object) -> object:
    plain = _plain(value)
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise PydanticCustomError("free_map", "must be a map of keys and values")
    return plain


def _amount_or_text(value: object) -> object:
    """Take a whole number, or the text of what may be dollars; what it is the measure says."""
    if isinstance(value, Scalar):
        number = value.value
        whole = isinstance(number, int) and not isinstance(number, bool)
        return number if whole else value.text
    if isinstance(value, list | dict):
        raise PydanticCustomError("amount", "must be a single value, not a list or a map")
    return value


_TEXT_SCHEMA: Final = {"type": ["string", "number", "boolean", "null"]}
_FLAG_SCHEMA: Final = {"type": ["boolean", "null"]}
_AMOUNT_SCHEMA: Final = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_AMOUNT}
_FREE_SCHEMA: Final = {"type": ["object", "null"]}

Text: TypeAlias = Annotated[str, BeforeValidator(_written), WithJsonSchema(_TEXT_SCHEMA)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(_flag), WithJsonSchema(_FLAG_SCHEMA)]
Amount: TypeAlias = Annotated[
    int, BeforeValidator(_amount), Field(ge=0, le=MAX_AMOUNT), WithJsonSchema(_AMOUNT_SCHEMA)
]
AmountOrText: TypeAlias = Annotated[
    int | str, BeforeValidator(_amount_or_text), WithJsonSchema({"type": ["number", "string"]})
]
FreeMap: TypeAlias = Annotated[
    dict[str, Any], BeforeValidator(_free_map), WithJsonSchema(_FREE_SCHEMA)
]


def word(*words: str) -> WithJsonSchema:
    """Return the schema of a text that is one of some words, or left empty."""
    return WithJsonSchema({"enum": [*words, "", None]})
