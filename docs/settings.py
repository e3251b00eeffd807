"""Makes docs/settings.md, the page of all training settings, from the settings model itself.

`python docs/settings.py` writes the page; a test fails when it is not what this script would write.
"""

import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from mia_tui.engine.augment.strengths import PRESETS
from mia_tui.engine.config import DEFAULT_LOSS, LOSSES, TrainConfig
from mia_tui.engine.optimizer_names import DEFAULT_DECAYS, DEFAULT_RATES

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# All settings of a training

Made from the program by `python docs/settings.py`; do not edit. [training.md](training.md) says which matter.

Each is given as `--set name=value`, as a line `name = value` of a `--config` file (TOML), or in the form. An empty
value (`--set name=`) means what the last column says of *empty*. The form shows the settings in **bold** at once.
"""

SIGNS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
"""How a bound is written; lower bounds come first."""


def page() -> str:
    """The whole page."""
    fields = TrainConfig.model_fields.items()
    parts = [HEAD]
    for group, members in groupby(fields, lambda pair: place(pair[1])["group"]):
        rows = [row(name, info) for name, info in members]
        parts.append(f"## {group}\n\n" + table(("setting", "default", "values", "tasks", "what it does"), rows))
    parts += [losses(), optimisers(), presets()]
    return "\n".join(parts)


def place(info: FieldInfo) -> dict[str, Any]:
    """Group, tasks and rank of a setting."""
    assert isinstance(info.json_schema_extra, dict)
    return dict(info.json_schema_extra)


def row(name: str, info: FieldInfo) -> tuple[str, ...]:
    """The line of one setting."""
    own = place(info)
    tasks = ", ".join(own["tasks"]) if "tasks" in own else "all"
    shown = f"**`{name}`**" if own["basic"] else f"`{name}`"
    return shown, default_text(info.default), values_text(info), tasks, info.description or ""


def default_text(value: Any) -> str:
    """A default as `--set` takes it."""
    if value is None:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`"


def values_text(info: FieldInfo) -> str:
    """What a setting may be."""
    kinds = members(info.annotation)
    if fixed := next((typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is typing.Literal), None):
        return ", ".join(f"`{value}`" for value in fixed)
    if bool in kinds:
        return "`true`, `false`"
    listed = next((typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is list), None)
    if listed is not None:
        return "whole numbers, comma separated" if listed is int else "texts, comma separated"
    if str in kinds:
        return "text"
    return " ".join(["whole number" if int in kinds else "number", *bounds(info)])


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, else the type itself."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def bounds(info: FieldInfo) -> list[str]:
    """The lower and the upper bound."""
    found = {sign: getattr(entry, sign) for entry in info.metadata for sign in SIGNS if hasattr(entry, sign)}
    return [text.format(f"{found[sign]:.10g}") for sign, text in SIGNS.items() if sign in found]


def losses() -> str:
    """Which losses a task has."""
    rows = [(task, f"`{DEFAULT_LOSS[task]}`", ", ".join(f"`{name}`" for name in LOSSES[task])) for task in LOSSES]
    return "## Losses\n\n" + table(("task", "`auto`", "terms that can be added up"), rows)


def optimisers() -> str:
    """Learning rate and weight decay of each optimiser where they are left empty."""
    rows = [(f"`{name}`", f"{rate:g}", f"{DEFAULT_DECAYS[name]:g}") for name, rate in DEFAULT_RATES.items()]
    return "## Optimisers\n\n" + table(("optimiser", "empty learning rate", "empty weight decay"), rows)


def presets() -> str:
    """The strengths of the presets of augmentation."""
    columns = {name: asdict(strengths) for name, strengths in PRESETS.items()}
    switches = list(columns["none"])
    rows = [
        (f"`augment_{switch}`", *(f"{values[switch]:g}" if values[switch] else "–" for values in columns.values()))
        for switch in switches
    ]
    return "## Presets of augmentation\n\n" + table(("switch", *(f"`{name}`" for name in columns)), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
