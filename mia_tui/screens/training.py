"""The form that starts a training. Its fields are made from `engine.config.TrainConfig`: one truth for form, command
line and run folder."""

import asyncio
import re
from collections.abc import Container, Iterator
from itertools import groupby
from typing import Any, ClassVar

from pydantic import ValidationError
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from mia_tui.engine.config import TrainConfig, check_for_task, make_config, parse_value, with_whole_paths
from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.keymap import Action
from mia_tui.project import Project
from mia_tui.runfolder import new_run_name
from mia_tui.screens.augmentation import AugmentationScreen
from mia_tui.screens.run_actions import need_project
from mia_tui.screens.training_fields import Setting, field_of, settings_of, to_text
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.form import Field, FormScroll, LineInput, focus_neighbour

_FOLDED = "▸ {count} more settings: ^o shows them"
_OPEN = "▾ more settings: ^o folds them"

FIND = "type words of its name or help, enter goes to it, esc shows all settings"

_SHORTER = (
    ("Input should be", "must be"),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("greater than", "more than"),
    ("a valid number, unable to parse string as a number", "a number"),
)


class TrainingScreen(MiaScreen):
    """Settings with good defaults; `^s` starts the training in a process of its own and shows it live."""

    HEADING = "Train a model"
    AUTO_FOCUS = "#field-epochs Input"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("start", "ctrl+s", "Start", "Training", show=True),
        Action("fold", "ctrl+o", "More", "Training", show=True, more="Show or fold the other settings"),
        Action("find", "slash,ctrl+f", "Find", "Training", show=True, more="Find a setting by its name or help text"),
        Action(
            "samples", "ctrl+t", "Samples", "Training", show=True, more="Show augmented samples, and what they cost"
        ),
        Action("defaults", "ctrl+r", "Defaults", "Training", show=True),
        Action("next", "down", "Next field", "Form"),
        Action("previous", "up", "Previous field", "Form"),
        Action("back", "escape", "Back", "General", show=True),
    )
    DEFAULT_CSS = """
    TrainingScreen FormScroll { padding: 1 2 0 2; }
    TrainingScreen #summary { color: $text-muted; margin-bottom: 1; }
    TrainingScreen #fold { color: $text-muted; margin: 1 0; }
    TrainingScreen Field .label { width: 22; }
    TrainingScreen .group { height: auto; margin-bottom: 1; }
    TrainingScreen .heading { color: $accent; text-style: bold; }
    TrainingScreen #find { height: 1; padding: 0 1; background: $panel; margin: 0 1; }
    TrainingScreen.-narrow Field.-inline Choice { max-width: 66%; }
    TrainingScreen #explain { height: 2; padding: 0 2; color: $text-muted; }
    TrainingScreen #problem { height: auto; padding: 0 2; color: $text-error; }
    TrainingScreen.-narrow Field .note { display: none; }
    TrainingScreen.-narrow Field.-wrong .note { display: block; }
    TrainingScreen .-hidden { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._labelled: int | None = None
        self._folded = True
        self._came_from: Field | None = None
        self._settings: list[Setting] = []

    def compose_body(self) -> ComposeResult:
        project = self.host.project
        self._settings = settings_of(TrainConfig, None if project is None else project.task)
        with FormScroll():
            yield Static(id="summary", markup=False)
            yield Field("name", "Name of the model", LineInput(new_run_name("model"), compact=True))
            defaults = make_config({}).model_dump()
            for setting in self._settings:
                if setting.basic:
                    yield field_of(setting, defaults[setting.name])
            yield Static(_FOLDED.format(count=len(self._advanced)), id="fold", markup=False)
            with Vertical(id="advanced", classes="-hidden"):
                yield from self._groups(defaults)
        yield Static(id="problem", markup=False, classes="-hidden")
        yield Static(id="explain", markup=False)
        yield LineInput(placeholder=FIND, id="find", classes="-hidden", compact=True)

    def _groups(self, defaults: dict[str, Any]) -> Iterator[Vertical]:
        """The settings of the folded part, each group under its heading."""
        for group, settings in groupby(self._advanced, lambda setting: setting.group):
            heading = [Static(group, classes="heading", markup=False)] if group else []
            fields = [field_of(setting, defaults[setting.name]) for setting in settings]
            yield Vertical(*heading, *fields, classes="group")

    @property
    def _advanced(self) -> list[Setting]:
        return [setting for setting in self._settings if not setting.basic]

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#advanced").styles.height = "auto"

    def on_screen_resume(self) -> None:
        self._count_labels()

    def enter(self, settings: dict[str, Any] | None = None, **context: Any) -> None:
        """With `settings`, those of another training, the form is filled with them."""
        if settings is not None:
            self._fill({**make_config({}).model_dump(), **settings})

    def field(self, name: str) -> Field:
        """The field of a setting, or "name"."""
        return self.query_one(f"#field-{name}", Field)

    # ---- what is there to learn from --------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="labels")
    def _count_labels(self) -> None:
        project = self.host.project
        if project is not None:
            count = len(project.frames_under("labels"))
            self.app.call_from_thread(self._show_summary, project, count)

    def _show_summary(self, project: Project, count: int) -> None:
        self._labelled = count
        frames = f"{count:,} labelled frame{'' if count == 1 else 's'}"
        classes = ", ".join(c.name for c in project.classes)
        self.query_one("#summary", Static).update(f"{project.task}   {frames}   classes: {classes}")
        self.refresh_bindings()

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in ("start", "samples") and self._labelled == 0:
            return "This project has no labels yet. Import masks on the images screen (g i) or with mia-tui import."
        return super().disabled_reason(action_id)

    # ---- filling in -------------------------------------------------------------------------------------------------

    def on_descendant_focus(self) -> None:
        self._explain()

    def on_resize(self) -> None:
        self.call_after_refresh(self._explain)

    def _explain(self) -> None:
        """Say in full what the focused setting does, where its line is too short for that."""
        field = self._focused_field()
        text = ""
        if field is not None and field.field_name != "name" and not field.hint_fits:
            text = field.hint
        self.query_one("#explain", Static).update(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "find":
            self._show_settings()
            return
        for field in self.query(Field):
            if field.control is event.input:
                field.show_error(None)

    def on_input_blurred(self, event: Input.Blurred) -> None:
        field = next((field for field in self.query(Field) if field.control is event.input), None)
        if field is not None:
            field.show_error(self.problems().get(field.field_name))

    def _texts(self) -> dict[str, str]:
        return {field.field_name: field.text for field in self.query(Field)}

    def problems(self) -> dict[str, str]:
        """Setting -> what is wrong with it; "" for what concerns several."""
        texts = self._texts()
        name = texts.pop("name")
        found = {"name": problem} if (problem := _check_name(name, self.host.project)) else {}
        return {**found, **check_settings(texts, self.host.project)}

    def _fill(self, values: dict[str, Any]) -> None:
        for setting in self._settings:
            if setting.name in values:
                self.field(setting.name).control.value = to_text(values[setting.name])

    # ---- actions ----------------------------------------------------------------------------------------------------

    def action_next(self) -> None:
        if self.query_one("#find").has_focus:
            self._go_to_found()
        else:
            focus_neighbour(list(self.query(Field)), 1)

    def action_previous(self) -> None:
        focus_neighbour(list(self.query(Field)), -1)

    def on_choice_submitted(self) -> None:
        self.action_next()

    def on_input_submitted(self) -> None:
        self.action_next()

    def action_fold(self) -> None:
        self._fold(not self._folded)

    def _fold(self, folded: bool) -> None:
        self._folded = folded
        self._show_settings()

    def _show_settings(self) -> None:
        """Show the settings that are searched for; without a search all of them, the folded part when it is open."""
        words = self.query_one("#find", Input).value.lower().split()
        for setting in self._settings:
            self.field(setting.name).set_class(not setting.matches(words), "-hidden")
        self.field("name").set_class(bool(words), "-hidden")
        for group in self.query(".group"):
            group.set_class(all(field.has_class("-hidden") for field in group.query(Field)), "-hidden")
        self.query_one("#advanced").set_class(self._folded and not words, "-hidden")
        fold = self.query_one("#fold", Static)
        none_found = bool(words) and not any(setting.matches(words) for setting in self._settings)
        fold.set_class(bool(words) and not none_found, "-hidden")
        folded = _FOLDED.format(count=len(self._advanced)) if self._folded else _OPEN
        fold.update("No setting is called so." if none_found else folded)

    def action_find(self) -> None:
        find = self.query_one("#find", Input)
        self._came_from = self._focused_field() or self._came_from
        find.remove_class("-hidden")
        find.focus()

    def _focused_field(self) -> Field | None:
        return next((field for field in self.query(Field) if field.control.has_focus), None)

    def _go_to_found(self) -> None:
        """To the first setting that was found."""
        shown = [field for field in self.query(Field) if not field.has_class("-hidden")]
        if self.query_one("#find", Input).value.strip() and shown:
            shown[0].control.focus()

    def action_back(self) -> None:
        """End the search, at the setting gone to or where it began; without a search, leave."""
        find = self.query_one("#find", Input)
        if find.has_class("-hidden"):
            super().action_back()
            return
        at = self._focused_field()
        find.value = ""
        find.add_class("-hidden")
        if at is not None and at.field_name in {setting.name for setting in self._advanced}:
            self._folded = False
        self._show_settings()
        target = at or self._came_from
        if target is not None:
            self.call_after_refresh(target.control.focus)

    def action_defaults(self) -> None:
        self._fill(make_config({}).model_dump())
        self._show_problems({})

    async def action_start(self) -> None:
        project = need_project(self.host.project)
        problems = self.problems()
        self._show_problems(problems)
        if problems:
            return
        texts = self._texts()
        name = texts.pop("name")
        settings = with_whole_paths(make_config(parse(texts)))
        config = {"kind": "train", "device": settings.device, "train": settings.model_dump()}
        run = await asyncio.to_thread(control.start, project, config, name)
        self.field("name").control.value = new_run_name("model")
        self.host.go("runs", run=run.path)

    def action_samples(self) -> None:
        project = need_project(self.host.project)
        problems = {name: problem for name, problem in self.problems().items() if name != "name"}
        self._show_problems(problems)
        if problems:
            return
        texts = self._texts()
        del texts["name"]
        self.app.push_screen(AugmentationScreen(project.folder, texts))

    def _show_problems(self, problems: dict[str, str]) -> None:
        """Say each problem at its field (unfolding it), what concerns several below the form; go to the first."""
        for field in self.query(Field):
            field.show_error(problems.get(field.field_name))
        general = self.query_one("#problem", Static)
        general.update(f"✗ {problems['']}" if "" in problems else "")
        general.set_class("" not in problems, "-hidden")
        names = [field.field_name for field in self.query(Field) if field.field_name in problems]
        if names and self.query_one("#find", Input).value:
            self.query_one("#find", Input).value = ""
            self.query_one("#find").add_class("-hidden")
        if set(names) & {setting.name for setting in self._advanced}:
            self._fold(False)
        if names:
            self.call_after_refresh(self.field(names[0]).control.focus)


# ---- fields and settings --------------------------------------------------------------------------------------------


def setting_names(*, basic: bool, task: str | None = None) -> list[str]:
    """Settings of the top of the form (`basic`) or of the folded part, in their order."""
    return [setting.name for setting in settings_of(TrainConfig, task) if setting.basic == basic]


def parse(texts: dict[str, str]) -> dict[str, Any]:
    """The texts of the form as `TrainConfig` takes them."""
    return {name: parse_value(text, name) for name, text in texts.items()}


def check_settings(texts: dict[str, str], project: Project | None = None) -> dict[str, str]:
    """Setting -> what is wrong with its text, or with it for the task of the project; "" for what names no setting.

    A rule over several settings is said at the first one it names.
    """
    found: dict[str, str] = {}
    try:
        config = TrainConfig(**parse(texts))
        if project is not None:
            check_for_task(config, project.task, len(project.classes))
    except ValidationError as error:
        for item in error.errors():
            message = _in_short(item["msg"].removeprefix("Value error, "))
            found.setdefault(str(item["loc"][0]) if item["loc"] else _named(message, texts), message)
    except MiaError as error:
        for line in str(error).splitlines()[1:]:
            name = _named(line, texts)
            found.setdefault(name, line.strip().removeprefix(f"{name}: "))
    return found


def _named(message: str, names: Container[str]) -> str:
    """The first word of a message that is a setting; "" without one."""
    return next((word for word in re.findall(r"\w+", message) if word in names), "")


def _in_short(message: str) -> str:
    """A message of pydantic in words that fit beside a field: "must be at least 1"."""
    if "valid integer" in message:
        return "must be a whole number"
    for long, short in _SHORTER:
        message = message.replace(long, short)
    return message


def _check_name(name: str, project: Project | None) -> str | None:
    if not name or name.startswith(".") or "/" in name or name != name.strip():
        return "use letters, digits, - and _"
    if project is not None:
        for folder in (project.models_folder, project.runs_folder):
            if (folder / name).exists():
                return f"{folder.name}/{name} exists: choose another name"
    return None
