"""Runs and models on the command line: starting, following with a progress bar, listing, steering."""

import json
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.watch import RunHistory, follow, headline_first, metrics_text
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder, Status, list_runs, new_run_name

if TYPE_CHECKING:
    from mia_tui.engine.config import TrainConfig
    from mia_tui.jobs.search_space import Plan

Row = dict[str, Any]


# ---- starting -------------------------------------------------------------------------------------------------------


def start_training(project: Project, name: str | None, settings: Sequence[str], file: Path | None) -> RunFolder:
    """Start a training from `--set` settings on top of those of a TOML or JSON file."""
    config = _settings_for(project, settings, file)
    _check_labels(project)
    wish = {"kind": "train", "device": config.device, "train": config.model_dump()}
    return control.start(project, wish, name or new_run_name("model"))


def _settings_for(project: Project, settings: Sequence[str], file: Path | None) -> "TrainConfig":
    """The settings of a training, checked for the task of the project."""
    from mia_tui.engine.config import check_for_task, parse_settings, with_whole_paths

    config = with_whole_paths(parse_settings(list(settings), _read_settings(file) if file else {}))
    check_for_task(config, project.task, len(project.classes))
    return config


def _check_labels(project: Project) -> None:
    if not project.frames_under("labels"):
        raise MiaError(
            f"project {project.name} has no labels to learn from. Import some: mia-tui import {project.folder} ..."
        )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise MiaError(f"{path} cannot be read as settings: {error}") from None
    if not isinstance(values, dict):
        raise MiaError(f"{path} holds no settings: write key = value lines")
    return values


def resume_training(project: Project, name: str, settings: Sequence[str] = ()) -> RunFolder:
    """Go on with a run of the project; with `settings` such as epochs=100, beyond the end it was given."""
    from mia_tui.engine.config import parse_settings

    run = find_run(project, name)
    if not settings:
        control.resume(run)
        return run
    changed = parse_settings(list(settings), run.config().get("train", {})).model_dump()
    named = {pair.partition("=")[0].strip() for pair in settings}
    control.extend(run, {key: changed[key] for key in named})
    return run


def find_run(project: Project, name: str) -> RunFolder:
    """The run of this name."""
    run = RunFolder(project.runs_folder / name)
    if name != Path(name).name or not (run.path / "status.json").exists():
        known = ", ".join(r.id for r in list_runs(project.runs_folder)) or "none"
        raise MiaError(f"project {project.name} has no run {name!r}; there are: {known}")
    return run


# ---- augmentation ---------------------------------------------------------------------------------------------------


def draw_augmentation(
    project: Project, settings: Sequence[str], file: Path | None, out: Path | None, *, with_prices: bool
) -> Row:
    """Write a picture of augmented samples; the report of `engine.augment_sheet.write_sheet`."""
    config = _settings_for(project, settings, file)
    _check_labels(project)
    from mia_tui.engine.augment_sheet import write_sheet

    return write_sheet(project, config, out or project.results_folder / "augmentation.png", with_prices=with_prices)


def format_augmentation(found: Row) -> str:
    """The switches that are on with their strengths, and what each costs when it was measured."""
    prices: dict[str, float] = found.get("prices", {})
    lines = [f"{found['samples']} samples of {found['size'][0]} x {found['size'][1]} pixels: {found['file']}"]
    lines.append(f"{'switch':12}{'strength':>9}" + (f"{'samples/s':>11}" if prices else ""))
    for switch, strength in found["strengths"].items():
        if strength or switch in prices:
            price = f"{prices[switch]:>11.0f}" if switch in prices else ""
            lines.append(f"{switch:12}{f'{strength:g}' if strength else 'off':>9}{price}")
    return "\n".join(lines)


# ---- watching -------------------------------------------------------------------------------------------------------


def watch_run(run: RunFolder, *, stop_on_interrupt: bool = False) -> Row:
    """Follow a run to its end with a progress line on a terminal, a line per epoch elsewhere; its final row.

    Ctrl-C leaves the run alone, or with `stop_on_interrupt` asks it once to stop with a checkpoint.
    """
    history = RunHistory(run.path)
    line = _ProgressLine(run, history)

    def on_event(event: dict[str, Any]) -> None:
        history.fold([event])
        line.show(event)

    while True:
        try:
            follow(run, on_event, on_status=line.take)
            break
        except KeyboardInterrupt:
            line.clear()
            if not stop_on_interrupt:
                raise
            stop_on_interrupt = False
            print(f"stopping {run.id}: writing a checkpoint ... (Ctrl-C again leaves it to itself)", file=sys.stderr)
            control.stop(run)
            history, line.history = RunHistory(run.path), RunHistory(run.path)
    line.clear()
    row = run_row(run)
    print(f"run {run.id} {row['state']}" + (f": {row['message']}" if row["message"] else ""))
    if row["model"]:
        print(f"model {row['model']}: {_metrics_text(row['metrics'])}")
    return row


def check_ended_well(row: Row) -> None:
    """Turn a run that failed or got lost into an error (exit code 1)."""
    if row["state"] in ("failed", "lost"):
        raise MiaError(f"run {row['run']} {row['state']}: {row['message']}")


class _ProgressLine:
    """One line that is rewritten on a terminal; without a terminal a line per epoch and message."""

    def __init__(self, run: RunFolder, history: RunHistory) -> None:
        self.run = run
        self.history = history
        self.live = sys.stderr.isatty()
        self.status: Status | None = None

    def take(self, status: Status) -> None:
        self.status = status
        if self.live:
            self._rewrite()
        elif status.state == "queued" and status.message:
            print(status.message, file=sys.stderr)

    def show(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "message":
            self._print(str(event["text"]))
        elif kind == "epoch":
            loss = event["val_loss"] if event["val_loss"] is not None else event["train_loss"]
            best = "  best" if event["best"] else ""
            self._print(f"epoch {event['epoch']:>4}  loss {loss:.4f}  {_metrics_text(headline_first(event))}{best}")
        elif self.live:
            self._rewrite()

    def clear(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _print(self, text: str) -> None:
        self.clear()
        print(text, file=sys.stderr)

    def _rewrite(self) -> None:
        status = self.status
        if status is None:
            return
        done, total = status.step, status.steps or 0
        share = done / total if total else 0.0
        width = max(10, min(30, shutil.get_terminal_size().columns - 60))
        bar = "#" * round(share * width) + "-" * (width - round(share * width))
        eta = "" if status.eta_s is None else f"  {_duration(status.eta_s)} left"
        speed = f"  {self.history.samples_per_s:.1f} patches/s" if self.history.samples_per_s else ""
        text = f"{status.state}  [{bar}] {done}/{total}{eta}{speed}"
        sys.stderr.write("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _metrics_text(metrics: Mapping[str, float | None]) -> str:
    return metrics_text(metrics) or "no validation"


# ---- cross-validation ----------------------------------------------------------------------------------------------


def cross_validate(
    project: Project,
    name: str | None,
    folds: int,
    settings: Sequence[str],
    file: Path | None,
    report: Callable[[int, int, str], None] | None = None,
) -> Row:
    """Train once for each fold, then score every labelled frame by the model that has not seen its image.

    What is there under this name already is gone on with. Ends early, with `state` "stopped", when a run is stopped.
    """
    from mia_tui.engine.splits import labelled_frames, split_frames
    from mia_tui.jobs.folds import run_of_fold

    asked = _settings_for(project, settings, file)
    if asked.validation_images or asked.folds:
        raise MiaError("leave out validation_images, folds and fold: --folds says here which images validate")
    config = _settings_for(project, [*settings, f"folds={folds}", "fold=1"], file)
    _check_labels(project)
    split_frames(labelled_frames(project), config)  # too few images are said before hours of training
    name = name or new_run_name("folds")
    rows: list[Row] = []
    for fold in range(1, folds + 1):
        run = run_of_fold(project, name, config.model_copy(update={"fold": fold}))
        print(f"fold {fold} of {folds}: run {run.id}", file=sys.stderr)
        row = watch_run(run, stop_on_interrupt=True)
        check_ended_well(row)
        if row["state"] == "stopped":
            print(f"stopped; the same command with --name {name} goes on")
            return {"name": name, "state": "stopped", "runs": [*rows, row]}
        rows.append(row)
    from mia_tui.engine.evaluate import evaluate_folds

    print("scoring each image with the model that has not seen it", file=sys.stderr)
    found = evaluate_folds(project, [run["model"] for run in rows], device=config.device, report=report)
    return {"name": name, "state": "finished", "runs": rows, **found}


def format_folds(found: Row) -> str:
    """A line for each fold, their mean and deviation."""
    keys = list(found["mean"])
    width = max(len(row["model"]) for row in found["folds"])
    cells = [max(len(key), 8) + 2 for key in keys]

    def line(title: str, frames: str, values: Mapping[str, Any]) -> str:
        numbers = (f"{values[key]:.3f}" if key in values else "-" for key in keys)
        return f"{title:{width}}{frames:>8}" + "".join(f"{n:>{cell}}" for n, cell in zip(numbers, cells, strict=True))

    head = f"{'':{width}}{'frames':>8}" + "".join(f"{key:>{cell}}" for key, cell in zip(keys, cells, strict=True))
    rows = [line(row["model"], str(row["frames"]), row) for row in found["folds"]]
    return "\n".join([head, *rows, line("mean", "", found["mean"]), line("deviation", "", found["deviation"])])


# ---- searching settings ---------------------------------------------------------------------------------------------


def search_plan(
    project: Project, settings: Sequence[str], search: Sequence[str], trial_minutes: float | None, seed: int | None
) -> "Plan | None":
    """The plan that the options ask for; None when they ask for nothing (a search goes on as it was begun)."""
    from mia_tui.jobs.search_space import make_plan

    if not (settings or search) and trial_minutes is None and seed is None:
        return None
    return make_plan(project.task, settings, search, trial_minutes=trial_minutes, seed=seed or 0)


def run_search(
    project: Project, name: str | None, plan: "Plan | None", *, trials: int, minutes: float | None, keep: bool
) -> Row:
    """Search with a line per trial and the progress of its training; print the table in the end."""
    from mia_tui.jobs.tune import tune

    _check_labels(project)
    name = name or new_run_name("tune")
    print(f"search {name} of {trials} trials; Ctrl-C stops it with a checkpoint", file=sys.stderr)
    output = _SearchOutput()
    try:
        found = tune(project, name, plan, trials=trials, minutes=minutes, keep=keep, watcher=output)
    finally:
        output.clear()
    print(format_search(found))
    if found["reason"] in ("interrupted", "out of time"):
        print(f"{found['reason']}; go on with: mia-tui tune {project.folder} --name {name} --trials {trials}")
    return found


def show_search(project: Project, name: str | None) -> Row:
    """Print what a search has found so far."""
    from mia_tui.jobs.study import study_names, summary

    if name is None:
        known = ", ".join(study_names(project)) or "none"
        raise MiaError(f"--show needs the --name of a search; there are: {known}")
    found = summary(project, name)
    print(format_search(found))
    return found


class _SearchOutput:
    """A line when a trial begins and ends; in between the progress line of its run."""

    def __init__(self) -> None:
        self.line: _ProgressLine | None = None

    def begin(self, trial: Row, run: RunFolder) -> None:
        print(f"trial {trial['trial']} ({run.id}): {_settings_text(trial['settings'])}", file=sys.stderr)
        self.line = _ProgressLine(run, RunHistory(run.path))

    def event(self, event: dict[str, Any]) -> None:
        if self.line is not None:
            self.line.history.fold([event])
            self.line.show(event)

    def status(self, status: Status) -> None:
        if self.line is not None:
            self.line.take(status)

    def end(self, trial: Row) -> None:
        self.clear()
        value = "" if trial["value"] is None else f" {trial['value']:.4f}"
        message = f": {trial['message']}" if trial["message"] else ""
        print(f"trial {trial['trial']} {trial['state']}{value}{message}", file=sys.stderr)

    def clear(self) -> None:
        if self.line is not None:
            self.line.clear()


def format_search(found: Row) -> str:
    """The trials of a search, best first, and where the best settings are."""
    rank = sorted(found["trials"], key=lambda row: (row["state"] != "finished", -(row["value"] or 0.0), row["trial"]))
    lines = [f"{'trial':>5}  {'state':10}{'value':>8}{'epochs':>8}{'minutes':>9}  settings"]
    for row in rank:
        value = "" if row["value"] is None else f"{row['value']:.4f}"
        minutes = "" if row["minutes"] is None else f"{row['minutes']:.1f}"
        said = _settings_text(row["settings"])
        lines.append(f"{row['trial']:>5}  {row['state']:10}{value:>8}{row['epochs']:>8}{minutes:>9}  {said}")
        if row["message"]:
            lines.append(f"       {row['message']}")
    best = found["best"]
    if best is None:
        return "\n".join([*lines, "no trial has finished yet"])
    lines.append(f"best: trial {best['trial']}, {best['value']:.4f}, {_settings_text(best['settings'])}")
    lines.append(f"model: {best['model'] or 'removed'}; settings for mia-tui train --config: {best['config']}")
    return "\n".join(lines)


def _settings_text(settings: dict[str, Any]) -> str:
    return "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items())


# ---- lists ----------------------------------------------------------------------------------------------------------


def run_row(run: RunFolder) -> Row:
    """One run as plain data."""
    status, history = current_status(run), RunHistory.load(run)
    best = history.epochs.index(history.best_epoch) if history.best_epoch in history.epochs else None
    metrics = {} if best is None else history.metrics_at(best)
    config = run.config()
    model = config.get("name") if config.get("kind") == "train" else config.get("predict", {}).get("model")
    exists = bool(model) and (Path(config["project"]) / "models" / str(model) / "model.json").exists()
    return {
        "run": run.id, "kind": config.get("kind"), "state": status.state, "message": status.message,
        "epoch": status.epoch, "epochs": status.epochs, "step": status.step, "steps": status.steps,
        "best_epoch": history.best_epoch, "metrics": metrics, "created": status.created, "device": status.device,
        "model": model if exists else None, "folder": str(run.path),
    }  # fmt: skip


def run_rows(project: Project) -> list[Row]:
    """All runs of a project, newest first."""
    return [run_row(run) for run in list_runs(project.runs_folder)]


def format_runs(rows: Sequence[Row]) -> str:
    """A table of runs."""
    listed = 2  # metrics a row has room for, the headline first
    lines = [f"{'run':28}{'kind':9}{'state':10}{'progress':>14}  {'started':17}best"]
    for row in rows:
        done = f"{row['step']}/{row['steps']}" if row["steps"] else ""
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created"]))
        metrics = metrics_text(dict(list(row["metrics"].items())[:listed]))
        lines.append(f"{row['run']:28}{row['kind']:9}{row['state']:10}{done:>14}  {begun:17}{metrics}")
        if row["state"] in ("failed", "lost") and row["message"]:
            lines.append(f"    {row['message']}")
    return "\n".join(lines)


def show_run(run: RunFolder) -> Row:
    """Print everything about one run."""
    row = run_row(run)
    for key, value in row.items():
        if key == "created":
            value = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        print(f"{key:11}{value}")
    return row


def stop_run(run: RunFolder) -> Row:
    """Ask a run to stop and wait for its checkpoint."""
    status = control.stop(run, wait_s=60)
    print(f"run {run.id} {status.state}")
    return run_row(run)


def resume_run(run: RunFolder) -> Row:
    """Go on with a run, detached."""
    control.resume(run)
    print(f"run {run.id} goes on")
    return run_row(run)


def remove_run(run: RunFolder) -> Row:
    """Delete a run's folder; its model stays."""
    row = run_row(run)
    control.remove(run)
    print(f"run {run.id} removed")
    return row


RUN_ACTIONS: dict[str, Callable[[RunFolder], Row]] = {
    "show": show_run, "watch": watch_run, "stop": stop_run, "resume": resume_run, "rm": remove_run,
}  # fmt: skip


# ---- models ---------------------------------------------------------------------------------------------------------


def read_card(project: Project, name: str) -> Row:
    """`model.json` of a model."""
    path = project.models_folder / name / "model.json"
    if name != Path(name).name or not path.is_file():
        raise MiaError(
            f"project {project.name} has no model {name!r}; there are: {', '.join(project.models()) or 'none'}"
        )
    try:
        card: Row = json.loads(path.read_text())
    except ValueError as error:
        raise MiaError(f"{path} is damaged: {error}") from None
    return card


def model_rows(project: Project) -> list[Row]:
    """The models of a project, newest first."""
    rows = []
    for name in project.models():
        card = read_card(project, name)
        rows.append({
            "model": name, "task": card["task"], "classes": [c["name"] for c in card["classes"]],
            "network": f"{card['network']['architecture']}/{card['network']['encoder']}",
            "epochs": card["training"].get("epochs"), "metrics": card["metrics"],
        })  # fmt: skip
    return rows


def format_models(rows: Sequence[Row]) -> str:
    """A table of models."""
    lines = [f"{'model':28}{'task':14}{'network':30}{'epochs':>7}  validation"]
    lines += [
        f"{r['model']:28}{r['task']:14}{r['network']:30}{r['epochs'] or 0:>7}  {_metrics_text(r['metrics'])}"
        for r in rows
    ]
    return "\n".join(lines)


def export_model(
    project: Project, name: str, format: str, out: Path | None, license: str, authors: Sequence[str]
) -> Row:
    """Write a model for other programs; the report of `engine.exchange.export_model`."""
    from mia_tui.engine import exchange

    read_card(project, name)  # a wrong name or format is said before the libraries of the engine are loaded
    kind = exchange.FORMATS.get(format)
    if kind is None:
        raise MiaError(f"unknown format {format!r}: choose one of {', '.join(exchange.FORMATS)}")
    target = out or project.results_folder / f"{name}{kind.suffix}"
    report = exchange.export_model(
        project.models_folder / name, target, format, license=license, authors=tuple(authors)
    )
    return {"model": name, **report.as_dict()}


def format_export(report: Row) -> str:
    """What was written, and what the comparison with the model said."""
    lines = [str(path) for path in report["files"]]
    lines.append(
        f"compared with the model on {report['tiles']} tiles: outputs differ by at most "
        f"{report['max_difference']:.2g}, same class on {report['agreement']:.4%}"
    )
    return "\n".join(lines)


def import_model(project: Project, source: Path, name: str | None) -> Row:
    """Make a model of the project from an exported file; its row of the list."""
    from mia_tui.engine import exchange

    folder = exchange.import_model(source, project.models_folder, name or exchange.default_name(source))
    return next(row for row in model_rows(project) if row["model"] == folder.name)


def remove_model(project: Project, name: str) -> None:
    """Delete a model. Its predictions stay."""
    read_card(project, name)
    shutil.rmtree(project.models_folder / name)


# ---- what info says -------------------------------------------------------------------------------------------------


def format_info(report: Row) -> str:
    """The facts of `imaging.describe.describe` as lines "name  value"; lists of problems and hints come last."""
    lines = []
    for key, value in report.items():
        if key in ("kind", "problems", "hints", "warnings") or value in (None, "", [], {}):
            continue
        lines.append(f"{key.replace('_', ' '):18}{_plain(key, value)}")
    for problem in report.get("problems", []):
        lines.append(f"problem           {problem['file']}: {problem['problem']}")
    lines += [f"warning           {warning}" for warning in report.get("warnings", [])]
    lines += [f"hint              {hint['hint']}" for hint in report.get("hints", [])]
    return "\n".join(lines)


def _plain(key: str, value: Any) -> str:
    if key == "axes_source":
        return "guessed; set another order under [axes] in project.toml" if value == "guess" else str(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items() if entry is not None)
    if isinstance(value, list):
        return (" x " if key in ("shape", "pixel_size_um") else ", ").join(str(entry) for entry in value)
    return str(value)


# ---- classes --------------------------------------------------------------------------------------------------------

CLASS_ARGUMENTS = {
    "add": ("a name",),
    "rename": ("the class", "its new name"),
    "recolor": ("the class", "a colour"),
    "key": ("the class", "a digit (or none)"),
    "move": ("the class", "a place (1 is the first)"),
    "remove": ("the class",),
}
"""What each change of a class needs to know."""


def change_class(
    project: Project,
    action: str,
    arguments: Sequence[str],
    color: str | None,
    key: str | None,
    report: Callable[[int, int, str], None],
) -> Project:
    """Do one of `CLASS_ARGUMENTS` but "remove"; the project afterwards."""
    from mia_tui.labeling import classes

    name, value = arguments[0], arguments[-1]
    if action == "add":
        return classes.add_class(project, name, color, key)
    if action == "rename":
        return classes.rename_class(project, name, value, report)
    if action == "recolor":
        return classes.recolor_class(project, name, value)
    if action == "key":
        return classes.set_key(project, name, "" if value == "none" else value)
    if not value.isdigit():
        raise MiaError(f"{value!r} is no place in the list: give a number from 1 to {len(project.classes)}")
    return classes.move_class(project, name, int(value) - 1)


def remove_class(
    project: Project, name: str, give_to: str | None, delete: bool, report: Callable[[int, int, str], None]
) -> Project:
    """Remove a class; what becomes of its labels must be said when there are any."""
    from mia_tui.labeling.class_counts import class_counts
    from mia_tui.labeling.classes import remove_class as remove

    if delete and give_to is not None:
        raise MiaError("labels are either deleted or given to another class: --delete-labels or --give-to CLASS")
    found = class_counts(project)
    count = found.objects.get(name, 0)
    if count and not delete and give_to is None:
        raise MiaError(
            f"class {name!r} has {count} labels on {found.frames[name]} frames. Say what becomes of them: "
            "--give-to CLASS or --delete-labels. Undo brings them back, frame by frame."
        )
    return remove(project, name, give_to, report)


def class_rows(project: Project) -> Row:
    """The classes with their counts, names of labels that are no class, and label files that cannot be read."""
    from mia_tui.labeling.class_counts import class_counts
    from mia_tui.labeling.classes import unknown_classes

    found = class_counts(project)
    rows = [
        {**vars(c), "objects": found.objects.get(c.name, 0), "frames": found.frames.get(c.name, 0)}
        for c in project.classes
    ]
    unknown = {name: found.objects[name] for name in unknown_classes(project, found.objects)}
    return {"classes": rows, "unknown": unknown, "problems": list(found.problems)}


def format_classes(found: Row) -> str:
    """The list for people."""
    width = max(len(row["name"]) for row in found["classes"])
    lines = [f"{'key':<4}{'class':<{width}}  colour     labels  frames"]
    for row in found["classes"]:
        lines.append(
            f"{row['key'] or '–':<4}{row['name']:<{width}}  {row['color']}  {row['objects']:>7} {row['frames']:>7}"
        )
    for name, count in found["unknown"].items():
        lines.append(f"{count} labels of {name!r}, which is no class: rename it to one, add it, or remove it")
    return "\n".join([*lines, *found["problems"]])
