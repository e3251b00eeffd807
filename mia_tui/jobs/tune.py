"""Searching good training settings: Optuna proposes, every trial is an ordinary run, bad ones are stopped early.

`jobs.study` keeps the trials in results/tune/<study>/, the first one's run is runs/<study>-t001/.

The proposals depend on the seed and on the trials before, not on how often the search was interrupted.
"""

import contextlib
import itertools
import math
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.launch import GRACE_S, WORKER
from mia_tui.jobs.liveness import LAUNCH_S, current_status, resume_problem
from mia_tui.jobs.search_space import Choice, Plan, Range
from mia_tui.jobs.study import (
    Row,
    best_row,
    highest,
    hold_study,
    load_optuna,
    open_study,
    study_folder,
    summary,
    trial_row,
    write_best,
)
from mia_tui.jobs.watch import PERIOD_S, EventTail
from mia_tui.project import Project
from mia_tui.runfolder import ENDED, RunFolder, Status

MOST_FAILURES = 3
"""So many failed trials in a row end the search: the fault is not in the settings."""


class Watcher(Protocol):
    """Who looks on: is told about every trial and about the events and states of its run."""

    def begin(self, trial: Row, run: RunFolder) -> None: ...

    def event(self, event: dict[str, Any]) -> None: ...

    def status(self, status: Status) -> None: ...

    def end(self, trial: Row) -> None: ...


def tune(
    project: Project,
    name: str,
    plan: Plan | None = None,
    *,
    trials: int = 20,
    minutes: float | None = None,
    keep: bool = False,
    watcher: Watcher | None = None,
    worker: Sequence[str] = WORKER,
    period_s: float = PERIOD_S,
) -> Row:
    """Search until the study has its trials, or go on with a study of that name.

    A trial that was left unfinished comes first: its run is followed when it lives, resumed from its checkpoint when it
    was stopped or lost, counted when it has finished meanwhile, else the trial has failed.

    Parameters
    ----------
    plan : Plan, optional
        What to search; by default what the study was begun with, for a new one the default space.
    trials : int
        Trials of the study in all, those that failed not counted.
    minutes : float, optional
        Wall time of this call; then the running trial is stopped with a checkpoint, to go on in the next call.
    keep : bool
        Keep all models in models/, not only that of the best trial.
    worker, period_s
        The command that does the work of a run; seconds between two looks at it.

    Returns
    -------
    dict
        As `summary`, and "reason": why it ended ("done", "interrupted", "out of time", or what failed) and "ok".

    Raises
    ------
    MiaError
        When optuna is missing, somebody else works on the study, it was begun with another plan, or there is no
        validation image.
    """
    optuna = load_optuna()
    folder = study_folder(project, name)
    with hold_study(folder, name):
        study, plan = open_study(optuna, project, folder, name, plan)
        search = _Search(optuna, project, study, plan, watcher, worker, period_s, keep)
        if minutes is not None:
            search.deadline = time.monotonic() + 60 * minutes
        reason = search.run(trials)
    return {**summary(project, name), "reason": reason, "ok": reason in ("done", "interrupted", "out of time")}


class _Pause(Exception):
    """The search ends here, to go on another time; says why."""


class _Interrupt:
    """Ctrl-C as a flag, for as long as the context lasts: an exception in the middle of a write of optuna's journal
    would leave its lock behind. The second one acts at once."""

    def __enter__(self) -> "_Interrupt":
        self.asked = False
        self._main = threading.current_thread() is threading.main_thread()  # others get no signals
        self._before = signal.signal(signal.SIGINT, self._take) if self._main else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._main and not self.asked:
            signal.signal(signal.SIGINT, self._before)

    def _take(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self._before)


class _Search:
    """One call of `tune`: proposes, starts, follows, tells."""

    def __init__(
        self, optuna: Any, project: Project, study: Any, plan: Plan, watcher: Watcher | None,
        worker: Sequence[str], period_s: float, keep: bool,
    ) -> None:  # fmt: skip
        self.optuna, self.project, self.study, self.plan = optuna, project, study, plan
        self.watcher, self.worker, self.period_s, self.keep = watcher, worker, period_s, keep
        self.deadline = math.inf

    def run(self, trials: int) -> str:
        """Carry out trials until there are so many; why it ended."""
        with _Interrupt() as self.interrupt:
            try:
                return self._run(trials)
            except _Pause as pause:
                self._stop_unfinished()
                return str(pause)

    def _run(self, trials: int) -> str:
        failures = 0
        while (trial := self._next(trials)) is not None:
            self._carry_out(trial)
            self._keep_best()
            row = self._row(trial)
            if self.watcher is not None:
                self.watcher.end(row)
            failures = failures + 1 if row["state"] == "failed" else 0
            if failures == MOST_FAILURES:
                return f"{failures} trials in a row failed, the last one (run {row['run']}): {row['message']}"
        return "done"

    def _check(self) -> None:
        """Raise `_Pause` when it is time to."""
        if self.interrupt.asked:
            raise _Pause("interrupted")
        if time.monotonic() > self.deadline:
            raise _Pause("out of time")

    def _next(self, trials: int) -> Any:
        """A trial that was left unfinished, else a new one; None when there are enough."""
        states = self.optuna.trial.TrialState
        left = self.study.get_trials(deepcopy=False, states=(states.RUNNING,))
        if left:
            return self.optuna.trial.Trial(self.study, left[0]._trial_id)
        made = self.study.get_trials(deepcopy=False)
        if sum(trial.state != states.FAIL for trial in made) >= trials:
            return None
        self._check()
        self.study.sampler = self._sampler(len(made))
        return self.study.ask({key: self._distribution(part) for key, part in self.plan.space.items()})

    def _sampler(self, number: int) -> Any:
        """A sampler with a seed of its own for each trial: one seed for all would propose the first trials again after
        an interruption."""
        seed = int(np.random.SeedSequence((self.plan.seed, number)).generate_state(1)[0])
        with warnings.catch_warnings():  # optuna 4 calls `multivariate` experimental
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            return self.optuna.samplers.TPESampler(multivariate=True, seed=seed)

    def _distribution(self, part: Range | Choice) -> Any:
        kinds = self.optuna.distributions
        if isinstance(part, Choice):
            return kinds.CategoricalDistribution(part.values)
        if part.integer:
            return kinds.IntDistribution(int(part.low), int(part.high), log=part.log)
        return kinds.FloatDistribution(part.low, part.high, log=part.log)

    def _carry_out(self, trial: Any) -> None:
        """Bring one trial to its end and tell optuna."""
        try:
            run = self._run_of(trial)
        except MiaError as error:
            self._tell(trial, None, "FAIL", str(error))
            return
        if self.watcher is not None:
            self.watcher.begin(self._row(trial), run)
        follower = _Follower(trial, run, self.watcher)
        status = follower.follow(self._check, self.period_s)
        if follower.problem:
            self._tell(trial, run, "FAIL", follower.problem)
            raise MiaError(follower.problem)
        best = highest(follower.values.values())
        if status.state == "finished" and best is not None:
            self._tell(trial, run, "COMPLETE", "", best)
        elif status.state == "finished":
            self._tell(trial, run, "FAIL", "no epoch had a validation score")
        elif status.state == "stopped":
            pruned = "pruned" in trial.user_attrs
            self._tell(trial, run, "PRUNED", "" if pruned else "its run was stopped from outside")
        else:
            self._tell(trial, run, "FAIL", status.message or status.state)

    def _run_of(self, trial: Any) -> RunFolder:
        """The run of a trial, alive or ended for good: started, or resumed where it was left."""
        mark = {"study": self.study.study_name, "trial": trial.number + 1}
        name = trial.user_attrs.get("run") or f"{mark['study']}-t{mark['trial']:03d}"
        run = RunFolder(self.project.runs_folder / name)
        if (run.path / "status.json").exists() and run.config().get("tune") == mark:
            self._revive(trial, run)
            return run
        config = self.plan.config(trial.params)
        trial.set_user_attr("run", name)  # before the start: whatever kills us, the next call finds the run
        wish = {"kind": "train", "device": config.device, "train": config.model_dump(), "tune": mark}
        run = control.start(self.project, wish, name, worker=self.worker)
        if run.id != name:
            trial.set_user_attr("run", run.id)
        return run

    def _revive(self, trial: Any, run: RunFolder) -> None:
        """Resume the run of a trial that was left unfinished, when it is neither alive nor at its end."""
        deadline = time.monotonic() + LAUNCH_S + 1
        while not run.is_locked() and (status := current_status(run)).state == "queued" and time.monotonic() < deadline:
            time.sleep(control.POLL_S)  # we were killed while we started it: its supervisor comes, or it is lost
        status = current_status(run)
        left = status.state in ("stopped", "lost") and "pruned" not in trial.user_attrs
        if left and resume_problem(run, status) is None:
            control.resume(run, worker=self.worker)

    def _tell(self, trial: Any, run: RunFolder | None, state: str, message: str, value: float | None = None) -> None:
        if run is not None:
            trial.set_user_attr("minutes", round(_minutes(run), 3))
        trial.set_user_attr("message", message)
        self.study.tell(trial, value, state=self.optuna.trial.TrialState[state])

    def _row(self, trial: Any) -> Row:
        return trial_row(self.project, self.study.get_trials(deepcopy=False)[trial.number])

    def _keep_best(self) -> None:
        """Write the best settings, and remove the models of trials that are not the best."""
        rows = [trial_row(self.project, trial) for trial in self.study.get_trials(deepcopy=False)]
        best = best_row(rows)
        if best is not None:
            folder = study_folder(self.project, self.study.study_name)
            write_best(folder / "best.toml", self.plan, best, self.study.study_name)
        for row in rows:
            if not self.keep and row is not best and row["run"]:
                _remove_model(self.project, row["run"])

    def _stop_unfinished(self) -> None:
        """Stop the trial that runs, with its checkpoint; it stays unfinished in the study, to be resumed."""
        running = self.optuna.trial.TrialState.RUNNING
        for trial in self.study.get_trials(deepcopy=False, states=(running,)):
            run = RunFolder(self.project.runs_folder / trial.user_attrs.get("run", ""))
            with contextlib.suppress(MiaError):  # it has just ended, or was not started
                control.stop(run, wait_s=GRACE_S + LAUNCH_S)
        self._keep_best()


class _Follower:
    """Follows the run of one trial: reports its values to optuna and stops it when it should be pruned."""

    def __init__(self, trial: Any, run: RunFolder, watcher: Watcher | None) -> None:
        self.trial, self.run, self.watcher = trial, run, watcher
        self.values: dict[int, float] = {}
        self.problem = ""
        self._shown: tuple[Any, ...] = ()
        frozen = trial.study.get_trials(deepcopy=False)[trial.number]
        self._reported = set(frozen.intermediate_values)

    def follow(self, check: Callable[[], None], period_s: float) -> Status:
        """Until the run has ended; its last status. What `check` raises at every look passes, with the run going on."""
        tail = EventTail(self.run)
        while True:
            status = current_status(self.run)
            ended = status.state in ENDED and not self.run.is_locked()  # asked before reading: nothing comes after
            for event in tail.read():
                self._take(event)
                if self.watcher is not None:
                    self.watcher.event(event)
            self._show(status)
            if ended:
                return status
            check()
            time.sleep(period_s)

    def _show(self, status: Status) -> None:
        now = (status.state, status.message, status.epoch, status.step)
        if self.watcher is not None and now != self._shown:
            self.watcher.status(status)
            self._shown = now

    def _take(self, event: dict[str, Any]) -> None:
        if event.get("event") == "start" and event.get("validation_images") == 0:
            self.problem = (
                "there is no validation image, so trials cannot be compared. "
                "Label more images, or raise their share: --set validation=0.3"
            )
            self._stop()
        if event.get("event") != "epoch":
            return
        epoch, value = int(event["epoch"]), float(event.get("value", math.nan))  # none without a validation
        self.values[epoch] = value
        if epoch in self._reported or not math.isfinite(value):
            return
        self._reported.add(epoch)
        self.trial.report(value, epoch)
        if "pruned" not in self.trial.user_attrs and self.trial.should_prune():
            self.trial.set_user_attr("pruned", epoch)
            self._stop()

    def _stop(self) -> None:
        with contextlib.suppress(MiaError):  # it has just ended by itself
            control.stop(self.run)


def _minutes(run: RunFolder) -> float:
    """Minutes that a run has worked, the time between a stop and its resume left out."""
    events, _ = run.events()
    pairs = itertools.pairwise(events)
    return sum((max(0.0, float(b["time"]) - float(a["time"])) for a, b in pairs if b["event"] != "resume"), 0.0) / 60


def _remove_model(project: Project, run: str) -> None:
    """Remove the model that the run of a trial has made."""
    folder = project.models_folder / run
    if (folder / "model.json").exists():
        shutil.rmtree(folder)
