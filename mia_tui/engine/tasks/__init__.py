"""What a task is: target, output, loss, decoding and score. One file per task; the rest of the engine is shared."""

from mia_tui.engine.tasks.task import Annotation, Task
from mia_tui.errors import MiaError

__all__ = ["TASKS", "Annotation", "Task", "get_task"]

TASKS = {
    "segmentation": "SegmentationTask",
    "detection": "DetectionTask",
    "classification": "ClassificationTask",
}


def get_task(name: str) -> Task:
    """The task of this name.

    Raises
    ------
    MiaError
        For a name that is none.
    """
    import importlib

    if name not in TASKS:
        raise MiaError(f"unknown task {name!r}: choose {', '.join(TASKS)}")
    task: Task = getattr(importlib.import_module(f"mia_tui.engine.tasks.{name}"), TASKS[name])()
    return task
