"""One limit of a list of `limits` in a rule file."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ratelimit_service.config.calendars import ZoneCalendar
from ratelimit_service.config.scalars import AmountOrText, Flag, Text, word
from ratelimit_service.config.table import Table, wrong, wrong_at
from ratelimit_service.core.limit_spec import LimitSpec, build_limit
from ratelimit_service.core.limits import FIXED_WINDOW, SLIDING_WINDOW, TOKEN_BUCKET, Limit
from ratelimit_service.core.measures import COST, REQUESTS, parse_dollars
from ratelimit_service.errors import LimitError

_DURATION = r"[0-9]+[smhd]"
_PERIOD = r"calendar_(day|week|month|year)"


def _matching(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "null"], "pattern": f"^({pattern})?$"})


class LimitTable(Table):
    """How much of a measure fits into a window, and how it is counted."""

    model_config = ConfigDict(json_schema_extra={"required": ["name", "amount"]})

    name: Text = Field(default="", validate_default=True)
    measure: Text = REQUESTS
    amount: AmountOrText = Field(default="", validate_default=True)
    window: Annotated[Text, _matching(f"{_DURATION}|{_PERIOD}|lifetime")] = ""
    algorithm: Annotated[Text, word(FIXED_WINDOW, SLIDING_WINDOW, TOKEN_BUCKET)] = ""
    align: Annotated[Text, word("epoch", "first_hit")] = ""
    burst: AmountOrText | None = None
    time_zone: Text = ""
    idle_ttl: Annotated[Text, _matching(_DURATION)] = ""
    lease: Annotated[Text, _matching(_DURATION)] = ""
    on_expiry: Annotated[Text, word("keep", "release")] = ""
    shadow_mode: Flag = False
    was: Text = ""

    def limit(self) -> Limit:
        """Return the limit. Raises LimitError where its keys make no sense together."""
        return build_limit(
            LimitSpec(
                amount=_units(self.amount),
                name=self.name,
                measure=self.measure,
                window=self.window,
                algorithm=self.algorithm,
                align=self.align,
                burst=None if self.burst in {None, ""} else _units(self.burst),
                time_zone=self.time_zone,
                idle_ttl=self.idle_ttl,
                lease=self.lease,
                on_expiry=self.on_expiry,
                shadow_mode=self.shadow_mode,
                was=self.was,
            )
        )

    @field_validator("name")
    @classmethod
    def _has_name(cls, name: str) -> str:
        if not name:
            raise wrong("the limit has no name; counts and answers go by one, so write one")
        return name

    @field_validator("amount", "burst")
    @classmethod
    def _is_amount(cls, value: int | str | None, info: ValidationInfo) -> int | str | None:
        """Return an amount in the units that are counted: dollars become their millionths."""
        if value is None or (value == "" and info.field_name == "burst"):
            return None
        if value == "":
            raise wrong("the limit has no amount; write for example 100")
        if info.data.get("measure") == COST:
            try:
                return parse_dollars(str(value))
            except ValueError as error:
                raise wrong(str(error)) from error
        if isinstance(value, str):
            raise wrong("must be a whole number without quotes, as 100")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, time_zone: str) -> str:
        if time_zone and not ZoneCalendar().knows(time_zone):
            raise wrong(f"there is no time zone `{time_zone}`; write for example Europe/Berlin")
        return time_zone

    @model_validator(mode="after")
    def _makes_sense(self) -> LimitTable:
        try:
            self.limit()
        except LimitError as error:
            raise wrong_at((error.key,), error.reason) from error
        return self


def _units(amount: int | str | None) -> int:
    """Return an amount that was found to be one."""
    return amount if isinstance(amount, int) else 0
