"""Tracks of a project, in and out: which sequence is meant, and how tracks and labels come to know each other."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely

from mia_tui.errors import MiaError
from mia_tui.formats.object_numbers import tracks_of_numbers
from mia_tui.formats.report import ExportReport, ImportReport, checked_destination, exported_name
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import label_image
from mia_tui.project import PREDICT_PREFIX, Project
from mia_tui.tracking.detections import Array
from mia_tui.tracking.sequence import (
    FOLDER,
    Sequence,
    find_sequence,
    find_sequences,
    read_detections,
    read_plane_labels,
)
from mia_tui.tracking.store import Link, corrections, create, no_tracks, read_tracks, tracked_sequences, tracks_path
from mia_tui.tracking.tracks import Tracks

# ---- out -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tracked:
    """A sequence with its tracks and what it is called in an export."""

    sequence: Sequence
    tracks: Tracks
    name: str


Written = tuple[list[Path], list[str]]
"""The files that were written, and what a person should know."""


def export_tracked(
    project: Project,
    dest: Path,
    source: str,
    split: str | None,
    sequence: str | None,
    write: Callable[[Tracked, Path], Written],
    suffix: str = "",
) -> ExportReport:
    """Export all tracked sequences, or one.

    Parameters
    ----------
    dest : Path
        With a `suffix` (".csv") the folder that gets `<sequence>.csv`, or for a single sequence the file itself.
        Without one the folder of a single sequence; of several each gets a folder of its own in it.
    write : callable
        (sequence, path to write) -> what was written.

    Raises
    ------
    MiaError
        When nothing was tracked; what goes wrong with one sequence is in the report.
    """
    found = list(_with_tracks(project, source, split, sequence))
    if not found:
        raise no_tracks(project, f"no sequence of project {project.name} has tracks", source)
    alone = len(found) == 1 and (not suffix or dest.suffix.lower() == suffix)
    place = checked_destination(project, dest.parent) / dest.name if alone else checked_destination(project, dest)
    report = ExportReport()
    for one in found:
        try:
            files, notes = write(one, place if alone else place / f"{one.name}{suffix}")
        except MiaError as error:
            if len(found) == 1:
                raise
            report.problems.append(f"{one.sequence.name}: {error}")
            continue
        report.files += map(str, files)
        report.objects += int((one.tracks.object > 0).sum())
        report.notes += [f"{one.sequence.name}: {note}" for note in notes]
    return report


def _with_tracks(project: Project, source: str, split: str | None, name: str | None) -> Iterator[Tracked]:
    tracked = tracked_sequences(project, source)
    if name:
        wanted = find_sequence(project, name)
        tracked = [sequence for sequence in tracked if sequence.name == wanted.name]
    for sequence in tracked:
        if split is None or sequence.name.startswith(PREDICT_PREFIX) == (split == "predict"):
            called = exported_name(sequence.name, split).removesuffix(FOLDER).rstrip("/") or project.folder.name
            yield Tracked(sequence, read_tracks(project, sequence, source), called)


# ---- in --------------------------------------------------------------------------------------------------------------


def sequence_of(
    project: Project, split: str, name: str | None, frames: int | None = None, source: Path | None = None
) -> Sequence:
    """The sequence that tracks are for.

    Parameters
    ----------
    name : str, optional
        Without it the only one that fits.
    frames : int, optional
        So many the sequence must have.
    source : Path, optional
        Of several that fit the one whose name this path's last folders begin with (`01` for `01_GT/TRA`).

    Raises
    ------
    MiaError
        When none or several fit.
    """
    if split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    own = [s for s in find_sequences(project) if s.name.startswith(PREDICT_PREFIX) == (split == "predict")]
    if name is not None:
        own = [find_sequence(project, name)]
    fitting = [sequence for sequence in own if frames is None or len(sequence.moments) == frames]
    if len(fitting) > 1 and source is not None:
        parts = source.expanduser().resolve().parts[-2:]
        named = [sequence for sequence in fitting if any(part.startswith(_last(sequence)) for part in parts)]
        fitting = named if len(named) == 1 else fitting
    if len(fitting) == 1:
        return fitting[0]
    wanted = "" if frames is None else f" with {frames} frames"
    if fitting:
        listed = ", ".join(sequence.name for sequence in fitting)
        raise MiaError(
            f"project {project.name} has several sequences{wanted}: {listed}. Say which with --sequence NAME."
        )
    listed = ", ".join(f"{sequence.name} ({len(sequence.moments)} frames)" for sequence in own) or "none"
    raise MiaError(f"project {project.name} has no sequence{wanted}, which the tracks are for. There are: {listed}.")


def _last(sequence: Sequence) -> str:
    parts = sequence.name.removesuffix(f"/{FOLDER}").split("/")
    return parts[-1].partition(".")[0] + "_"


def check_import(report: ImportReport, sequence: Sequence, frames: Iterable[int], replace: bool) -> bool:
    """Whether labels may be written on some frames; else those with labels are noted as left alone.

    Raises
    ------
    MiaError
        For a project for classes of images, and where tracks were corrected and `replace` is not given.
    """
    project = report.project
    if project.task == "classification":
        raise MiaError(f"project {project.name} is for classes of images, which have no objects to track.")
    made = corrections(tracks_path(project, sequence.name, "labels"))
    if made and not replace:
        raise MiaError(f"the tracks of {sequence.name} hold {made} corrections. Give --replace to put them aside.")
    for index in frames:
        for z in range(sequence.planes):
            labels = read_plane_labels(project, sequence, "labels", index, z)
            if labels is not None and (labels.objects or labels.areas):
                report.skipped.append(_frame(sequence, index, z))
    if report.skipped and not replace:
        return False
    report.skipped.clear()
    return True


def _frame(sequence: Sequence, index: int, z: int) -> str:
    moment = sequence.moments[index]
    if moment is None:
        raise MiaError(f"frame {index + 1} of {sequence.name} is not on disk, so nothing can be imported for it.")
    return f"{moment.key} {sequence.frame_name(moment, z)}"


def put_plane(
    report: ImportReport, sequence: Sequence, index: int, z: int, objects: list[LabelObject], *, replace: bool
) -> None:
    """Write the labels of a plane."""
    key, _, frame = _frame(sequence, index, z).rpartition(" ")
    labels = FrameLabels.of(sequence.height, sequence.width, objects)
    report.put(key, frame, labels, replace=replace, text="import tracks")


def first_class(report: ImportReport) -> str:
    """The class of objects whose file says none."""
    if not report.project.classes:
        report.add_classes(["cell"])
    return report.project.classes[0].name


def adopt(report: ImportReport, sequence: Sequence, tracks: Tracks, origin: str, replace: bool) -> None:
    """Make tracks those of a sequence's labels, in which their objects are. Older ones are replaced."""
    found = read_detections(report.project, sequence, "labels")
    link = Link({"method": "import", "format": origin}, {})
    path = create(report.project, sequence, "labels", found, tracks, link, replace=replace)
    report.notes.append(f"{len(np.unique(tracks.track))} tracks of {sequence.name} in {path}")


def import_positions(
    report: ImportReport, sequence: Sequence, tracks: Tracks, origin: str, replace: bool
) -> ImportReport:
    """Import tracks that have positions only.

    In a project for points they become points, on frames without labels (or all with `replace`). In one for outlines a
    track gets the objects that are labelled where it passes; elsewhere it passes a filled gap.
    """
    if tracks.frames > len(sequence.moments):
        raise MiaError(f"the tracks have {tracks.frames} frames, {sequence.name} has {len(sequence.moments)}.")
    frames = np.unique(tracks.frame).tolist()
    if report.project.task == "detection":
        if check_import(report, sequence, frames, replace):
            _put_points(report, sequence, tracks, replace)
            adopt(report, sequence, tracks, origin, replace)
    elif check_import(report, sequence, (), replace):
        adopt(report, sequence, _on_objects(report, sequence, tracks), origin, replace)
    return report.finish(replace)


def _put_points(report: ImportReport, sequence: Sequence, tracks: Tracks, replace: bool) -> None:
    name = first_class(report)
    places = np.stack([tracks.frame, tracks.plane], 1)
    for index, z in np.unique(places, axis=0).tolist():
        rows = np.flatnonzero((places == (index, z)).all(1)).tolist()
        points = [
            LabelObject(int(tracks.object[row]), shapely.Point(tracks.position[row, ::-1][:2]), name, "imported",
                        track=int(tracks.track[row]))
            for row in rows
        ]  # fmt: skip
        put_plane(report, sequence, index, z, points, replace=replace)


def _on_objects(report: ImportReport, sequence: Sequence, tracks: Tracks) -> Tracks:
    """The tracks with the labelled objects that they pass; each object goes to the first track that passes it."""
    numbers = np.zeros(len(tracks), np.int64)
    places = np.stack([tracks.frame, tracks.plane], 1)
    for index, z in np.unique(places, axis=0).tolist():
        labels = read_plane_labels(report.project, sequence, "labels", index, z)
        rows = np.flatnonzero((places == (index, z)).all(1))
        if labels is None or not labels.objects:
            continue
        image = label_image(labels.objects.values(), (sequence.height, sequence.width))
        under = _under(image, tracks.position[rows, -2:])
        _, first = np.unique(under, return_index=True)
        numbers[rows[first]] = under[first]
    missed = int((numbers == 0).sum())
    if missed == len(tracks):
        raise MiaError(
            f"none of the tracks passes a labelled object of {sequence.name}. Import or draw the outlines first, or "
            "import into a project for points (--task detection)."
        )
    if missed:
        report.notes.append(f"{missed} of {len(tracks)} positions have no object of their own: gaps that are filled")
    return replace(tracks, object=numbers)


def _under(image: Array, positions: Array) -> Array:
    """The values of the pixels that positions lie in, 0 outside of the image."""
    pixels = np.floor(positions).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < image.shape)).all(1)
    values = np.zeros(len(pixels), np.int64)
    values[inside] = image[tuple(pixels[inside].T)]
    return values


def adopt_numbers(report: ImportReport, replace: bool) -> None:
    """Make tracks of the numbers on imported labels, of sequences without tracks (with `replace` of all)."""
    project = report.project
    imported = {entry.rpartition(" ")[0] for entry in report.frames}
    for sequence in find_sequences(project):
        if sequence.planes > 1 or imported.isdisjoint(moment.key for moment in sequence.moments if moment):
            continue
        if tracks_path(project, sequence.name, "labels").exists() and not replace:
            report.notes.append(
                f"{sequence.name} has tracks already, which were left alone (replace was not asked for)"
            )
            continue
        frames = [read_plane_labels(project, sequence, "labels", index) for index in range(len(sequence.moments))]
        tracks, notes = tracks_of_numbers(frames)
        if len(tracks):
            report.notes += [f"{sequence.name}: {note}" for note in notes]
            adopt(report, sequence, tracks, "mia", replace)
