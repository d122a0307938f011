"""Maps of rule files, and how one says which of its values is wrong."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ratelimit_service.config.yaml_tree import Location


class Table(BaseModel):
    """A map whose keys are all known; an unknown one is a misspelling."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def wrong(reason: str) -> PydanticCustomError:
    """Return the error of the value that is being looked at."""
    return PydanticCustomError("rules", "{reason}", {"reason": reason})


def wrong_at(location: Location, reason: str) -> ValidationError:
    """Return the error of a value further down."""
    details = InitErrorDetails(type=wrong(reason), loc=location, input=None)
    return ValidationError.from_exception_data("rules", [details])
