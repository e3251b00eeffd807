"""The first screen: projects opened before, and the ways to a new one.

This module is on the way to the first painted frame: it imports nothing heavy, and reads project folders in a thread.
"""

import time
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from mia_tui import project as project_module
from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.settings import RecentProject, forget_project, recent_projects
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.table import cell_text, fill_table
from mia_tui.widgets.wording import age, short_path

_EMPTY = """[b]No projects yet[/b]

[b $accent]n[/]  new project from a folder of images
[b $accent]o[/]  open a project folder
[b $accent]d[/]  demo: a project of simulated cells to try everything on

[dim]Images stay where they are and are never written to.[/]"""

COLUMNS = (("Project", "name"), ("Task", "task"), ("Opened", "opened"), ("Folder", "folder"))


class ProjectsScreen(MiaScreen):
    """Recent projects, newest first."""

    HEADING = "Projects"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("open", "enter", "Open", "Project", show=True),
        Action("new", "n", "New", "Project", show=True),
        Action("open_path", "o", "Open folder", "Project", show=True),
        Action("demo", "d", "Demo", "Project", show=True),
        Action("forget", "x,delete", "Take off the list", "Project"),
    )
    DEFAULT_CSS = """
    ProjectsScreen #body { padding: 1 2; }
    ProjectsScreen DataTable { height: 1fr; background: transparent; }
    ProjectsScreen #empty { width: 100%; height: 100%; content-align: center middle; }
    ProjectsScreen .-hidden { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._projects: list[RecentProject] = []

    def compose_body(self) -> ComposeResult:
        with Vertical(id="body"):
            table: DataTable[Text] = DataTable(cursor_type="row", cursor_foreground_priority="css")
            yield table
            with Vertical(id="empty-box", classes="-hidden"):
                yield Static(_EMPTY, id="empty")

    @property
    def table(self) -> "DataTable[Text]":
        return self.query_one(DataTable)

    def on_screen_resume(self) -> None:
        self._fill()

    def _fill(self) -> None:
        self._projects, problem = recent_projects()
        if problem is not None:
            self.say(problem, "warning")
        self._fill_table(frozenset())
        self.query_one("#empty-box").set_class(bool(self._projects), "-hidden")
        self.table.set_class(not self._projects, "-hidden")
        if self._projects:
            self.table.focus()
            self._look_up([recent.folder for recent in self._projects])
        self.refresh_bindings()

    @work(thread=True, exclusive=True, group="look-up")
    def _look_up(self, folders: list[Path]) -> None:
        """Mark the projects that are gone. A sleeping network disk holds up this thread only."""
        gone = [folder for folder in folders if not (folder / project_module.FILE_NAME).is_file()]
        if gone:
            self.app.call_from_thread(self._mark_gone, gone)

    def _mark_gone(self, folders: list[Path]) -> None:
        row = self.table.cursor_row
        self._fill_table(frozenset(folders))
        self.table.move_cursor(row=row)

    def _fill_table(self, gone: frozenset[Path]) -> None:
        rows = {}
        for recent in self._projects:
            texts = (recent.name, recent.task, age(time.time() - recent.opened))
            folder = Text(short_path(recent.folder), no_wrap=True)
            if recent.folder in gone:
                folder = cell_text(self.app, f"✗ missing  {short_path(recent.folder)}", "text-warning")
            rows[str(recent.folder)] = [*(Text(text, no_wrap=True) for text in texts), folder]
        fill_table(self.table, COLUMNS, rows, most=200)

    # ---- actions ----------------------------------------------------------------------------------------------------

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in ("open", "forget") and not self._projects:
            return "There is no project in the list: n makes one, d a demo."
        return super().disabled_reason(action_id)

    def on_data_table_row_selected(self) -> None:
        self.call_later(self.perform, "open")

    def _chosen(self) -> RecentProject:
        return self._projects[self.table.cursor_row]

    async def action_open(self) -> None:
        await self.host.open_project(self._chosen().folder)

    def action_forget(self) -> None:
        chosen = self._chosen()
        forget_project(chosen.folder)
        self._fill()
        self.say(f"{chosen.name} is off the list. Its folder is untouched: {chosen.folder}")

    def action_new(self) -> None:
        from mia_tui.screens.new_project import NewProjectScreen

        self.app.push_screen(NewProjectScreen())

    def action_open_path(self) -> None:
        from mia_tui.widgets.form import PathInput, PromptScreen

        control = PathInput(placeholder="~/my-project")
        prompt = PromptScreen("Open a project", "Project folder", control, check=_not_a_project)
        self.app.push_screen(prompt, self._open_later)

    def _open_later(self, text: str | None) -> None:
        if text is not None:
            self.run_worker(self._open(Path(text).expanduser()), exit_on_error=False)

    async def _open(self, folder: Path) -> None:
        try:
            await self.host.open_project(folder)
        except MiaError as error:
            self.say(str(error), "error")

    def action_demo(self) -> None:
        from mia_tui.widgets.form import PathInput, PromptScreen

        control = PathInput(str(_free_folder(Path.cwd() / "mia-demo")))
        hint = "made of simulated cells, about ten seconds"
        prompt = PromptScreen("Demo project", "Folder", control, hint=hint, check=_not_free)
        self.app.push_screen(prompt, self._make_demo_later)

    def _make_demo_later(self, text: str | None) -> None:
        if text is not None:
            self._make_demo(Path(text).expanduser())

    @work(exclusive=True, group="demo")
    async def _make_demo(self, folder: Path) -> None:
        from mia_tui.screens.command import run_command

        self.set_title_note(f"making {short_path(folder)} …")
        try:
            await run_command(["demo", str(folder), "--create-only"], self.set_title_note)
            await self.host.open_project(folder)
        except MiaError as error:
            self.say(str(error), "error")
        finally:
            self.set_title_note("")


def _not_free(text: str) -> str | None:
    """What is wrong with a path that should become a project."""
    if not text:
        return "give a folder, e.g. ~/mia-demo"
    folder = Path(text).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return f"{folder} exists and is not empty: choose another"
    return None


def _free_folder(folder: Path) -> Path:
    """`folder`, or with the first number behind it that is not taken."""
    names = [folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, 1000))]
    return next((name for name in names if not name.exists()), folder)


def _not_a_project(text: str) -> str | None:
    """What is wrong with a path that should be a project folder."""
    try:
        folder = Path(text).expanduser()
        if not text or not folder.is_dir():
            return f"{folder} is not a folder" if text else "give the folder of a project"
        if not (folder / project_module.FILE_NAME).is_file():
            return f"no {project_module.FILE_NAME} in it: esc, then n makes a new project"
    except (OSError, RuntimeError, ValueError) as error:
        return str(error)
    return None
