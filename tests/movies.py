"""Projects with small time lapses for tests: objects in lanes, squares or points."""

from pathlib import Path

import numpy as np
import shapely
import tifffile

from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project
from mia_tui.tracking.sequence import Sequence, find_sequence, read_detections
from mia_tui.tracking.store import Link, TrackStore, create
from mia_tui.tracking.tracks import tracks_of

SIZE = (120, 160)
LAPSE = "lapse.tif"
Places = dict[int, tuple[float, float]]
"""Object id -> (y, x)."""


class View:
    """One cell per pixel."""

    rows, columns = SIZE

    def to_cell(self, y: float, x: float) -> tuple[int, int]:
        return int(y), int(x)

    def to_image(self, row: float, column: float) -> tuple[float, float]:
        return row, column


def squares(places: Places) -> FrameLabels:
    """A 6 x 6 square for each object."""
    items = [LabelObject(n, shapely.box(x - 3, y - 3, x + 3, y + 3), "cell") for n, (y, x) in places.items()]
    return FrameLabels.of(*SIZE, items)


def movie(folder: Path, frames: list[Places], *, name: str = LAPSE) -> Project:
    """A stack with a 6 x 6 square for each object of each frame."""
    images = folder / "images"
    images.mkdir(parents=True)
    tifffile.imwrite(images / name, np.zeros((len(frames), *SIZE), np.uint8), imagej=True, metadata={"axes": "TYX"})
    project = Project.create(folder / "project", images=images, task="segmentation", classes=["cell"])
    for t, places in enumerate(frames):
        write_frame(project.labels_path(name, f"t{t:04d}z0000"), squares(places))
    return project


def linked(project: Project, links: dict[int, list[tuple[int, int]]], *, name: str = LAPSE) -> Sequence:
    """Write tracks: frame -> (object of this frame, object of the next frame). Two of one object are a division."""
    sequence = find_sequence(project, name)
    found = read_detections(project, sequence, "labels")
    rows = {(f, n): row for row, (f, n) in enumerate(zip(found.frame.tolist(), found.object.tolist(), strict=True))}
    edges = [(rows[t, one], rows[t + 1, other]) for t, pairs in links.items() for one, other in pairs]
    create(project, sequence, "labels", found, tracks_of(found, edges), Link({}, {}))
    return sequence


def opened(project: Project, sequence: Sequence) -> TrackStore:
    return TrackStore(project, sequence, "labels")
