"""What can be done with a run, the same in the list of runs and in the view of one: stop, resume, extend, predict."""

import asyncio
from dataclasses import dataclass
from typing import Any

from mia_tui.engine.config import make_config
from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import resume_problem
from mia_tui.keymap import Action
from mia_tui.project import Project
from mia_tui.runfolder import ENDED, RunFolder, Status
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.form import LineInput, PromptScreen

STOP = Action("stop", "s", "Stop", "Run", show=True)
RESUME = Action("resume", "R", "Resume", "Run", show=True)
EXTEND = Action("extend", "e", "Extend", "Run", more="Extend a training by more epochs")
LOG = Action("log", "l", "Full log", "Run", show=True)
PREDICT = Action("predict", "p", "Predict with this model", "Run", show=True)


@dataclass(frozen=True)
class Options:
    """What can be done with a run: for each action the reason why not, None when it can; and the model it concerns."""

    stop: str | None
    resume: str | None
    extend: str | None
    predict: str | None
    model: str | None

    def problem_of(self, action_id: str) -> str | None:
        """Why the action `action_id` (stop, resume, extend, predict, or any other) cannot be done now."""
        known = ("stop", "resume", "extend", "predict")
        reason: str | None = getattr(self, action_id) if action_id in known else None
        return reason


def options_of(run: RunFolder, status: Status, model: str | None) -> Options:
    """Look up what can be done with a run that concerns `model`. Reads files: call it in a thread."""
    return Options(
        stop=f"Run {run.id} is {status.state} already." if status.state in ENDED else None,
        resume=resume_problem(run, status),
        extend=resume_problem(run, status, extends=True),
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


def extend_run(screen: MiaScreen, run: RunFolder) -> None:
    """Ask for a new number of epochs, and go on with the training up to it."""
    screen.run_worker(_extend(screen, run), exit_on_error=False)


async def _extend(screen: MiaScreen, run: RunFolder) -> None:
    try:
        train = (await asyncio.to_thread(run.config)).get("train", {})
        given = int(train.get("epochs", 0))
        bounds = [f"{name} {train[name]}" for name in ("max_minutes", "stop_after") if train.get(name)]
        hint = f"more than {given}" + (f"; it may end before: {', '.join(bounds)}" if bounds else "")
        field = LineInput(str(2 * given), compact=True)
        prompt = PromptScreen(
            f"Extend {run.id}", "Epochs in all", field, hint=hint, check=lambda text: _extension_problem(text, given)
        )
        text = await screen.app.push_screen_wait(prompt)
        if text is not None:
            await asyncio.to_thread(control.extend, run, {"epochs": int(text)})
    except MiaError as error:
        screen.say(str(error), "error")


def _extension_problem(text: str, given: int) -> str | None:
    """What is wrong with the number of epochs that a training of `given` ones is extended to."""
    if not text.isascii() or not text.isdecimal():
        return "must be a whole number"
    if int(text) <= given:
        return f"must be more than the {given} that it was given"
    try:
        make_config({"epochs": int(text)})
    except MiaError as error:
        return str(error).splitlines()[-1].rpartition(": ")[2].replace("Input should be", "must be")
    return None


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
