"""A search for settings on disk: Optuna's journal, its trials as plain data, and the best settings as a file.

```
results/tune/<study>/journal.log    Optuna's journal: proposals, values, states; plain appends, made for NFS
                     best.toml      the best settings, for `mia-tui train --config`
                     lock           held with flock by the one process that searches
```
"""

import contextlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from mia_tui.errors import MiaError
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.search_space import Plan, make_plan
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder, is_lock_held, list_runs, lock_file
from mia_tui.storage import write_bytes

PRUNE_AFTER = 4
"""So many trials are finished before one is pruned."""
WARM_UP_EPOCHS = 5
"""A trial is not pruned in its first epochs: at most so many, and at most a fifth of all."""

Row = dict[str, Any]


def load_optuna() -> Any:
    """The module optuna (0.7 s), which is an extra.

    Raises
    ------
    MiaError
        With the command that installs it.
    """
    try:
        import optuna
    except ImportError:
        raise MiaError("a search needs optuna, which is not installed: pip install 'mia-tui[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def study_folder(project: Project, name: str) -> Path:
    """Where a study keeps its files.

    Raises
    ------
    MiaError
        When the name cannot be one.
    """
    if not re.fullmatch(r"[^\W.][\w.-]*", name):
        raise MiaError(f"{name!r} cannot name a search: use letters, digits, - and _")
    return project.results_folder / "tune" / name


def study_names(project: Project) -> list[str]:
    """The studies of a project."""
    return sorted(path.parent.name for path in (project.results_folder / "tune").glob("*/journal.log"))


def summary(project: Project, name: str) -> Row:
    """What a study has found so far; starts nothing and writes nothing.

    Returns
    -------
    dict
        "study", "folder", "running" (somebody searches now), "settings" (of all trials), "trials" (a list of dicts:
        trial, run, state, value, epochs, minutes, settings, message) and "best" (None, or trial, run, value, settings,
        config, model).
    """
    optuna = load_optuna()
    folder = study_folder(project, name)
    if not (folder / "journal.log").exists():
        known = ", ".join(study_names(project)) or "none"
        raise MiaError(f"project {project.name} has no search {name!r}; there are: {known}")
    with _readable(folder):
        study = optuna.load_study(study_name=name, storage=_storage(optuna, folder))
    rows = [trial_row(project, trial) for trial in study.get_trials(deepcopy=False)]
    best = best_row(rows)
    return {
        "study": name, "folder": str(folder), "running": is_lock_held(folder / "lock"),
        "settings": study.user_attrs.get("plan", {}).get("settings", {}), "trials": rows,
        "best": None if best is None else {
            **{key: best[key] for key in ("trial", "run", "value", "settings")},
            "config": str(folder / "best.toml"),
            "model": best["run"] if best["run"] in project.models() else None,
        },
    }  # fmt: skip


@contextlib.contextmanager
def hold_study(folder: Path, name: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    handle = lock_file(folder / "lock")
    if handle is None:
        raise MiaError(f"search {name} is being worked on by another process; look at it with --show")
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn what optuna says about a damaged journal into a message."""
    try:
        yield
    except (ValueError, KeyError, AssertionError, OSError) as error:
        path = folder / "journal.log"
        raise MiaError(f"{path} cannot be read ({error}). Remove {folder} and search again: its runs stay.") from None


def _storage(optuna: Any, folder: Path) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    return optuna.storages.JournalStorage(backend)


def _mend(journal: Path) -> None:
    """Take away what a killed process may have left: a line without an end and optuna's own lock. We hold the study."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.exists() and not (data := journal.read_bytes()).endswith(b"\n"):
        os.truncate(journal, data.rfind(b"\n") + 1)


def open_study(optuna: Any, project: Project, folder: Path, name: str, plan: Plan | None) -> tuple[Any, Plan]:
    """The study, new or as it was left, and its plan."""
    journal = folder / "journal.log"
    _mend(journal)
    if not journal.exists():
        _check_names_free(project, name)
    with _readable(folder):
        storage = _storage(optuna, folder)
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    stored = study.user_attrs.get("plan")
    if stored is None:
        plan = plan or make_plan(project.task)
        study.set_user_attr("plan", plan.as_dict())
    else:
        before = Plan.from_dict(stored)
        if plan is not None and plan != before:
            raise MiaError(
                f"search {name} was begun with another plan ({_difference(before, plan)}), and trials of two plans "
                "cannot be compared. To go on leave out --set, --search, --seed and --trial-minutes; "
                "for the new plan choose another --name."
            )
        plan = before
    epochs = plan.settings.get("epochs") or plan.config({k: p.probes()[0] for k, p in plan.space.items()}).epochs
    study.pruner = optuna.pruners.MedianPruner(PRUNE_AFTER, max(1, min(WARM_UP_EPOCHS, epochs // 5)))
    return study, plan


def _check_names_free(project: Project, name: str) -> None:
    taken = [run.id for run in list_runs(project.runs_folder)] + project.models()
    for other in taken:
        if re.fullmatch(rf"{re.escape(name)}-t\d+(-\d+)?", other):
            raise MiaError(f"{other} is left of an earlier search {name!r}: choose another --name, or remove it first")


def _difference(before: Plan, now: Plan) -> str:
    old, new = before.as_dict(), now.as_dict()
    said = [f"seed {old['seed']}, not {new['seed']}"] if old["seed"] != new["seed"] else []
    for part in ("settings", "space"):
        for key in sorted({*old[part], *new[part]}):
            if old[part].get(key) != new[part].get(key):
                said.append(f"{key} {_said(old[part].get(key))}, not {_said(new[part].get(key))}")
    return "; ".join(said)


def _said(value: Any) -> str:
    if not isinstance(value, dict):
        return "not given" if value is None else str(value)
    return ", ".join(map(str, value["values"])) if "values" in value else f"{value['low']}:{value['high']}"


def trial_row(project: Project, trial: Any) -> Row:
    """A trial as plain data; `trial` counts from 1."""
    state = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}.get(trial.state.name)
    run, values = trial.user_attrs.get("run", ""), list(trial.intermediate_values.values())
    if state is None:  # unfinished: as its run is
        folder = RunFolder(project.runs_folder / run)
        state = current_status(folder).state if run and (folder.path / "status.json").exists() else "waiting"
    value = trial.value if trial.state.name == "COMPLETE" else highest(values)
    return {
        "trial": trial.number + 1, "run": run, "state": state, "value": value, "epochs": len(values),
        "minutes": trial.user_attrs.get("minutes"), "settings": dict(trial.params),
        "message": trial.user_attrs.get("message", ""), "counts": trial.state.name == "COMPLETE",
    }  # fmt: skip


def highest(values: Iterable[float]) -> float | None:
    return max(filter(math.isfinite, values), default=None)


def best_row(rows: Sequence[Row]) -> Row | None:
    """The finished trial with the highest value, the first of equal ones."""
    return max((row for row in rows if row["counts"]), key=lambda row: row["value"], default=None)


def write_best(path: Path, plan: Plan, best: Row, study: str) -> None:
    """The settings of the best trial as TOML; empty ones are left out, TOML has no word for them."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"search {study}: trial {best['trial']} (run {best['run']}), value {best['value']:.4f}")
    )
    for key, value in plan.config(best["settings"]).model_dump().items():
        if value is not None:
            document[key] = value
    text = tomlkit.dumps(document).encode()
    if not path.exists() or path.read_bytes() != text:
        write_bytes(path, text)
