"""The page of all training settings is what the model says, and what it says can be typed."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from mia_tui.engine.config import TrainConfig, make_config, parse_settings
from mia_tui.errors import MiaError

DOCS = Path(__file__).parents[1] / "docs"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows() -> dict[str, list[str]]:
    """The cells of each setting's line on the page: default, values, tasks, help."""
    groups = (DOCS / "settings.md").read_text().split("## Losses")[0]
    lines = re.findall(r"^\| \**`(\w+)`\** \| (.*) \|$", groups, re.MULTILINE)
    assert len(lines) == len(dict(lines))
    return {name: re.split(r" (?<!\\)\| ", cells) for name, cells in lines}


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "settings.md").read_text() == script().page(), "make it anew with: python docs/settings.py"


def test_every_setting_has_a_line_and_every_group_one_heading() -> None:
    assert set(rows()) == set(TrainConfig.model_fields)
    headings = re.findall(r"^## (.*)$", (DOCS / "settings.md").read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_the_defaults_typed_as_they_stand_are_the_defaults() -> None:
    typed = [f"{name}={cells[0].strip('`').replace('empty', '')}" for name, cells in rows().items()]
    assert parse_settings(typed) == make_config({})


RANGES = [
    (name, bound) for name, cells in rows().items() for bound in re.findall(r"(from|above|to|below) (\S+)", cells[1])
]


@pytest.mark.parametrize(("name", "bound"), RANGES)
def test_no_value_beyond_a_bound_is_taken(name, bound) -> None:
    word, text = bound
    beyond = {"from": -0.001, "above": 0, "to": 0.001, "below": 0}[word]
    whole = rows()[name][1].startswith("whole")
    outside = float(text) + (beyond * 1000 if whole else beyond)
    with pytest.raises(MiaError, match=name):
        parse_settings([f"{name}={outside:.10g}"])


@pytest.mark.parametrize(("name", "bound"), [entry for entry in RANGES if entry[1][0] in ("from", "to")])
def test_a_bound_that_belongs_to_the_range_is_taken(name, bound) -> None:
    others = {"fold": ["folds=100"], "folds": ["validation=0.1"]}.get(name, [])
    assert float(getattr(parse_settings([*others, f"{name}={bound[1]}"]), name)) == float(bound[1])
