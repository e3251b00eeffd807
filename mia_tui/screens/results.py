"""Results: objects measured, models scored, tables opened again, sorted, summed up per image, and exported.

Measuring and scoring run as commands beside the screen. A table stays in Arrow memory; only one page of it is in the
widget, so that 100,000 rows open as fast as ten.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.project import parse_frame
from mia_tui.screens import result_tables, run_actions
from mia_tui.screens.command import run_command
from mia_tui.screens.run_view import RunScreen
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.choose import ChooseScreen
from mia_tui.widgets.form import PathInput, PromptScreen
from mia_tui.widgets.table import fill_table

if TYPE_CHECKING:
    import pyarrow as pa

PAGE = 500
"""Rows in the widget at a time."""
_EMPTY = """[b]Nothing measured yet[/b]

[b $accent]m[/]  measure the labels, or the predictions of a model ([b $accent]f[/] chooses)
[b $accent]e[/]  score a model on the validation images
[b $accent]p[/]  predict with a model"""


@dataclass(frozen=True)
class Sheet:
    """A table in sight.

    `start` is the first row of the page; `sorted_by` a column with - in front when descending; `note` what it says as a
    whole.
    """

    title: str
    table: "pa.Table"
    start: int = 0
    sorted_by: str = ""
    note: str = ""

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)


class ResultsScreen(MiaScreen):
    """Tables of the project's results."""

    HEADING = "Results"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("measure", "m", "Measure", "Results", show=True),
        Action("evaluate", "e", "Score a model", "Results", show=True),
        Action("source", "f", "From", "Results", show=True),
        Action("images", "i", "Per image", "View", show=True),
        Action("export", "w", "Export", "Results", show=True),
        Action("open", "o", "Open a table", "Results", show=True),
        Action("sort", "s", "Sort by this column", "View"),
        Action("next_page", "right_square_bracket", "Next page", "View"),
        Action("previous_page", "left_square_bracket", "Previous page", "View"),
        Action("show_image", "enter", "Show the object's image", "View"),
        Action("predict", "p", "Predict with a model", "Results"),
        Action("cancel", "c", "Cancel what is running", "Results"),
    )
    DEFAULT_CSS = """
    ResultsScreen #body { padding: 1 2 0 2; }
    ResultsScreen #caption { height: 1; margin-bottom: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ResultsScreen DataTable {
        height: 1fr; background: transparent;
        scrollbar-size: 1 1; scrollbar-background: $background; scrollbar-color: $panel;
        scrollbar-corner-color: $background;
        & > .datatable--fixed { background: $background; color: $text; }
    }
    ResultsScreen #empty { width: 100%; height: 100%; content-align: center middle; }
    ResultsScreen #progress { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    ResultsScreen .-hidden { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.source = "labels"
        self.sheet: Sheet | None = None
        self._objects: Sheet | None = None  # what the summary per image was made of
        self._busy_with = ""

    def compose_body(self) -> ComposeResult:
        with Vertical(id="body"):
            yield Static(id="caption", markup=False)
            table: DataTable[Text] = DataTable(cursor_type="cell", cursor_foreground_priority="css", fixed_columns=1)
            yield table
            with Vertical(id="empty-box"):
                yield Static(_EMPTY, id="empty")
            yield Static(id="progress", markup=False)

    @property
    def table(self) -> "DataTable[Text]":
        return self.query_one(DataTable)

    def on_mount(self) -> None:
        super().on_mount()
        self.table.set_class(True, "-hidden")
        self._open_newest()

    def enter(self, source: str | None = None, **context: Any) -> None:
        """With `source`, "labels" or "predictions:MODEL", that is what will be measured."""
        if source is not None:
            self.source = source
        self._caption()

    @work(group="open", exclusive=True)
    async def _open_newest(self) -> None:
        """Show the table written last, if there is one."""
        files = await asyncio.to_thread(
            result_tables.table_files, run_actions.need_project(self.host.project).results_folder
        )
        if files:
            await self._load(files[0])
        else:
            self._caption()

    # ---- showing a table --------------------------------------------------------------------------------------------

    async def _load(self, path: Path) -> None:
        try:
            table = await asyncio.to_thread(result_tables.read, path)
        except MiaError as error:
            self.say(str(error), "error")
            return
        self._objects = None
        self._show(Sheet(path.name, table))

    def _show(self, sheet: Sheet) -> None:
        self.sheet = sheet
        columns = [(name, name) for name in sheet.table.column_names]
        rows = result_tables.page_cells(sheet.table, sheet.start, PAGE)
        column = self.table.cursor_column
        fill_table(self.table, columns, rows, most=28)
        self.table.move_cursor(row=0, column=column)
        self.query_one("#empty-box").add_class("-hidden")
        self.table.remove_class("-hidden")
        self.table.focus()
        self._caption()
        self.refresh_bindings()

    def _caption(self) -> None:
        sheet = self.sheet
        parts = [f"m measures {self.source}"]
        if sheet is not None:
            end = min(sheet.start + PAGE, sheet.rows)
            count = (
                f"{sheet.rows:,} rows" if sheet.rows <= PAGE else f"rows {sheet.start + 1:,}–{end:,} of {sheet.rows:,}"
            )
            parts = [sheet.title, count, *([sheet.note] if sheet.note else []), *parts]
            if sheet.sorted_by:
                name = sheet.sorted_by.removeprefix("-")
                parts.insert(2, f"sorted by {name} {'↓' if sheet.sorted_by.startswith('-') else '↑'}")
        for caption in self.query("#caption"):
            assert isinstance(caption, Static)
            caption.update("   ".join(parts))

    # ---- commands ---------------------------------------------------------------------------------------------------

    @work(group="command", exclusive=True)
    async def _command(self, what: str, arguments: list[str], then: Callable[[dict[str, Any]], Any]) -> None:
        self._busy_with = what
        progress = self.query_one("#progress", Static)
        progress.update(f"{what} …   c cancels")
        self.refresh_bindings()
        try:
            answer = await run_command(arguments, lambda line: progress.update(f"{what}   {line}   c cancels"))
            await then(answer)
        except MiaError as error:
            self.say(str(error), "error")
        finally:
            self._busy_with = ""
            if progress.is_attached:
                progress.update("")
                self.refresh_bindings()

    async def _measured(self, answer: dict[str, Any]) -> None:
        await self._load(Path(answer["file"]))
        problems = answer.get("problems") or []
        if problems:
            self.say("\n".join([f"{len(problems)} could not be measured:", *map(str, problems[:3])]), "warning")

    async def _evaluated(self, model: str, split: str, answer: dict[str, Any]) -> None:
        self._objects = None
        table = await asyncio.to_thread(result_tables.score_table, answer)
        self._show(Sheet(f"{model} on {split} images", table, note=result_tables.score_note(answer)))

    # ---- actions ----------------------------------------------------------------------------------------------------

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in ("measure", "evaluate") and self._busy_with:
            return f"Busy: {self._busy_with}. c cancels it."
        if action_id == "cancel" and not self._busy_with:
            return "Nothing is running."
        if action_id in ("images", "export", "sort", "next_page", "previous_page", "show_image") and self.sheet is None:
            return "There is no table yet: m measures."
        return self._page_reason(action_id) or super().disabled_reason(action_id)

    def _page_reason(self, action_id: str) -> str | None:
        sheet = self.sheet
        if sheet is None:
            return None
        if action_id == "next_page" and sheet.start + PAGE >= sheet.rows:
            return "This is the last page."
        if action_id == "previous_page" and sheet.start == 0:
            return "This is the first page."
        if action_id == "images" and self._objects is None and not {"image", "area"} <= set(sheet.table.column_names):
            return "This table is no list of measured objects."
        if action_id == "show_image" and "image" not in sheet.table.column_names:
            return "This table names no images."
        return None

    def action_measure(self) -> None:
        arguments = ["measure", self._folder(), "--from", self.source]
        self._command(f"measuring {self.source}", arguments, self._measured)

    async def action_source(self) -> None:
        project = run_actions.need_project(self.host.project)
        names = await asyncio.to_thread(result_tables.predicted_models, project.folder / "predictions")
        options = [("labels", "labels"), *((f"predictions:{name}", f"predictions of {name}") for name in names)]
        self.app.push_screen(ChooseScreen("Measure from", options, self.source), self._take_source)

    def _take_source(self, source: str | None) -> None:
        if source is not None:
            self.source = source
            self._caption()

    async def action_evaluate(self) -> None:
        self.app.push_screen(await self._choose_model("Score a model on its validation images"), self._evaluate)

    def _evaluate(self, model: str | None) -> None:
        if model is not None:

            async def then(answer: dict[str, Any]) -> None:
                await self._evaluated(model, "validation", answer)

            arguments = ["evaluate", self._folder(), "--model", model, "--split", "val"]
            self._command(f"scoring {model}", arguments, then)

    async def action_predict(self) -> None:
        self.app.push_screen(await self._choose_model("Predict with"), self._predict)

    def _predict(self, model: str | None) -> None:
        if model is not None:
            self.run_worker(self._start_prediction(model), exit_on_error=False)

    async def _start_prediction(self, model: str) -> None:
        try:
            run = await run_actions.start_prediction(run_actions.need_project(self.host.project), model)
        except MiaError as error:
            self.say(str(error), "error")
        else:
            self.source = f"predictions:{model}"
            self.app.push_screen(RunScreen(run))

    async def _choose_model(self, title: str) -> ChooseScreen:
        models = await asyncio.to_thread(run_actions.need_project(self.host.project).models)
        if not models:
            raise MiaError("There is no model yet: g t trains one.")
        return ChooseScreen(title, [(name, name) for name in models])

    async def action_open(self) -> None:
        folder = run_actions.need_project(self.host.project).results_folder
        files = await asyncio.to_thread(result_tables.table_files, folder)
        if not files:
            raise MiaError("There is no table in results/ yet: m measures.")
        options = [(str(path), str(path.relative_to(folder))) for path in files]
        self.app.push_screen(ChooseScreen("Open a table", options), self._open_later)

    def _open_later(self, path: str | None) -> None:
        if path is not None:
            self.run_worker(self._load(Path(path)), group="open", exclusive=True)

    async def action_images(self) -> None:
        assert self.sheet is not None
        if self._objects is not None:
            self._show(self._objects)
            self._objects = None
            return
        objects = self.sheet
        summary = await asyncio.to_thread(result_tables.per_image, objects.table)
        self._objects = objects
        self._show(Sheet(f"{objects.title} per image", summary))

    async def action_sort(self) -> None:
        sheet = self.sheet
        assert sheet is not None
        column = self.table.cursor_column
        name = sheet.table.column_names[column]
        order = f"-{name}" if sheet.sorted_by == name else name
        self._show(
            replace(
                sheet,
                table=await asyncio.to_thread(result_tables.in_order, sheet.table, order),
                start=0,
                sorted_by=order,
            )
        )

    def action_next_page(self) -> None:
        assert self.sheet is not None
        self._show(replace(self.sheet, start=self.sheet.start + PAGE))

    def action_previous_page(self) -> None:
        assert self.sheet is not None
        self._show(replace(self.sheet, start=max(0, self.sheet.start - PAGE)))

    def on_data_table_cell_selected(self) -> None:
        self.call_later(self.perform, "show_image")

    def action_show_image(self) -> None:
        assert self.sheet is not None
        row = self.sheet.table.slice(self.sheet.start + self.table.cursor_row, 1).to_pylist()[0]
        t, z = parse_frame(str(row["frame"])) if row.get("frame") else (0, 0)
        self.host.go("browser", key=str(row["image"]), t=t, z=z)

    def action_export(self) -> None:
        assert self.sheet is not None
        title = Path(self.sheet.title.replace(" ", "-")).stem
        control = PathInput(str(Path.cwd() / f"{title}.csv"))
        prompt = PromptScreen(
            "Export this table", "File", control, hint=".csv or .parquet", check=result_tables.not_a_table
        )
        self.app.push_screen(prompt, self._export_later)

    def _export_later(self, text: str | None) -> None:
        if text is not None:
            self.run_worker(self._export(Path(text).expanduser().absolute()), exit_on_error=False)

    async def _export(self, path: Path) -> None:
        assert self.sheet is not None
        try:
            await asyncio.to_thread(result_tables.write, self.sheet.table, path)
        except MiaError as error:
            self.say(str(error), "error")
        else:
            self.say(f"{self.sheet.rows:,} rows written to {path}")

    def action_cancel(self) -> None:
        self.say(f"Cancelled: {self._busy_with}")
        self.workers.cancel_group(self, "command")

    def _folder(self) -> str:
        return str(run_actions.need_project(self.host.project).folder)
