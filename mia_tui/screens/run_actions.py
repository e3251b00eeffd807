"""What can be done with a run, the same in the list of runs and in the view of one: stop, resume, predict."""

import asyncio
from dataclasses import dataclass
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import resume_problem
from mia_tui.keymap import Action
from mia_tui.project import Project
from mia_tui.runfolder import ENDED, RunFolder, Status

STOP = Action("stop", "s", "Stop", "Run", show=True)
RESUME = Action("resume", "R", "Resume", "Run", show=True)
LOG = Action("log", "l", "Full log", "Run", show=True)
PREDICT = Action("predict", "p", "Predict with this model", "Run", show=True)


@dataclass(frozen=True)
class Options:
    """What can be done with a run: for each action the reason why not, None when it can; and the model it concerns."""

    stop: str | None
    resume: str | None
    predict: str | None
    model: str | None

    def problem_of(self, action_id: str) -> str | None:
        """Why the action `action_id` (stop, resume, predict, or any other) cannot be done now."""
        reason: str | None = getattr(self, action_id, None) if action_id in ("stop", "resume", "predict") else None
        return reason


def options_of(run: RunFolder, status: Status, model: str | None) -> Options:
    """Look up what can be done with a run that concerns `model`. Reads files: call it in a thread."""
    return Options(
        stop=f"Run {run.id} is {status.state} already." if status.state in ENDED else None,
        resume=resume_problem(run, status),
        predict=_predict_problem(run, status, model),
        model=model,
    )


def _predict_problem(run: RunFolder, status: Status, model: str | None) -> str | None:
    if model is None:
        return f"Run {run.id} names no model."
    if not (run.path.parents[1] / "models" / model / "model.json").exists():
        wait = "The training must end first" if status.state not in ENDED else "The run ended before it made one"
        return f"There is no model {model!r} yet. {wait}."
    return None


def kind_and_model(run: RunFolder) -> tuple[str, str | None]:
    """ "train" or "predict", and the model that the run makes or uses (None when its config does not say)."""
    try:
        config = run.config()
        kind = str(config.get("kind", "train"))
        name = config["predict"]["model"] if kind == "predict" else config.get("name")
    except (MiaError, OSError, ValueError, KeyError, TypeError):
        return "train", None
    return kind, name if isinstance(name, str) else None


async def stop_run(run: RunFolder) -> Status:
    """Ask a run to stop (in a thread: a network disk may be slow)."""
    return await asyncio.to_thread(control.stop, run)


async def resume_run(run: RunFolder) -> None:
    """Go on with a run from its last checkpoint."""
    await asyncio.to_thread(control.resume, run)


async def start_prediction(project: Project, model: str) -> RunFolder:
    """Start a run that predicts the project's images with `model`.

    Raises
    ------
    MiaError
        When the run cannot be started.
    """
    config: dict[str, Any] = {
        "kind": "predict",
        "device": "auto",
        "predict": {"model": model, "images": None, "tta": False, "probabilities": False},
    }
    return await asyncio.to_thread(control.start, project, config, f"predict-{model}")


def need_project(project: Project | None) -> Project:
    """The open project.

    Raises
    ------
    MiaError
        When there is none.
    """
    if project is None:
        raise MiaError("No project is open. Open one on the projects screen (g p).")
    return project
