"""The motion of one sequence as a folder of tables and plots, and in a few lines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mia_tui.analysis import motion_plots
from mia_tui.analysis.figure import Figure
from mia_tui.analysis.figure_png import write_png
from mia_tui.analysis.figure_svg import svg
from mia_tui.analysis.figure_text import as_lines, draw
from mia_tui.analysis.lineage_plot import draw_lineage, lineage
from mia_tui.analysis.motion_plots import Shown, compared_text, counted
from mia_tui.analysis.motion_results import Motion, measure_motion
from mia_tui.analysis.motion_tables import motion_tables
from mia_tui.analysis.tables import units_path, write_table
from mia_tui.errors import MiaError
from mia_tui.imaging.source import Calibration
from mia_tui.storage import write_bytes
from mia_tui.tracking.around_division import WINDOW
from mia_tui.tracking.contacts import Masks
from mia_tui.tracking.tracks import Tracks

Row = dict[str, Any]

JUMP = 4.0
"""Times the median step: a larger step of half of all objects at once is pointed out."""


@dataclass(frozen=True)
class MotionReport:
    """What was measured and written."""

    motion: Motion
    shown: Shown
    files: tuple[Path, ...]


def motion_report(
    tracks: Tracks,
    calibration: Calibration,
    masks: Masks | None = None,
    *,
    out: Path,
    window: int = WINDOW,
    contact_distance: float | None = None,
    subtract_drift: bool = False,
    colors: Mapping[str, str] | None = None,
) -> MotionReport:
    """Measure the motion of a sequence and write it into a folder.

    `objects`, `tracks`, `classes`, `msd`, `divisions`, `around_divisions` and `contacts` as CSV with their units
    beside them, and `rose`, `msd`, `speed`, `around_divisions` and `lineage` as PNG and SVG.

    Parameters
    ----------
    tracks, calibration, masks, window, contact_distance, subtract_drift
        As for `motion_results.measure_motion`.
    out : Path
        The folder; files of these names in it are replaced.
    colors : mapping, optional
        Class -> `#RRGGBB`.

    Raises
    ------
    MiaError
        For tracks that cannot be, and where the folder cannot be written to.
    """
    motion = measure_motion(
        tracks, calibration, masks, window=window, contact_distance=contact_distance, subtract_drift=subtract_drift
    )
    shown = Shown(motion, colors)
    files = []
    for name, table in motion_tables(motion).items():
        files.append(out / f"{name}.csv")
        write_table(table, files[-1])
    try:
        if motion.contact_distance is None:  # contacts of an earlier report are not those of this one
            for old in (out / "contacts.csv", units_path(out / "contacts.csv")):
                old.unlink(missing_ok=True)
        for name, figure in figures(motion, shown).items():
            files += [out / f"{name}.png", out / f"{name}.svg"]
            write_png(figure, files[-2])
            write_bytes(files[-1], svg(figure).encode())
    except OSError as error:
        raise MiaError(f"{out} cannot be written: {error.strerror or error}. Give another place with --out.") from None
    return MotionReport(motion, shown, tuple(files))


def figures(motion: Motion, shown: Shown) -> dict[str, Figure]:
    """All plots by the names of their files."""
    return {
        "rose": motion_plots.rose(motion, shown),
        "msd": motion_plots.msd(motion, shown),
        "speed": motion_plots.speed(motion, shown),
        "around_divisions": motion_plots.around(motion, shown),
        "lineage": lineage(motion, shown),
    }


def text_plots(motion: Motion, shown: Shown, width: int, height: int) -> list[str]:
    """All plots in characters, each of `height` lines or fewer, with an empty line after each."""
    lines: list[str] = []
    for name, figure in figures(motion, shown).items():
        grid = draw_lineage(motion, shown, width, height) if name == "lineage" else draw(figure, width, height)
        lines += [*as_lines(grid), ""]
    return [line for line, before in zip(lines, ["", *lines[:-1]], strict=True) if line or before]


def summary(report: MotionReport) -> Row:
    """What was found as plain data; None where nothing could be measured."""
    motion, units = report.motion, report.motion.units
    compared = {f.name: _known(getattr(motion.compared, f.name)) for f in fields(motion.compared)}
    return {
        "frames": motion.tracks.frames,
        "tracks": len(motion.whole),
        "units": {"length": units.length, "time": units.time},
        "classes": motion_tables(motion)["classes"].to_pylist(),
        "divisions": sum(bool(life.daughters) for life in motion.lives.values()),
        "around_division": compared | {"window_frames": motion.window},
        "largest_common_step": motion.jump,
        "drift_subtracted": motion.drift_subtracted,
        "contacts": None if motion.contact_distance is None else len(motion.contacts),
        "files": [str(path) for path in report.files],
    }


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def summary_lines(report: MotionReport) -> list[str]:
    """What was found, for people: a table of the classes, and speeds around divisions."""
    motion, shown = report.motion, report.shown
    found = summary(report)
    if not found["tracks"]:
        return [f"no tracks on {counted(found['frames'], 'frame')}"]
    what = [(found["tracks"], "track"), (found["divisions"], "division"), (found["frames"], "frame")]
    lines = ["{}, {}, {}".format(*(counted(*one) for one in what))]
    head = ("", "tracks", f"speed ({shown.speed})", "directionality", "alpha", f"D ({shown.area}/{shown.time})",
            f"division time ({shown.time})")  # fmt: skip
    rows = [head, *(_class_row(row, shown) for row in found["classes"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("   ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    lines.append("mean ± standard error between tracks; alpha and D of the MSD of all tracks of a class")
    lines.append(f"speed around division: {compared_text(motion, shown)}")
    if motion.contact_distance is not None:
        pairs = len({(one.a, one.b) for one in motion.contacts})
        count = counted(found["contacts"], "contact")
        lines.append(f"{count} of {counted(pairs, 'pair')} of tracks within {motion.contact_distance:g} px")
    steps = motion.steps.step[~np.isnan(motion.steps.step)]
    if not motion.drift_subtracted and len(steps) and motion.jump > JUMP * np.median(steps):
        lines.append(
            f"from one frame to the next all move {motion.jump:.3g} {shown.length} together, as when the stage jumps: "
            "--subtract-drift measures without it"
        )
    return lines


def _class_row(row: Row, shown: Shown) -> tuple[str, ...]:
    second = shown.second
    alpha, diffusion = row["ensemble_msd_alpha"], row["ensemble_diffusion"]
    return (
        row["class"] or "all",
        str(row["tracks"]),
        _with_error(row, "speed", second),
        _with_error(row, "directionality"),
        "" if alpha is None else f"{alpha:.2f}",
        "" if diffusion is None else f"{diffusion * second:.3g}",
        _with_error(row, "division_time", 1 / second),
    )


def _with_error(row: Row, name: str, factor: float = 1.0) -> str:
    mean, sem = row[f"{name}_mean"], row[f"{name}_sem"]
    if mean is None:
        return ""
    return f"{mean * factor:.3g}" + ("" if sem is None else f" ± {sem * factor:.2g}")
