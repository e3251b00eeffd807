"""Cross-validation as ordinary runs, `<name>-fold1`, `<name>-fold2` ...: each can be watched, stopped and resumed."""

from mia_tui.engine.options import TrainConfig
from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import current_status, resume_problem
from mia_tui.project import Project
from mia_tui.runfolder import ENDED, RunFolder


def run_of_fold(project: Project, name: str, config: TrainConfig) -> RunFolder:
    """The run of one fold, alive or finished: started, followed where it lives, resumed where it was left.

    Raises
    ------
    MiaError
        When a run of this name was begun with other settings, cannot be resumed, or has lost its model.
    """
    name, wanted = f"{name}-fold{config.fold}", config.model_dump()
    run = RunFolder(project.runs_folder / name)
    if not (run.path / "status.json").exists():
        return control.start(project, {"kind": "train", "device": config.device, "train": wanted}, name)
    asked = run.config().get("train", {})
    other = [f"{key} {asked.get(key)}, now {value}" for key, value in wanted.items() if asked.get(key) != value]
    if other:
        raise MiaError(f"run {name} was begun with other settings ({'; '.join(other)}). Choose another --name.")
    status = current_status(run)
    if status.state == "finished" and name not in project.models():
        raise MiaError(f"run {name} has finished but its model was removed. Choose another --name.")
    if status.state in ENDED and status.state != "finished":
        if problem := resume_problem(run, status):
            raise MiaError(f"{problem} Remove it before: mia-tui runs {project.folder} rm {name}")
        control.resume(run)
    return run
