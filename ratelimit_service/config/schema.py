"""The format of a rule file: that of Envoy's reference rate-limit service, and beyond it.

docs/rules.md explains it to who writes one.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ratelimit_service.config.limit_table import LimitTable
from ratelimit_service.config.scalars import Amount, Flag, FreeMap, Text, as_list, as_map, word
from ratelimit_service.config.table import Table, wrong, wrong_at
from ratelimit_service.core.measures import CONCURRENCY
from ratelimit_service.core.rules import Pattern
from ratelimit_service.core.units import Unit

WILDCARD: Final = "*"


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
    replaces: Annotated[tuple[ReplaceTable, ...], BeforeValidator(as_list)] = ()

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

    model_config = ConfigDict(json_schema_extra={"required": ["key"]})

    key: Text = Field(default="", validate_default=True)
    value: Text = ""
    rate_limit: Annotated[RateLimitTable | None, BeforeValidator(as_map)] = None
    descriptors: Annotated[tuple[DescriptorTable, ...], BeforeValidator(as_list)] = ()
    shadow_mode: Flag = False
    quota_mode: Flag = False
    detailed_metric: Flag = False
    value_to_metric: Flag = False
    share_threshold: Flag = False
    metadata: FreeMap = Field(default_factory=dict)
    required: Flag = False
    exempt: Annotated[tuple[Text, ...], BeforeValidator(as_list)] = ()
    limits: Annotated[tuple[LimitTable, ...], BeforeValidator(as_list)] = ()
    hits_measure: Text = ""

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

    @field_validator("exempt")
    @classmethod
    def _are_values(cls, exempt: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        value = info.data.get("value", "")
        for at, name in enumerate(exempt):
            if not name:
                raise wrong_at((at,), "empty value; name one that is not limited")
            comes = Pattern(value).matches(name) if WILDCARD in value else value in {"", name}
            if not comes:
                raise wrong_at((at,), f"never comes here, where the value is `{value}`")
        return exempt

    @field_validator("limits")
    @classmethod
    def _stand_alone(
        cls, limits: tuple[LimitTable, ...], info: ValidationInfo
    ) -> tuple[LimitTable, ...]:
        if limits and info.data.get("rate_limit") is not None:
            raise wrong("stands beside `rate_limit`; make that one of the limits")
        names: dict[str, int] = {}
        identities: dict[object, int] = {}
        for at, table in enumerate(limits):
            first = names.setdefault(table.name, at)
            if first != at:
                raise wrong_at(
                    (at, "name"), f"is the name of limits[{first}] already; write another"
                )
            limit = table.limit()
            identity = (limit.counted_as, limit.measure, limit.cap.algorithm, limit.window)
            first = identities.setdefault(identity, at)
            if first != at:
                key = "was" if table.was else "name"
                raise wrong_at(
                    (at, key), f"would share the count of limits[{first}]; write another"
                )
        return limits

    @field_validator("hits_measure")
    @classmethod
    def _is_limited(cls, measure: str, info: ValidationInfo) -> str:
        if not measure or "limits" not in info.data:
            return measure
        if measure == CONCURRENCY:
            raise wrong("hits are never in flight; name a measure that counts up")
        measures = sorted({table.measure for table in info.data["limits"]} - {CONCURRENCY})
        if measure not in measures:
            known = f"write one of {', '.join(measures)}" if measures else "give it `limits`"
            raise wrong(f"no limit here counts `{measure}`; {known}")
        return measure


class RuleFileTable(Table):
    """A file: one domain, what holds for all of it, and its descriptors."""

    model_config = ConfigDict(json_schema_extra={"required": ["domain"]})

    domain: Text = Field(default="", validate_default=True)
    enforcement: Annotated[Text, word("compatible", "strict")] = ""
    colocate_by: Annotated[tuple[Text, ...], BeforeValidator(as_list)] = ()
    inline_limits: Annotated[Text, word("refuse", "allow")] = ""
    unmatched: Annotated[Text, word("allow", "refuse")] = ""
    descriptors: Annotated[tuple[DescriptorTable, ...], BeforeValidator(as_list)] = ()

    @field_validator("domain")
    @classmethod
    def _has_domain(cls, domain: str) -> str:
        if not domain:
            raise PydanticCustomError("domain", "the domain is empty; write `domain: <name>`")
        return domain

    @field_validator("enforcement", "inline_limits", "unmatched")
    @classmethod
    def _is_a_choice(cls, choice: str, info: ValidationInfo) -> str:
        choices = _CHOICES[info.field_name or ""]
        if choice and choice not in choices:
            raise wrong(f"unknown `{choice}`; write {' or '.join(choices)}")
        return choice

    @field_validator("colocate_by")
    @classmethod
    def _are_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for at, key in enumerate(keys):
            if not key:
                raise wrong_at((at,), "empty; write the key of an entry")
            if key in keys[:at]:
                raise wrong_at((at,), f"`{key}` stands twice; remove one")
        return keys


_CHOICES: Final = {
    "enforcement": ("compatible", "strict"),
    "inline_limits": ("refuse", "allow"),
    "unmatched": ("allow", "refuse"),
}
