"""Opening a project: a change of its classes that was cut off is finished first. Imports nothing heavy without need."""

from pathlib import Path

from mia_tui.project import Project

CHANGE_FILE = "class-change.json"
"""In the project folder: which change of a class is under way. See `class_change`."""


def open_project(folder: Path) -> Project:
    """Read a project; when the change of a class was cut off by a kill or a full disk, do the rest of it.

    Raises
    ------
    MiaError
        When `folder` is not a project, or the change cannot be finished now (a frame is being edited elsewhere).
    """
    project = Project.load(folder)
    if not (project.folder / CHANGE_FILE).exists():
        return project
    from mia_tui.labeling.class_change import finish_change

    return finish_change(project)
