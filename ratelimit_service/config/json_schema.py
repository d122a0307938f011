"""The format of rule files as a JSON Schema, by which editors complete and check them.

As a program it writes the schema; `make schema` puts it where it is published.
"""

from __future__ import annotations

import json
import sys

from ratelimit_service.config.schema import RuleFileTable

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rules_schema() -> str:
    """Return the schema. What a schema cannot say, `check-config` still finds."""
    schema = {"$schema": _DIALECT, **RuleFileTable.model_json_schema(), "title": "Rule file"}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rules_schema())
