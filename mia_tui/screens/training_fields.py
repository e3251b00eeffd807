"""The settings of a training as the form shows them, read from the settings model: which, in what order, how edited."""

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from textual.events import Key

from mia_tui.widgets.form import Choice, Field, LineInput

GROUPS = (
    "Network", "Input", "Patches", "Target", "Loss", "Optimiser", "Schedule", "Validation", "Augmentation", "Machine",
)  # fmt: skip
"""Order of the groups of the folded part; settings of other groups, or of none, come after them."""
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Setting:
    """One setting. `group` is its heading in the folded part, "" without one; `options` are its fixed texts."""

    name: str
    description: str
    basic: bool
    group: str
    options: tuple[str, ...]
    is_text: bool

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    def matches(self, words: Iterable[str]) -> bool:
        """Whether name and help text together hold all words (in small letters)."""
        text = f"{self.name} {self.label} {self.group} {self.description}".lower()
        return all(word in text for word in words)


def settings_of(model: type[BaseModel], task: str | None = None) -> list[Setting]:
    """The settings of a model that a task has (all without one): basic ones first, then group by group."""
    found = []
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        tasks: Any = extra.get("tasks")
        if task is not None and tasks is not None and task not in tasks:
            continue
        kinds = _kinds(info.annotation)
        found.append(
            Setting(
                name,
                info.description or "",
                bool(extra.get("basic")),
                str(extra.get("group") or ""),
                _options(info.annotation, kinds),
                str in kinds,
            )
        )
    return sorted(found, key=lambda setting: (not setting.basic, 0 if setting.basic else _rank(setting.group)))


def _rank(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS) + (not group)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that a setting may have: the members of a union, else the type itself."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _options(annotation: Any, kinds: tuple[Any, ...]) -> tuple[str, ...]:
    if annotation is bool:
        return YES, NO
    fixed = kinds[0] if len(kinds) == 1 else None
    return tuple(map(str, typing.get_args(fixed))) if typing.get_origin(fixed) is typing.Literal else ()


class NumberInput(LineInput):
    """A line for numbers, in which `/` is no character but the key that searches."""

    async def on_key(self, event: Key) -> None:
        if event.key == "slash":
            event.prevent_default()

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != "slash" and super().check_consume_key(key, character)


def field_of(setting: Setting, default: Any) -> Field:
    """The form field of a setting: a choice for a few fixed texts, else a line of text."""
    text = to_text(default)
    kind = LineInput if setting.is_text else NumberInput
    control = Choice(setting.options, text) if setting.options else kind(text, compact=True)
    return Field(setting.name, setting.label, control, hint=setting.description)


def to_text(value: Any) -> str:
    """A setting as the form shows it: None is empty, a list is comma separated."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
