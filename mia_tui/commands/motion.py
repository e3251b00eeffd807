"""The command `motion`: tracks of a project in, tables and plots of their motion out."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mia_tui.analysis.motion_report import MotionReport, motion_report, summary, summary_lines, text_plots
from mia_tui.errors import MiaError
from mia_tui.imaging.source import Calibration
from mia_tui.project import Project
from mia_tui.tracking.sequence import Sequence, SequenceMasks, find_sequence
from mia_tui.tracking.store import no_tracks, read_tracks, tracked_sequences

Row = dict[str, Any]

HEIGHT = 24
"""Lines of a plot in the terminal."""


def measure_sequences(
    project: Project,
    source: str,
    names: Collection[str] = (),
    *,
    out: Path | None = None,
    window: int,
    contact_distance: float | None = None,
    subtract_drift: bool = False,
) -> Iterator[tuple[Sequence, Path, MotionReport]]:
    """Measure the motion of these sequences, or of all that have tracks; (sequence, folder, report) of each when done.

    Parameters
    ----------
    source : str
        What was tracked: "labels" or "predictions:MODEL".
    out : Path, optional
        Folder that gets a folder per sequence; by default `results/motion/labels` or
        `results/motion/predictions/MODEL`.

    Raises
    ------
    MiaError
        When there is no such sequence, nothing is tracked, or a number makes no sense.
    """
    if window < 1:
        raise MiaError(f"--window is {window}: compare 1 frame or more on each side of a division")
    if contact_distance is not None and not contact_distance > 0:
        raise MiaError(f"--contact is {contact_distance:g}: give a distance above 0 pixels")
    for sequence in [find_sequence(project, name) for name in names] or _tracked(project, source):
        folder = _folder(project, source, out) / sequence.name
        tracks = read_tracks(project, sequence, source)
        flat = sequence.planes == 1 and bool((tracks.area > 0).any())
        report = motion_report(
            tracks,
            Calibration(sequence.pixel_size, sequence.z_step, sequence.frame_interval),
            SequenceMasks(project, sequence, source) if flat else None,
            out=folder,
            window=window,
            contact_distance=contact_distance,
            subtract_drift=subtract_drift,
            colors={entry.name: entry.color for entry in project.classes},
        )
        yield sequence, folder, report


def _tracked(project: Project, source: str) -> list[Sequence]:
    found = tracked_sequences(project, source)
    if not found:
        raise no_tracks(project, f"no sequence of project {project.name} has tracks", source)
    return found


def _folder(project: Project, source: str, out: Path | None) -> Path:
    kind, _, model = source.partition(":")
    return out or project.results_folder / "motion" / kind / model


def describe(sequence: Sequence, folder: Path, report: MotionReport, *, plots: bool) -> list[str]:
    """What was found, in lines; with `plots` also these, as wide as the terminal."""
    lines = [f"{sequence.name}: {folder}", *(f"  {line}" for line in [*_hints(sequence), *summary_lines(report)])]
    if plots:
        width = min(shutil.get_terminal_size().columns, 120)
        lines += ["", *text_plots(report.motion, report.shown, width, HEIGHT)]
    return lines


def _hints(sequence: Sequence) -> list[str]:
    """What would make the units those of the sample."""
    missing = [
        name
        for name, value in (("pixel_size", sequence.pixel_size), ("frame_interval", sequence.frame_interval))
        if value is None
    ]
    if not missing:
        return []
    return [f"measured in pixels or frames: set {' and '.join(missing)} under [calibration] in project.toml"]


def as_data(sequence: Sequence, folder: Path, report: MotionReport) -> Row:
    """The result of one sequence for programs."""
    return {"sequence": sequence.name, "folder": str(folder), **summary(report)}
