"""A small project on real files and a desk on one of its frames, for tests that press keys without a screen."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import shapely
import tifffile

from mia_tui.keymap import KeyMap
from mia_tui.labeling.desk.candidates import Candidate, Proposed
from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import Project
from mia_tui.widgets.canvas.view import View

HEIGHT, WIDTH = 60, 90
KEY = "a.tif"
WHOLE = View(30, 90, 0.0, 0.0, 1.0)
"""The whole image at one pixel per dot: a cell is one pixel wide and two high."""
NAMES = {
    "[": "left_square_bracket",
    "]": "right_square_bracket",
    "{": "left_curly_bracket",
    ")": "right_parenthesis",
    "*": "asterisk",
    "'": "apostrophe",
    ".": "full_stop",
    ";": "semicolon",
    " ": "space",
}


def make_project(folder: Path, *, task: str = "segmentation", size: tuple[int, int] = (HEIGHT, WIDTH)) -> Project:
    (folder / "images" / "deep").mkdir(parents=True)
    for name in (KEY, "deep/b.tif"):
        tifffile.imwrite(folder / "images" / name, np.zeros(size, np.uint8))
    return Project.create(folder / "project", images=folder / "images", task=task, classes=["cell", "debris"])


def box(left: float, top: float, size: float = 8) -> shapely.Polygon:
    return shapely.box(left, top, left + size, top + size)


def predict(project: Project, geometries: Sequence, *, model: str = "net", key: str = KEY, name: str = "cell") -> Path:
    """Predictions with scores 0.1, 0.2, …, in this order."""
    objects = [LabelObject(i, shape, name, "predicted", i / 10) for i, shape in enumerate(geometries, 1)]
    path = project.prediction_path(model, key, "image")
    write_frame(path, FrameLabels.of(HEIGHT, WIDTH, objects))
    return path


def at_desk(
    project: Project, *, key: str = KEY, model: str | None = None, keymap: KeyMap | None = None, view: View = WHOLE
) -> Desk:
    """A desk with a frame open."""
    desk = Desk(project, keymap)
    return opened(desk, key=key, model=model, view=view)


def opened(desk: Desk, *, key: str = KEY, model: str | None = None, view: View = WHOLE) -> Desk:
    desk.view = view
    desk.open(key, "image", tifffile.imread(desk.project.image(key).path)[None], model=model)
    return desk


def propose(desk: Desk, geometries: Iterable, *, classes: str = "") -> None:
    """Put proposals on the desk, with scores 0.1, 0.2, …"""
    found = [Candidate(i, shape, classes, i / 10) for i, shape in enumerate(geometries, 1)]
    desk.candidates = Proposed(found, "test", desk.time)


def press(desk: Desk, *keys: str) -> str:
    """Press keys: names, or single characters as they are typed; what the last one said."""
    for key in keys:
        desk.press(NAMES.get(key, key))
    return desk.message


def add_at(desk: Desk, y: int, x: int) -> None:
    """Put the cursor on a pixel and press enter."""
    desk.cursor = (y, x)
    press(desk, "enter")


def hint(desk: Desk, number: int, kind: str = "label") -> str:
    """The letters that an object wears."""
    return next(h.letters for h in desk.sketch().hints if (h.target.what.kind, h.target.what.number) == (kind, number))


def on_disk(project: Project, key: str = KEY) -> dict[int, tuple]:
    """What another reader finds: id -> (outline, class, source)."""
    frame = read_frame(project.labels_path(key, "image"))
    return {} if frame is None else contents(frame)


def contents(frame: FrameLabels) -> dict[int, tuple]:
    return {i: (o.geometry.wkb, o.label_class, o.source, o.origin) for i, o in frame.objects.items()}


def pixels(geometry, size: tuple[int, int] = (HEIGHT, WIDTH)) -> set[tuple[int, int]]:
    """The pixels of an outline, in the image."""
    rows, columns, mask = fill(geometry, size)
    return {(int(y) + rows.start, int(x) + columns.start) for y, x in np.argwhere(mask)}


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder; folders themselves end with a slash."""
    return {
        path.relative_to(folder).as_posix() + ("/" if path.is_dir() else ""): b""
        if path.is_dir()
        else path.read_bytes()
        for path in folder.rglob("*")
    }
