from __future__ import annotations

import re
from pathlib import Path

import pytest

from ratelimit_service.config.load import find_files, load_rules
from ratelimit_service.config.settings import RulesSettings
from ratelimit_service.core.limits import Limit
from ratelimit_service.core.model import Entry
from ratelimit_service.core.units import Unit
from ratelimit_service.resources import example_rules

RULES_GUIDE = Path(__file__).parents[2] / "docs" / "rules.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", RULES_GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("path", find_files(RulesSettings(example_rules())), ids=lambda p: p.name)
def test_each_example_loads_by_itself(path: Path) -> None:
    assert list(load_rules(RulesSettings(path)).rules())


def test_the_examples_load_together_and_refuse_a_newcomer_soon() -> None:
    rules = load_rules(RulesSettings(example_rules()))

    match = rules.match("demo", [Entry("user", "ann")])

    assert match is not None
    assert match.rule.limits == (Limit.per(3, Unit.MINUTE),)


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_of_the_guide_loads(tmp_path: Path, number: int) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(EXAMPLES[number], encoding="utf-8")

    assert list(load_rules(RulesSettings(path)).rules())
