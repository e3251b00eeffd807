"""All runs of the project, live: what each does, how far it is, how good it got. Any of them can be watched."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.watch import headline_first, metric_text
from mia_tui.keymap import Action
from mia_tui.runfolder import ENDED, RunFolder, Status
from mia_tui.screens import run_actions
from mia_tui.screens.run_details import LogScreen
from mia_tui.screens.run_view import RunScreen
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.form import ConfirmScreen
from mia_tui.widgets.table import cell_text, fill_table
from mia_tui.widgets.wording import STATE_MARKS, age, duration

PERIOD_S = 0.5
"""Seconds between two looks at the runs folder."""
COLUMNS = (
    ("Run", "run"),
    ("State", "state"),
    ("Progress", "progress"),
    ("Left", "left"),
    ("Best", "best"),
    ("Age", "age"),
)
LEAST = {"run": 16, "state": 10, "progress": 11, "left": 7, "best": 10, "age": 6}
"""Widths that cells may grow into while they are watched."""
_EMPTY = """[b]No runs yet[/b]

[b $accent]g t[/]  train a model on the labels of this project

[dim]Runs go on when this program is closed, and are found again here.[/]"""


@dataclass(frozen=True)
class Row:
    """What the list says about one run. `damage` says why it cannot be read; `best` is a score with its epoch."""

    run: RunFolder
    kind: str
    status: Status
    options: run_actions.Options | None = None
    best: str = ""
    damage: str = ""


@dataclass
class _Known:
    """What is kept of a run between two looks, so that a run that ended is not read again and again."""

    stamp: int = 0
    row: Row | None = None
    kind: str = ""
    model: str | None = None
    offset: int = 0
    best: str = ""


@dataclass
class Lister:
    """Reads the runs folder of a project; each look costs little for runs that have not changed. Used in a thread."""

    folder: Path
    _known: dict[Path, _Known] = field(default_factory=dict)

    def look(self) -> list[Row]:
        """All runs, newest first."""
        found = []
        for path in self.folder.glob("*/status.json"):
            if not path.parent.name.startswith("."):
                found.append(self._row(path))
        gone = self._known.keys() - {row.run.path for row in found}
        for path in gone:
            del self._known[path]
        return sorted(found, key=lambda row: row.status.created, reverse=True)

    def _row(self, path: Path) -> Row:
        run = RunFolder(path.parent)
        known = self._known.setdefault(run.path, _Known())
        try:
            stamp = path.stat().st_mtime_ns
            if known.row is not None and known.stamp == stamp and known.row.status.state in ENDED - {"lost"}:
                return known.row
            if known.row is None:
                known.kind, known.model = run_actions.kind_and_model(run)
            status = current_status(run)
            self._read_best(run, known)
            options = run_actions.options_of(run, status, known.model)
            known.stamp, known.row = stamp, Row(run, known.kind, status, options, known.best)
        except (MiaError, OSError, ValueError) as error:
            return Row(run, "", Status(state="lost"), damage=str(error))
        return known.row

    @staticmethod
    def _read_best(run: RunFolder, known: _Known) -> None:
        """Find the last epoch that was the best so far among the new events, without parsing the many others."""
        try:
            with open(run.path / "events.jsonl", "rb") as stream:
                stream.seek(known.offset)
                data = stream.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        known.offset += whole
        for line in data[:whole].splitlines():
            if b'"best": true' in line:
                known.best = _best_text(line) or known.best


def _best_text(line: bytes) -> str:
    try:
        event = json.loads(line)
        return metric_text(*next(iter(headline_first(event).items())))
    except (ValueError, KeyError, StopIteration, TypeError, AttributeError):
        return ""


class RunsScreen(MiaScreen):
    """The table of runs; enter attaches to one."""

    HEADING = "Runs"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("watch", "enter", "Watch", "Run", show=True),
        run_actions.STOP,
        run_actions.RESUME,
        run_actions.LOG,
        Action("predict", "p", "Predict", "Run", show=True),
        run_actions.EXTEND,
        Action("again", "t", "Train again with these settings", "Run"),
        Action("delete", "x,delete", "Delete", "Run", show=True),
    )
    DEFAULT_CSS = """
    RunsScreen #body { padding: 1 2 0 2; }
    RunsScreen DataTable { height: 1fr; background: transparent; }
    RunsScreen #empty { width: 100%; height: 100%; content-align: center middle; }
    RunsScreen #reason { height: auto; max-height: 4; color: $text-muted; margin: 1 0; }
    RunsScreen .-hidden { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    def compose_body(self) -> ComposeResult:
        with Vertical(id="body"):
            table: DataTable[Text] = DataTable(cursor_type="row", cursor_foreground_priority="renderable")
            yield table
            yield Static(id="reason", markup=False)
            with Vertical(id="empty-box", classes="-hidden"):
                yield Static(_EMPTY, id="empty")

    @property
    def table(self) -> "DataTable[Text]":
        return self.query_one(DataTable)

    def on_mount(self) -> None:
        super().on_mount()
        self.table.focus()
        self._watch()

    def enter(self, run: Path | None = None, **context: Any) -> None:
        """With `run`, the folder of a run, its live view is opened at once."""
        if run is not None:
            self.app.push_screen(RunScreen(RunFolder(run)))

    # ---- watching ---------------------------------------------------------------------------------------------------

    @work(group="watch", exclusive=True)
    async def _watch(self) -> None:
        project = self.host.project
        if project is None:
            return
        lister = Lister(project.runs_folder)
        while True:
            rows = await asyncio.to_thread(lister.look)
            if self.is_current and self.query(DataTable):  # not while another screen is on top, or at the very end
                self._take(rows)
            await asyncio.sleep(PERIOD_S)

    def _take(self, rows: list[Row]) -> None:
        order = [row.run.path for row in self.rows]
        before = self.chosen
        self.rows = rows
        if order != [row.run.path for row in rows] or self.table.row_count != len(rows):
            self._rebuild(before)
        else:
            self._update()
        self.query_one("#empty-box").set_class(bool(rows), "-hidden")
        self.table.set_class(not rows, "-hidden")
        self._show_reason()
        if self.chosen != before:
            self.refresh_bindings()

    def _rebuild(self, before: Row | None) -> None:
        fill_table(self.table, COLUMNS, {str(row.run.path): self._cells(row) for row in self.rows}, least=LEAST)
        if before is not None:
            at = next((i for i, row in enumerate(self.rows) if row.run == before.run), 0)
            self.table.move_cursor(row=at)

    def _update(self) -> None:
        for row in self.rows:
            for (_, column), text in zip(COLUMNS, self._cells(row), strict=True):
                if self.table.get_cell(str(row.run.path), column) != text:
                    self.table.update_cell(str(row.run.path), column, text)

    def _cells(self, row: Row) -> list[Text]:
        status = row.status
        glyph, color = STATE_MARKS[status.state]
        state = "damaged" if row.damage else status.state
        left = duration(status.eta_s) if status.state == "running" and status.eta_s is not None else ""
        return [
            Text(row.run.id, no_wrap=True),
            cell_text(self.app, f"{glyph} {state}", color),
            Text(_progress(row), no_wrap=True),
            cell_text(self.app, left, right=True),
            Text(row.best, no_wrap=True),
            cell_text(self.app, age(time.time() - status.created) if status.created else "", right=True),
        ]

    def _show_reason(self) -> None:
        row = self.chosen
        self.query_one("#reason", Static).update("" if row is None else (row.damage or row.status.message).strip())

    def on_data_table_row_highlighted(self) -> None:
        self._show_reason()
        self.refresh_bindings()

    # ---- actions ----------------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> Row | None:
        """The run that the cursor is on."""
        at = self.table.cursor_row
        return self.rows[at] if 0 <= at < len(self.rows) else None

    def _row(self) -> Row:
        if self.chosen is None:
            raise MiaError("There is no run yet: g t trains a model.")
        return self.chosen

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in ("watch", "stop", "resume", "extend", "log", "predict", "delete", "again"):
            row = self.chosen
            if row is None:
                return "There is no run yet: g t trains a model."
            if row.damage:
                return None if action_id == "log" else f"{row.damage}"
            if action_id == "delete" and row.status.state not in ENDED:
                return f"Run {row.run.id} is {row.status.state}. Stop it first (s)."
            if action_id in ("again", "extend") and row.kind != "train":
                return f"Run {row.run.id} is no training."
            return None if row.options is None else row.options.problem_of(action_id)
        return super().disabled_reason(action_id)

    def on_data_table_row_selected(self) -> None:
        self.call_later(self.perform, "watch")

    def action_watch(self) -> None:
        self.app.push_screen(RunScreen(self._row().run))

    async def action_stop(self) -> None:
        await run_actions.stop_run(self._row().run)
        self.say("Stopping. The checkpoint is written first; R goes on from it.")

    async def action_resume(self) -> None:
        await run_actions.resume_run(self._row().run)

    def action_extend(self) -> None:
        run_actions.extend_run(self, self._row().run)

    def action_log(self) -> None:
        self.app.push_screen(LogScreen(self._row().run))

    async def action_predict(self) -> None:
        options = self._row().options
        assert options is not None
        project = run_actions.need_project(self.host.project)
        run = await run_actions.start_prediction(project, options.model or "")
        self.app.push_screen(RunScreen(run))

    def action_again(self) -> None:
        self.host.go("training", settings=self._row().run.config().get("train", {}))

    def action_delete(self) -> None:
        run = self._row().run
        question = f"Delete the run {run.id} with its log, curves and checkpoints?\nIts model, if it made one, stays."
        self.app.push_screen(ConfirmScreen("Delete a run", question, "deletes it"), lambda yes: self._delete(run, yes))

    def _delete(self, run: RunFolder, yes: bool | None) -> None:
        if yes:
            self.run_worker(self._remove(run), exit_on_error=False)

    async def _remove(self, run: RunFolder) -> None:
        try:
            await asyncio.to_thread(control.remove, run)
        except MiaError as error:
            self.say(str(error), "error")
        else:
            self.say(f"Run {run.id} is deleted.")


def _progress(row: Row) -> str:
    status = row.status
    if row.kind == "predict":
        return f"frame {status.step}/{status.steps}" if status.steps else "predict"
    return f"epoch {status.epoch}/{status.epochs}" if status.epochs else row.kind
