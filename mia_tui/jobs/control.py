"""Starting, stopping, resuming and removing runs: what the runs list and `mia-tui runs` do."""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.jobs.launch import GRACE_S, WORKER, launch
from mia_tui.jobs.liveness import current_status, resume_problem
from mia_tui.jobs.process import process_of, read_signature
from mia_tui.project import Project
from mia_tui.runfolder import ENDED, RunFolder, Status, lock_file
from mia_tui.storage import write_json

KINDS = ("train", "predict")
POLL_S = 0.05
RELEASE_S = 20.0
"""How long a worker that has written its end may take to leave (a GPU's memory is given back) before we give up."""


def start(
    project: Project,
    config: dict[str, Any],
    name: str,
    *,
    worker: Sequence[str] = WORKER,
    grace_s: float = GRACE_S,
) -> RunFolder:
    """Make a run in the project and start it (or put it into the queue of its device).

    Parameters
    ----------
    config : dict
        `{"kind": "train", "train": {...}}` or `{"kind": "predict", "predict": {...}}`, and "device" where it matters;
        "project" is filled in, and "name", the model's name, with the run's id unless given.
    name : str
        Name of the run; a number is put behind it when there is such a run.

    Raises
    ------
    MiaError
        When the name cannot be used or the run could not be started; the run then stands as failed, with the reason.
    """
    kind = config.get("kind")
    if kind not in KINDS or not isinstance(config.get(kind), dict):
        raise MiaError(f"a run needs a kind ({' or '.join(KINDS)}) and the settings of that kind, not kind {kind!r}")
    if kind == "train" and config.get("name", name) in project.models():
        raise MiaError(f"project {project.name} has a model {config.get('name', name)!r} already: choose another name")
    config = {**config, "project": str(project.folder)}
    run = RunFolder.create(project.runs_folder, name, config)
    if "name" not in config:  # only now it is known: two runs of one name make two models
        write_json(run.path / "config.json", {**config, "name": run.id})
    try:
        launch(run, worker=worker, grace_s=grace_s)
    except MiaError as error:
        _write_failure(run, str(error))
        raise
    return run


def _write_failure(run: RunFolder, message: str) -> None:
    lock = run.acquire_lock()
    if lock is None:  # somebody took it up after all
        return
    try:
        run.update_status(state="failed", message=message, ended=time.time())
    finally:
        os.close(lock)


def stop(run: RunFolder, wait_s: float = 0.0) -> Status:
    """Ask a run to write its checkpoint and end; in the queue it ends at once.

    The request is a file, which also reaches a worker on another host; on this host a signal makes it quick.

    Parameters
    ----------
    wait_s : float
        Wait so many seconds for the end. A worker that has lost its supervisor and goes on after that is killed; a
        supervisor sees to that itself.

    Returns
    -------
    Status
        As it is now: "stopped" when it has ended, else "stopping" (or still "queued" for a fifth of a second).

    Raises
    ------
    MiaError
        When the run has ended already.
    """
    status = current_status(run)
    if status.state in ENDED:
        raise MiaError(f"run {run.id} cannot be stopped: it is {status.state} already")
    try:
        run.request_stop()
    except OSError as error:
        raise MiaError(f"run {run.id} cannot be stopped: {error}") from None
    supervisor, _ = read_signature(run.lock)
    supervised = supervisor is not None and supervisor.send(signal.SIGTERM)
    worker = None if supervised else process_of(status)
    if worker is not None:
        worker.send(signal.SIGTERM)
    status = _await_end(run, wait_s)
    if wait_s and worker is not None and status.state not in ENDED:
        worker.send(signal.SIGKILL, group=True)
        status = _await_end(run, wait_s)
    return status


def _await_end(run: RunFolder, wait_s: float) -> Status:
    deadline = time.monotonic() + wait_s
    while (status := current_status(run)).state not in ENDED and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return status


def resume(run: RunFolder, *, worker: Sequence[str] = WORKER, grace_s: float = GRACE_S) -> None:
    """Go on with a run that was stopped, lost or failed, from its last checkpoint and in the same folder.

    A run that ended in the queue, before it began, is started. Of several who resume a run at once, one does.

    Raises
    ------
    MiaError
        When the run is alive or has finished, has no checkpoint, or somebody else was faster; it names the way out.
    """
    problem = resume_problem(run, current_status(run))
    if problem:
        raise MiaError(problem)
    _launch_again(run, worker, grace_s)


def _launch_again(run: RunFolder, worker: Sequence[str], grace_s: float, *, extends: bool = False) -> None:
    deadline = time.monotonic() + RELEASE_S
    while run.is_locked() and run.status().state in ENDED and time.monotonic() < deadline:
        time.sleep(POLL_S)  # it has written its end and is just leaving
    launch(run, resume=True, extends=extends, worker=worker, grace_s=grace_s)


EXTENDING = ("epochs", "max_minutes", "stop_after")
"""The settings that say when a training ends: only these can change when it is extended."""


def extend(
    run: RunFolder, changes: dict[str, Any], *, worker: Sequence[str] = WORKER, grace_s: float = GRACE_S
) -> None:
    """Go on with a training beyond the end it was given: more epochs, more minutes, or without early stopping.

    The same run, network and optimiser; the schedule of the learning rate is stretched over the new length.

    Raises
    ------
    MiaError
        When other settings are to change, when it is no training, when it is alive or has no checkpoint.
    """
    others = sorted(set(changes) - set(EXTENDING))
    if others or not changes:
        raise MiaError(
            f"a run goes on with its own settings; only {', '.join(EXTENDING)} can change, not {', '.join(others)}. "
            "Start a new run that keeps the weights: --set start_from=MODEL"
        )
    problem = resume_problem(run, current_status(run), extends=True)
    config = run.config()
    if problem is None and config.get("kind") != "train":
        problem = f"run {run.id} is no training: it cannot be extended"
    if problem:
        raise MiaError(problem)
    write_json(run.path / "config.json", {**config, "train": {**config["train"], **changes}})
    try:
        _launch_again(run, worker, grace_s, extends=True)
    except MiaError:
        if current_status(run).state in ENDED:  # nobody took it up: it stays what it was
            write_json(run.path / "config.json", config)
        raise


def remove(run: RunFolder) -> None:
    """Delete a run's folder: its log, events and checkpoints. The model that it made stays in models/.

    Raises
    ------
    MiaError
        When the run is alive, or the folder cannot be deleted.
    """
    status = current_status(run)
    if status.state not in ENDED:
        raise MiaError(f"run {run.id} cannot be removed: it is {status.state}. Stop it first.")
    lock = lock_file(run.lock, RELEASE_S)
    if lock is None:
        raise MiaError(f"run {run.id} cannot be removed: a process still works in it. Stop it first.")
    try:
        hidden = run.path.with_name(f".removed-{run.id}-{time.time_ns()}")
        run.path.rename(hidden)  # gone from the list in one step, also when the rest is cut short
        shutil.rmtree(hidden)
    except OSError as error:
        raise MiaError(f"run {run.id} cannot be removed: {error}") from None
    finally:
        os.close(lock)
