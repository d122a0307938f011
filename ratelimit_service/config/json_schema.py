"""The format of rule files as a JSON Schema, by which editors complete and check them.

python -m ratelimit_service.config.json_schema > docs/rules.schema.json
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
