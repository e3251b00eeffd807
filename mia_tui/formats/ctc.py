"""Sequences of the Cell Tracking Challenge, in and out: a label image per frame and a table of tracks.

Reading a folder and what is wrong with one: `analysis.ctc.sequence`; writing one: `ctc_write`.
"""

from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.analysis.ctc.sequence import CtcSequence, mask_problems, raise_problems, read_ctc, table_problems
from mia_tui.analysis.matching import numbered
from mia_tui.errors import MiaError
from mia_tui.formats.ctc_write import Masks, point_masks, write_ctc
from mia_tui.formats.report import ExportReport, ImportReport
from mia_tui.formats.track_rows import tracks_of_rows
from mia_tui.formats.tracked import (
    Tracked,
    Written,
    adopt,
    check_import,
    export_tracked,
    first_class,
    put_plane,
    sequence_of,
)
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.raster import shapes_from_labels
from mia_tui.project import Project
from mia_tui.tracking.detections import Array
from mia_tui.tracking.sequence import Sequence, SequenceMasks
from mia_tui.tracking.tracks import Tracks

RADIUS = 5.0
"""Of the discs that points become, pixels."""

# ---- folders ---------------------------------------------------------------------------------------------------------


def tracks_of_ctc(sequence: CtcSequence, *, join: bool = True) -> Tracks:
    """The tracks of a folder. The id of an object is the value that it has in the masks.

    Parameters
    ----------
    join : bool
        The challenge ends a track where it is out of sight and lets another one begin with it as its mother. Join such
        parts again: a track whose only daughter begins after a gap goes on as one track.

    Returns
    -------
    Tracks
        Positions are centroids of pixels. In volumes `plane` is the one with the most pixels of the object.

    Raises
    ------
    MiaError
        When table and masks are against the rules of the challenge, with every line and file.
    """
    raise_problems(table_problems(sequence))
    columns: dict[str, list[Array]] = {name: [] for name in ("frame", "object", "position", "plane", "area")}
    for frame in range(len(sequence)):
        found = _objects(sequence.masks(frame))
        columns["frame"].append(np.full(len(found["object"]), frame))
        for name, values in found.items():
            columns[name].append(values)
    if len({values.shape[1] for values in columns["position"]}) > 1:
        raise MiaError(f"{sequence.folder} holds planes and volumes. All masks must have the same shape.")
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    raise_problems(mask_problems(sequence, joined["frame"], joined["object"]))
    mothers = {int(track): int(mother) for track, _, _, mother in sequence.spans if mother}
    first = _first_parts(sequence.spans) if join else {}
    return tracks_of_rows(
        sequence.table,
        [first.get(track, track) for track in joined["object"].tolist()],
        joined["frame"],
        joined["position"],
        object=joined["object"],
        plane=joined["plane"],
        area=joined["area"],
        frames=len(sequence),
        mothers={track: first.get(mother, mother) for track, mother in mothers.items() if track not in first},
    )


def _objects(mask: Array) -> dict[str, Array]:
    """Value, centroid, area and plane of the objects of a label image."""
    used = np.flatnonzero(mask)
    index, values = numbered(mask.ravel()[used])
    index -= 1
    area = np.bincount(index, minlength=len(values))
    places = np.unravel_index(used, mask.shape)
    centre = np.stack([np.bincount(index, axis, len(values)) for axis in places], 1) / area[:, None]
    centre[:, -2:] += 0.5  # (0, 0) is the corner of a pixel; planes count from their middle
    plane = np.zeros(len(values), np.int64)
    if mask.ndim == 3:
        shown, counts = np.unique(index * len(mask) + places[0], return_counts=True)
        order = np.argsort(counts, kind="stable")
        plane[shown[order] // len(mask)] = shown[order] % len(mask)  # the last to be written has the most pixels
    return {"object": values, "position": centre, "plane": plane, "area": area}


def _first_parts(spans: Array) -> dict[int, int]:
    """Track -> the first part of the track that it goes on with after a gap."""
    rows = {int(row[0]): row for row in spans}
    daughters = dict(zip(*np.unique(spans[:, 3], return_counts=True), strict=True))
    first: dict[int, int] = {}
    for track, begin, _, mother in sorted(spans.tolist(), key=lambda row: row[1]):
        if mother and daughters[mother] == 1 and begin > rows[mother][2] + 1:
            first[track] = first.get(mother, mother)
    return first


# ---- projects --------------------------------------------------------------------------------------------------------


def import_ctc(
    project: Project, source: Path, *, split: str = "train", replace: bool = False, sequence: str | None = None
) -> ImportReport:
    """Import a folder of the challenge: its objects as labels of the first class, its tracks as those of the labels.

    In a project for points the centroids are imported.

    Parameters
    ----------
    source : Path
        A result (`01_RES`) or a truth (`01_GT`, `01_GT/TRA`).
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace labels (one undo step a frame) and tracks; else nothing is imported where frames have labels.
    sequence : str, optional
        The sequence of the project; found by the number of frames and the folder's name otherwise.

    Raises
    ------
    MiaError
        For a folder against the rules of the challenge, when no sequence fits, and for masks of another size.
    """
    folder = read_ctc(source)
    own = sequence_of(project, split, sequence, len(folder), folder.folder)
    report = ImportReport(project)
    if not check_import(report, own, range(len(folder)), replace):
        return report.finish(replace)
    tracks = tracks_of_ctc(folder)
    for frame in range(len(folder)):
        _check_size(folder, frame, own)
    name = first_class(report)
    for frame in range(len(folder)):
        here = tracks.frame == frame
        numbers = dict(zip(tracks.object[here].tolist(), tracks.track[here].tolist(), strict=True))
        mask = folder.masks(frame)
        if own.moments[frame] is None and not numbers:
            continue
        for z, plane in enumerate(mask if mask.ndim == 3 else mask[None]):
            shapes = shapes_from_labels(plane)
            if project.task == "detection":
                shapes = _points(tracks, np.flatnonzero(here & (tracks.plane == z)))
            objects = [
                LabelObject(number, shape, name, "imported", track=numbers[number]) for number, shape in shapes.items()
            ]
            put_plane(report, own, frame, z, objects, replace=replace)
    adopt(report, own, tracks, "ctc", replace)
    return report.finish(replace)


def _points(tracks: Tracks, rows: Array) -> dict[int, BaseGeometry]:
    """Object -> where it is, of some rows."""
    return {int(tracks.object[row]): shapely.Point(tracks.position[row, ::-1][:2]) for row in rows}


def _check_size(folder: CtcSequence, frame: int, sequence: Sequence) -> None:
    shape = folder.masks(frame).shape
    wanted = (sequence.planes, sequence.height, sequence.width)[-max(len(shape), 2 + (sequence.planes > 1)) :]
    if shape != wanted:
        texts = [" x ".join(map(str, size)) for size in (shape, wanted)]
        raise MiaError(f"{folder.files[frame]} has {texts[0]} pixels, the frames of {sequence.name} {texts[1]}.")


def export_ctc(
    project: Project,
    dest: Path,
    *,
    source: str = "labels",
    split: str | None = None,
    sequence: str | None = None,
    fill: bool = False,
    wide: bool = False,
    truth: bool = False,
    radius: float = RADIUS,
    replace: bool = False,
) -> ExportReport:
    """Write the tracks of a project as folders of the challenge, see `write_ctc`.

    Parameters
    ----------
    dest : Path
        The folder to write (`01_RES`); with several sequences each gets a folder of its own in it.
    source : str
        What was tracked: "labels" or "predictions:MODEL".
    sequence : str, optional
        Only this one.
    truth : bool
        Name the files as those of a truth.
    radius : float
        Points become discs of this radius, pixels.
    replace : bool
        Replace what an earlier export wrote.

    Raises
    ------
    MiaError
        When nothing was tracked, and as `write_ctc`.
    """

    if not radius >= 0:
        raise MiaError(f"the radius of discs is {radius:g} px. Give a number of 0 or more with --radius.")

    def write(one: Tracked, folder: Path) -> Written:
        masks = _masks_of(project, one, source, radius)
        naming = "truth" if truth else "result"
        written = write_ctc(folder, one.tracks, masks, naming=naming, fill=fill, wide=wide, replace=replace)
        return written.files, written.notes

    return export_tracked(project, dest, source, split, sequence, write)


def _masks_of(project: Project, one: Tracked, source: str, radius: float) -> Masks:
    """The label images of a sequence: of its outlines, or discs where it has points only."""
    own = one.sequence
    if not (one.tracks.area > 0).any():
        return point_masks(one.tracks, own.height, own.width, radius, own.planes)
    planes = [SequenceMasks(project, own, source, z) for z in range(own.planes)]
    return planes[0] if len(planes) == 1 else lambda frame: np.stack([plane(frame) for plane in planes])


import_ = import_ctc
export = export_ctc
