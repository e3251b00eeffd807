"""The form that makes a new project from a folder of images."""

import os
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.project import FILE_NAME, IMAGE_SUFFIXES, TASKS, Project, make_classes
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.form import Choice, Field, FormScroll, LineInput, PathInput, focus_neighbour

_COUNT_UP_TO = 10_000
"""Images counted for the hint under a folder; past this the hint says "more than"."""

_NOTE = "Images stay where they are and are never written to; the project folder holds labels, runs and results."


class NewProjectScreen(MiaScreen):
    """Ask for folders, task and classes; every mistake is said at its field, and nothing is written before all fit."""

    HEADING = "New project"
    AUTO_FOCUS = "#field-folder Input"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("create", "ctrl+s", "Create", "Form", show=True),
        Action("next", "down", "Next field", "Form"),
        Action("previous", "up", "Previous field", "Form"),
        Action("back", "escape", "Cancel", "Form", show=True),
    )
    DEFAULT_CSS = """
    NewProjectScreen FormScroll { padding: 1 2; }
    NewProjectScreen FormScroll > * { max-width: 96; }
    NewProjectScreen #form-note { color: $text-muted; margin-bottom: 1; }
    NewProjectScreen.-high Field { margin-bottom: 1; }
    """

    def compose_body(self) -> ComposeResult:
        with FormScroll():
            yield Static(_NOTE, id="form-note")
            yield Field(
                "folder",
                "Project folder",
                PathInput(placeholder="~/my-project"),
                stacked=True,
                hint="made when missing",
            )
            yield Field(
                "images", "Images", PathInput(placeholder="/data/images"), stacked=True, hint="to label and train on"
            )
            yield Field("predict", "Images to predict", PathInput(), stacked=True, hint="may stay empty")
            yield Field("task", "Task", Choice(TASKS, TASKS[0]), stacked=True)
            yield Field("classes", "Classes", LineInput("cell", compact=True), stacked=True, hint="separated by commas")

    def field(self, name: str) -> Field:
        """The field `name`: folder, images, predict, task or classes."""
        return self.query_one(f"#field-{name}", Field)

    # ---- hints while typing -----------------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        field = next(field for field in self.query(Field) if field.control is event.input)
        field.show_error(None)
        if field.field_name in ("images", "predict"):
            self._count(field, field.text)

    @work(thread=True, exclusive=False, group="count")
    def _count(self, field: Field, text: str) -> None:
        hint = describe_folder(text) if text else ("may stay empty" if field.field_name == "predict" else "")
        self.app.call_from_thread(self._show_count, field, text, hint)

    def _show_count(self, field: Field, text: str, hint: str) -> None:
        if field.is_mounted and field.text == text:
            field.show_hint(hint)

    # ---- actions ----------------------------------------------------------------------------------------------------

    def action_next(self) -> None:
        focus_neighbour(list(self.query(Field)), 1)

    def action_previous(self) -> None:
        focus_neighbour(list(self.query(Field)), -1)

    def action_back(self) -> None:
        self.dismiss()

    def on_choice_submitted(self) -> None:
        self.action_next()

    def on_input_submitted(self) -> None:
        if not focus_neighbour(list(self.query(Field)), 1):
            self.call_later(self.perform, "create")

    async def action_create(self) -> None:
        texts = {field.field_name: field.text for field in self.query(Field)}
        problems = check(texts)
        for field in self.query(Field):
            field.show_error(problems.get(field.field_name))
        if problems:
            self.field(next(iter(problems))).control.focus()
            return
        project = Project.create(
            _path(texts["folder"]),
            images=_path(texts["images"]),
            predict_images=_path(texts["predict"]) if texts["predict"] else None,
            task=texts["task"],
            classes=_names(texts["classes"]),
        )
        await self.host.open_project(project.folder)


def check(texts: dict[str, str]) -> dict[str, str]:
    """Field name -> what is wrong with its text, in the order of the form; empty when a project can be made."""
    problems = {
        "folder": _check_folder(texts["folder"]),
        "images": _check_images(texts["images"]),
        "predict": _check_images(texts["predict"]) if texts["predict"] else None,
    }
    if texts["predict"] and problems["predict"] is None and _path(texts["predict"]) == _path(texts["images"]):
        problems["predict"] = "the same folder as the images: leave this empty, all images can be predicted"
    try:
        make_classes(_names(texts["classes"]))
    except MiaError as error:
        problems["classes"] = str(error)
    return {name: problem for name, problem in problems.items() if problem is not None}


def _check_folder(text: str) -> str | None:
    if not text:
        return "give a folder for the project, e.g. ~/my-project"
    folder = _path(text)
    if (folder / FILE_NAME).exists():
        return "already is a project: esc, then o opens it"
    if folder.exists() and not folder.is_dir():
        return "is a file: give a folder"
    parent = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return None if os.access(parent, os.W_OK) else f"cannot be written to: {parent}"


def _check_images(text: str) -> str | None:
    if not text:
        return "give the folder your images are in"
    folder = _path(text)
    if not folder.exists():
        return f"does not exist: {folder}"
    if not folder.is_dir():
        return "is a file: give the folder it is in"
    return None if os.access(folder, os.R_OK | os.X_OK) else f"cannot be read: {folder}"


def describe_folder(text: str) -> str:
    """How many images a folder holds, as a hint: "670 images"."""
    problem = _check_images(text)
    if problem is not None:
        return problem
    count = 0
    for _, folders, files in os.walk(_path(text)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        count += sum(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in files if name[0] != ".")
        if count > _COUNT_UP_TO:
            return f"more than {_COUNT_UP_TO:,} images"
    return f"{count:,} image{'' if count == 1 else 's'}" if count else "no images in it yet (PNG, JPEG, BMP, TIFF)"


def _path(text: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(text)))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]
