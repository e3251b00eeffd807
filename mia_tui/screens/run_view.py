"""One run, live: curves, progress, device, log and preview. Reads the run's own files and never asks its process, so
that any run can be watched: before, during and after, also one that another terminal started."""

import asyncio
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.watch import EventTail, RunHistory, is_share, metrics_text
from mia_tui.keymap import Action
from mia_tui.runfolder import ENDED, RunFolder, Status
from mia_tui.screens import run_actions
from mia_tui.screens.run_details import PERIOD_S, LogScreen, PictureScreen, log_lines
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.chart import BEST_GLYPH, MARKERS, LineChart, Series
from mia_tui.widgets.picture import Picture
from mia_tui.widgets.wording import STATE_MARKS, duration

LOG_TAIL = 16_384
"""Bytes of the log's end that the few lines in sight are taken from."""
SILENT_S = 10.0
"""A live run that gave no sign for this long is shown with the age of its last one."""


@dataclass(frozen=True)
class Look:
    """What one look at a run's files found. `log` is None when the log is as it was."""

    status: Status
    options: run_actions.Options
    events: list[dict[str, Any]]
    log: list[str] | None


class Watcher:
    """Looks at the files of one run; each look returns what is new. Used in a thread, by one caller."""

    def __init__(self, run: RunFolder, model: str | None) -> None:
        self.run = run
        self._model = model
        self._tail = EventTail(run)
        self._log_stamp: tuple[int, int] | None = None

    def look(self) -> Look | str:
        """Read status, new events and the end of the log; what is wrong when the folder is gone or damaged."""
        try:
            status = current_status(self.run)
        except MiaError as error:
            return str(error)
        return Look(status, run_actions.options_of(self.run, status, self._model), self._tail.read(), self._read_log())

    def _read_log(self) -> list[str] | None:
        try:
            stat = self.run.log.stat()
        except FileNotFoundError:
            return None
        stamp = (stat.st_size, stat.st_mtime_ns)
        if stamp == self._log_stamp:
            return None
        self._log_stamp = stamp
        return log_lines(self.run, LOG_TAIL)


class RunScreen(MiaScreen):
    """The live view of a run. Leaving it never stops the run."""

    HEADING = "Run"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        run_actions.STOP,
        run_actions.RESUME,
        run_actions.LOG,
        Action("scale", "y", "Log scale", "View", show=True),
        Action("predict", "p", "Predict", "Run", show=True),
        run_actions.EXTEND,
        Action("enlarge", "v", "Large preview", "View"),
        Action("earlier", "left_square_bracket", "Earlier preview", "View"),
        Action("later", "right_square_bracket", "Later preview", "View"),
        Action("back", "escape", "Back to the runs", "General", show=True),
    )
    DEFAULT_CSS = """
    RunScreen #facts { height: auto; max-height: 7; padding: 0 1; }
    RunScreen #charts { height: 1fr; min-height: 7; padding: 0 1; margin-top: 1; }
    RunScreen #scores { margin-left: 2; }
    RunScreen #lower { height: 40%; padding: 0 1; margin-top: 1; }
    RunScreen #seen { width: 1fr; }
    RunScreen #seen Static, RunScreen #log-title { height: 1; color: $text-muted; }
    RunScreen #said { width: 1fr; margin-left: 2; }
    RunScreen #log { height: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    RunScreen.-wide #said { width: 2fr; }
    RunScreen.-low #lower { margin-top: 0; }
    RunScreen.-low #charts { margin-top: 0; }
    RunScreen.-predict #charts, RunScreen.-predict #seen { display: none; }
    RunScreen.-predict #lower { height: 1fr; }
    RunScreen.-predict #said { margin-left: 0; }
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run_folder = run
        self.status: Status | None = None
        self.options: run_actions.Options | None = None
        self.history = RunHistory(run.path)
        self._log: list[str] = []
        self._shown_epoch: int | None = None  # None: the newest preview
        self._kind = "train"
        self._model: str | None = None

    def compose_body(self) -> ComposeResult:
        yield Static(id="facts")
        with Horizontal(id="charts"):
            yield LineChart("Loss", "epoch", id="loss")
            yield LineChart("Score", "epoch", id="scores")
        with Horizontal(id="lower"):
            with Vertical(id="seen"):
                yield Static("Preview", id="preview-title", markup=False)
                yield Picture("one prediction after every epoch", id="preview")
            with Vertical(id="said"):
                yield Static("Log", id="log-title")
                yield Static(id="log", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._kind, self._model = run_actions.kind_and_model(self.run_folder)
        self.set_class(self._kind == "predict", "-predict")
        self.set_title_note(self.run_folder.id)
        self._watch()

    # ---- watching ---------------------------------------------------------------------------------------------------

    @work(group="watch", exclusive=True)
    async def _watch(self) -> None:
        watcher = Watcher(self.run_folder, self._model)
        while True:
            look = await asyncio.to_thread(watcher.look)
            if not self.query("#log"):  # the program is about to end
                return
            if isinstance(look, str):
                self.query_one("#facts", Static).update(Content.styled(f"✗ {look}", "$text-error"))
                return
            self._take(look)
            await asyncio.sleep(PERIOD_S)

    def _take(self, look: Look) -> None:
        changed = look.options != self.options
        first = self.status is None
        self.status, self.options = look.status, look.options
        self.history.fold(look.events)
        if look.log is not None:
            self._log = look.log
        self.query_one("#facts", Static).update(facts(self._kind, look.status, self.history, time.time()))
        if look.events or first:
            self._draw_curves()
            self._show_preview()
        self._show_log()
        if changed:
            self.refresh_bindings()

    def _draw_curves(self) -> None:
        history = self.history
        self.query_one("#loss", LineChart).show(loss_series(history), history.best_epoch)
        self.query_one("#scores", LineChart).show(score_series(history), history.best_epoch)

    def _preview(self) -> tuple[int, Path, str]:
        """Epoch, file and image key of the preview in sight."""
        previews = self.history.previews
        return next((p for p in previews if p[0] == self._shown_epoch), previews[-1])

    def _show_preview(self) -> None:
        if not self.history.previews:
            return
        epoch, path, key = self._preview()
        self.query_one("#preview-title", Static).update(f"Epoch {epoch}  {key}")
        self.query_one("#preview", Picture).show(path)

    def _show_log(self) -> None:
        panel = self.query_one("#log", Static)
        lines = self._log or [*epoch_lines(self.history), *self.history.messages]
        shown = lines[-max(1, panel.size.height) :] if lines else ["nothing yet"]
        panel.update(Content.styled("\n".join(shown), "" if lines else "dim"))

    # ---- actions ----------------------------------------------------------------------------------------------------

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id == "extend" and self._kind != "train":
            return f"Run {self.run_folder.id} is no training."
        if action_id in ("stop", "resume", "extend", "predict"):
            return "The run is being read." if self.options is None else self.options.problem_of(action_id)
        if action_id == "enlarge" and not self.history.previews:
            return "There is no preview yet: one comes with every epoch."
        if action_id in ("earlier", "later") and len(self.history.previews) < 2:
            return "There is no other preview yet: one comes with every epoch."
        if action_id == "scale" and self._kind == "predict":
            return "A prediction has no curves."
        return super().disabled_reason(action_id)

    async def action_stop(self) -> None:
        await run_actions.stop_run(self.run_folder)
        self.say("Stopping. The checkpoint is written first; R goes on from it.")

    async def action_resume(self) -> None:
        await run_actions.resume_run(self.run_folder)

    def action_extend(self) -> None:
        run_actions.extend_run(self, self.run_folder)

    def action_log(self) -> None:
        self.app.push_screen(LogScreen(self.run_folder))

    def action_scale(self) -> None:
        chart = self.query_one("#loss", LineChart)
        chart.log_scale = not chart.log_scale

    async def action_predict(self) -> None:
        assert self.options is not None
        project = run_actions.need_project(self.host.project)
        run = await run_actions.start_prediction(project, self.options.model or "")
        self.app.push_screen(RunScreen(run))

    def action_enlarge(self) -> None:
        epoch, path, key = self._preview()
        self.app.push_screen(PictureScreen(f"Epoch {epoch}  {key}", path))

    def action_earlier(self) -> None:
        self._step_preview(-1)

    def action_later(self) -> None:
        self._step_preview(1)

    def _step_preview(self, step: int) -> None:
        epochs = [epoch for epoch, _, _ in self.history.previews]
        at = epochs.index(self._shown_epoch) if self._shown_epoch in epochs else len(epochs) - 1
        at = min(max(at + step, 0), len(epochs) - 1)
        self._shown_epoch = None if at == len(epochs) - 1 else epochs[at]
        self._show_preview()

    def action_back(self) -> None:
        self.dismiss()


# ---- what the numbers say -------------------------------------------------------------------------------------------


def loss_series(history: RunHistory) -> list[Series]:
    """Training and validation loss over epochs; the running epoch ends the first with its mean so far."""
    per_epoch = history.start.get("steps_per_epoch") or 0
    done = history.epochs[-1] if history.epochs else 0
    xs, ys = [float(e) for e in history.epochs], list(history.train_losses)
    running = [
        (step / per_epoch, loss)
        for step, loss in zip(history.steps, history.losses, strict=True)
        if per_epoch and step > done * per_epoch
    ]
    for x, loss in running[-1:] if done else running:
        xs.append(x)
        ys.append(loss)
    return [Series("train", xs, ys), Series("validation", history.epochs, history.val_losses)]


def score_series(history: RunHistory) -> list[Series]:
    """The headline metric and those beside it that share its scale of 0 to 1: as many as a chart can hold.

    Errors in pixels or counts are read in the lines below; one of them is drawn, alone, only when it is the headline.
    """
    names = sorted(history.metrics, key=lambda name: name != history.headline)
    shares = [name for name in names if is_share(name, history.metrics[name])]
    if names and history.headline not in shares:
        shares = names[:1]
    return [Series(name, history.epochs, history.metrics[name]) for name in shares[: len(MARKERS)]]


def epoch_lines(history: RunHistory) -> list[str]:
    """One line per epoch, for a worker that prints nothing."""
    lines = []
    for at, epoch in enumerate(history.epochs):
        scores = metrics_text(history.metrics_at(at))
        best = f"  {BEST_GLYPH}" if epoch == history.best_epoch else ""
        validation = "" if math.isnan(history.val_losses[at]) else f"  validation {history.val_losses[at]:.3f}"
        lines.append(f"epoch {epoch:>3}  loss {history.train_losses[at]:.3f}{validation}  {scores}{best}")
    return lines


def facts(kind: str, status: Status, history: RunHistory, now: float) -> Content:
    """State and progress in one line, what it runs on in the next, the last epoch's metrics, and why it ended."""
    glyph, color = STATE_MARKS[status.state]
    lines = [Content.assemble((f"{glyph} {status.state}", f"bold ${color}"), *_progress(kind, status, history, now))]
    lines.append(Content.styled("   ".join(_machine(status, history, now)), "dim"))
    if history.metrics:
        best = "" if history.best_epoch is None else f"   {BEST_GLYPH} epoch {history.best_epoch}"
        lines.append(Content(f"{metrics_text(history.metrics_at(-1))}{best}"))
    if kind == "predict":
        lines.append(_bar(history.done or status.step, history.total or status.steps, history.key))
    if status.message:
        style = "$text-error" if status.state in ("failed", "lost") else ""
        lines.append(Content.styled(status.message.strip(), style))
    return Content("\n").join(lines)


def _progress(kind: str, status: Status, history: RunHistory, now: float) -> list[str]:
    parts = []
    if kind == "predict":
        done, total = history.done or status.step, history.total or status.steps
        parts.append(f"frame {done} of {total}" if total else "")
    elif status.epochs:
        running = status.epoch + (status.state == "running" and status.epoch < status.epochs)
        parts += [f"epoch {running} of {status.epochs}", f"step {status.step}" + _of(status.steps)]
    if status.started is not None:
        parts.append(f"{duration((status.ended or now) - status.started)} spent")
    if status.state == "running" and status.eta_s is not None:
        parts.append(f"{duration(status.eta_s)} left")
    return [f"   {part}" for part in parts if part]


def _of(total: int | None) -> str:
    return f" of {total}" if total else ""


def _machine(status: Status, history: RunHistory, now: float) -> list[str]:
    parts = [status.device, f"on {status.host}" if status.host else ""]
    if history.samples_per_s is not None:
        parts.append(f"{history.samples_per_s:.1f} samples/s")
    if history.memory_mb is not None:
        parts.append(f"{history.memory_mb:.0f} MB")
    if history.start.get("images") is not None:
        parts.append(f"{history.start['images']} images, {history.start.get('validation_images', 0)} to validate")
    if history.resumed:
        parts.append(f"resumed {history.resumed}x")
    if status.state not in ENDED and now - status.heartbeat > SILENT_S:
        parts.append(f"last sign of life {duration(now - status.heartbeat)} ago")
    return [part for part in parts if part]


def _bar(done: int, total: int | None, key: str, width: int = 40) -> Content:
    share = min(1.0, done / total) if total else 0.0
    filled = math.floor(share * width)
    return Content.assemble(("━" * filled, "$text-primary"), ("─" * (width - filled), "dim"), f"  {key}")
