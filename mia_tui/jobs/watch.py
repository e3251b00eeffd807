"""Watching a run from its own files: the same for the command line's progress, the terminal and a replay.

Nobody asks the process: a reader tails `events.jsonl` and reads `status.json`, so any number may watch, from any host,
before, during and after the run.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mia_tui.jobs.liveness import current_status
from mia_tui.runfolder import ENDED, RunFolder, Status

PERIOD_S = 0.25
"""Seconds between two looks; a terminal shows no more, and a look costs a tenth of a millisecond."""


class EventTail:
    """Reads the events of a run piece by piece: each call of `read` returns what came since the last one."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """The new events; [] when there are none. A line still being written is left for the next call."""
        events, self._offset = self.run.events(self._offset)
        return events


def follow(
    run: RunFolder,
    on_event: Callable[[dict[str, Any]], None],
    *,
    on_status: Callable[[Status], None] | None = None,
    period_s: float = PERIOD_S,
    until_end: bool = True,
) -> Status:
    """Call `on_event` for every event of the run, from the first one, until the run has ended.

    Parameters
    ----------
    on_status : callable, optional
        Called with the status whenever state, message, epoch or step changed: also while the run waits in the queue
        and has no events yet.
    period_s : float
        Seconds between two looks.
    until_end : bool
        False: hand over what is there now and return.

    Returns
    -------
    Status
        The last status; all events up to the "end" have been handed over.
    """
    tail = EventTail(run)
    shown: tuple[Any, ...] = ()
    last = ""
    while True:
        status = current_status(run)
        ended = status.state in ENDED
        complete = ended and not run.is_locked()  # asked before reading: then nothing comes after what we read
        for event in tail.read():
            on_event(event)
            last = str(event.get("event"))
        now = (status.state, status.message, status.epoch, status.step)
        if on_status is not None and now != shown:
            on_status(status)
            shown = now
        if complete or (ended and last == "end") or not until_end:
            return status
        time.sleep(period_s)


@dataclass
class RunHistory:
    """The events of a run, folded into series for curves and tables. Plain lists; `fold` as events come.

    A run that was killed and resumed goes back to its last checkpoint and passes some steps again: the repeated part of
    the old series is dropped, so that every series is that of a run never stopped. Values that were not finite or
    not given are NaN.

    Attributes
    ----------
    start : dict
        The last "start" event (epochs, steps_per_epoch, device, images, validation_images), {} before it.
    steps, losses, rates : list
        Step number, training loss and learning rate of each "step" event.
    epochs, train_losses, val_losses : list
        Epoch number, mean training loss and validation loss of each "epoch" event.
    metrics : dict of list
        Name -> one value per entry of `epochs`.
    headline : str
        The metric that decides which epoch is the best: what the worker says, else the first one; "" before the first.
    best_epoch : int, optional
        The last epoch that was the best so far.
    samples_per_s, memory_mb, eta_s : float, optional
        The last values reported; megabytes, seconds.
    previews : list
        (epoch, file, image key) of each preview, the file absolute.
    done, total, key : of a prediction: frames done, frames in all, image key of the last one.
    messages : list of str
        Texts of "message" events, oldest first.
    resumed : int
        How often the run was resumed.
    end : dict
        The "end" event of the last attempt, {} while it goes on.
    """

    folder: Path
    start: dict[str, Any] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    train_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    headline: str = ""
    best_epoch: int | None = None
    samples_per_s: float | None = None
    memory_mb: float | None = None
    eta_s: float | None = None
    previews: list[tuple[int, Path, str]] = field(default_factory=list)
    done: int = 0
    total: int | None = None
    key: str = ""
    messages: list[str] = field(default_factory=list)
    resumed: int = 0
    end: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, run: RunFolder) -> "RunHistory":
        """The history of a run so far."""
        history = cls(run.path)
        history.fold(run.events()[0])
        return history

    @property
    def preview(self) -> Path | None:
        """The last preview picture, None before the first."""
        return self.previews[-1][1] if self.previews else None

    @property
    def message(self) -> str:
        """The last message, "" before the first."""
        return self.messages[-1] if self.messages else ""

    def metrics_at(self, index: int) -> dict[str, float | None]:
        """The metrics of one entry of `epochs`, the headline first; None for what was not given."""
        names = sorted(self.metrics, key=lambda name: name != self.headline)  # stable: the others keep their order
        found = {name: self.metrics[name][index] for name in names}
        return {name: None if math.isnan(value) else value for name, value in found.items()}

    def fold(self, events: Iterable[dict[str, Any]]) -> None:
        """Take in new events, in their order. Unknown kinds and events with fields missing are passed over."""
        for event in events:
            handler = getattr(self, f"_on_{event.get('event')}", None)
            if handler is not None:
                try:
                    handler(event)
                except (KeyError, TypeError, ValueError):
                    continue

    def _on_start(self, event: dict[str, Any]) -> None:
        self.start = {key: value for key, value in event.items() if key not in ("event", "time")}
        self.end = {}

    def _on_resume(self, event: dict[str, Any]) -> None:
        self.resumed += 1
        self.end = {}

    def _on_step(self, event: dict[str, Any]) -> None:
        step = int(event["step"])
        _cut(self.steps, step, self.losses, self.rates)
        self.steps.append(step)
        self.losses.append(_number(event.get("loss")))
        self.rates.append(_number(event.get("lr")))
        self.samples_per_s = event.get("samples_per_s", self.samples_per_s)
        self.memory_mb = event.get("memory_mb", self.memory_mb)
        self.eta_s = event.get("eta_s", self.eta_s)

    def _on_epoch(self, event: dict[str, Any]) -> None:
        epoch = int(event["epoch"])
        _cut(self.epochs, epoch, self.train_losses, self.val_losses, *self.metrics.values())
        if self.best_epoch is not None and self.best_epoch >= epoch:
            self.best_epoch = None
        self.epochs.append(epoch)
        self.train_losses.append(_number(event.get("train_loss")))
        self.val_losses.append(_number(event.get("val_loss")))
        values = headline_first(event)
        self.headline = str(event.get("value_name") or next(iter(self.metrics or values), ""))
        for name in values:
            self.metrics.setdefault(name, [math.nan] * (len(self.epochs) - 1))
        for name, series in self.metrics.items():
            series.append(_number(values.get(name)))
        if event.get("best"):
            self.best_epoch = epoch
        self.eta_s = event.get("eta_s", self.eta_s)

    def _on_preview(self, event: dict[str, Any]) -> None:
        epoch = int(event["epoch"])
        self.previews = [preview for preview in self.previews if preview[0] < epoch]
        self.previews.append((epoch, self.folder / event["file"], str(event.get("image", ""))))

    def _on_progress(self, event: dict[str, Any]) -> None:
        self.done = int(event["done"])
        self.total = None if event.get("total") is None else int(event["total"])
        self.key = str(event.get("key", ""))

    def _on_message(self, event: dict[str, Any]) -> None:
        self.messages.append(str(event["text"]))

    def _on_end(self, event: dict[str, Any]) -> None:
        self.end = {key: value for key, value in event.items() if key not in ("event", "time")}


def headline_first(event: dict[str, Any]) -> dict[str, Any]:
    """The metrics of an "epoch" event, the one that decides which epoch is the best (`value_name`) first."""
    values = dict(event.get("metrics") or {})
    name = event.get("value_name")
    if name is None:
        return values
    first = values.pop(name, event.get("value"))
    return {str(name): first, **values}


def metric_text(name: str, value: float | None) -> str:
    """A metric for people: a share of one has three decimals, a length in pixels its unit."""
    if value is None or math.isnan(value):
        return f"{name} –"
    return f"{name} {value:.2f} px" if is_length(name) else f"{name} {value:.3f}"


def metrics_text(metrics: Mapping[str, float | None]) -> str:
    """Metrics in one line, in their order."""
    return "  ".join(metric_text(name, value) for name, value in metrics.items())


def is_share(name: str, values: Iterable[float]) -> bool:
    """Whether a metric lies between 0 and 1 (its sign aside), so that it can be drawn beside others of its kind."""
    return not is_length(name) and not name.endswith("mae") and all(abs(v) <= 1 for v in values if math.isfinite(v))


def is_length(name: str) -> bool:
    """Whether a metric counts pixels."""
    return name == "localization" or name.endswith("_px")


def _cut(index: list[int], first: int, *series: list[float]) -> None:
    """Drop the entries from number `first` on, of the index and of the series beside it."""
    while index and index[-1] >= first:
        index.pop()
        for values in series:
            values.pop()


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
