"""The format of a rule file, which is that of Envoy's reference rate-limit service.

Values arrive as ``Scalar``, since text keeps how it was written: `value: 010` is "010",
not 8. An empty value stands for an absent key, as in the reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from ratelimit_service.config.yaml_tree import Scalar
from ratelimit_service.core.units import MAX_AMOUNT, Unit

WILDCARD: Final = "*"


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


def _list(value: object) -> object:
    if isinstance(value, Scalar) and value.value is None:
        return []
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("list", "must be a list; start each item with `- `")
    return value


def _map(value: object) -> object:
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


Text: TypeAlias = Annotated[str, BeforeValidator(_written)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(_flag)]
Amount: TypeAlias = Annotated[int, BeforeValidator(_amount), Field(ge=0, le=MAX_AMOUNT)]
FreeMap: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_free_map)]


class Table(BaseModel):
    """A map whose keys are all known; an unknown one is a misspelling."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplaceTable(Table):
    """The name of a rule that must not count where this one matched too."""

    name: Text = Field(default="", validate_default=True)

    @field_validator("name")
    @classmethod
    def _is_given(cls, name: str) -> str:
        if not name:
            raise PydanticCustomError("replaces", "empty entry; give the `name` of a rule")
        return name


class RateLimitTable(Table):
    """How much fits into a unit of time, or that nothing is counted.

    Without `requests_per_unit` the limit is 0, as in the reference: all is refused.
    """

    name: Text = ""
    unlimited: Flag = False
    unit: Text = Field(default="", validate_default=True)
    requests_per_unit: Amount = 0
    replaces: Annotated[tuple[ReplaceTable, ...], BeforeValidator(_list)] = ()

    @property
    def parsed_unit(self) -> Unit:
        """The unit of a limit that is not unlimited."""
        return Unit[self.unit.upper()]

    @field_validator("unit")
    @classmethod
    def _is_known(cls, unit: str, info: ValidationInfo) -> str:
        if info.data.get("unlimited"):
            if unit:
                raise PydanticCustomError(
                    "unit", "a unit makes no sense with `unlimited: true`; remove one of the two"
                )
            return unit
        if unit.upper() not in Unit.__members__:
            raise PydanticCustomError(
                "unit",
                "{problem}; write second, minute, hour, day, week, month or year",
                {"problem": f"unknown unit `{unit}`" if unit else "the limit has no unit"},
            )
        return unit

    @field_validator("replaces")
    @classmethod
    def _names_others(
        cls, replaces: tuple[ReplaceTable, ...], info: ValidationInfo
    ) -> tuple[ReplaceTable, ...]:
        if any(item.name == info.data.get("name") for item in replaces):
            raise PydanticCustomError("replaces", "a rule cannot replace itself; name another")
        return replaces


class DescriptorTable(Table):
    """One level of matching; its `descriptors` are the next."""

    key: Text = Field(default="", validate_default=True)
    value: Text = ""
    rate_limit: Annotated[RateLimitTable | None, BeforeValidator(_map)] = None
    descriptors: Annotated[tuple[DescriptorTable, ...], BeforeValidator(_list)] = ()
    shadow_mode: Flag = False
    quota_mode: Flag = False
    detailed_metric: Flag = False
    value_to_metric: Flag = False
    share_threshold: Flag = False
    metadata: FreeMap = Field(default_factory=dict)

    @field_validator("key")
    @classmethod
    def _has_key(cls, key: str) -> str:
        if not key:
            raise PydanticCustomError("key", "a descriptor has an empty key; give it a `key`")
        return key

    @field_validator("share_threshold")
    @classmethod
    def _has_wildcard(cls, share: bool, info: ValidationInfo) -> bool:
        if share and WILDCARD not in info.data.get("value", WILDCARD):
            raise PydanticCustomError(
                "share_threshold", "needs a value with a wildcard, as `value: team-*`"
            )
        return share


class RuleFileTable(Table):
    """A file: one domain and its descriptors."""

    domain: Text = Field(default="", validate_default=True)
    descriptors: Annotated[tuple[DescriptorTable, ...], BeforeValidator(_list)] = ()

    @field_validator("domain")
    @classmethod
    def _has_domain(cls, domain: str) -> str:
        if not domain:
            raise PydanticCustomError("domain", "the domain is empty; write `domain: <name>`")
        return domain
