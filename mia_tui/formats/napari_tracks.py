"""Tracks as napari knows them: a CSV with the columns id, t, (z), y, x, and a JSON graph of who came from whom.

napari counts pixels from their centres: the middle of the top-left pixel is (0, 0) there, (0.5, 0.5) here. The graph is
`{"track": [tracks it came from]}`: one mother, or the tracks that merged into it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.formats.report import ExportReport, ImportReport
from mia_tui.formats.track_rows import tracks_of_rows
from mia_tui.formats.tracked import Tracked, Written, export_tracked, import_positions, sequence_of
from mia_tui.project import Project
from mia_tui.storage import write_json
from mia_tui.tracking.detections import Array
from mia_tui.tracking.tracks import Tracks
from mia_tui.written_table import WrittenTable, read_written, write_written

_IDS = ("id", "track_id", "track")
_WHAT = "A table of napari tracks has the columns id, t, (z), y, x."


def graph_path(path: Path) -> Path:
    """Where the graph of a CSV lies: beside it, with the ending `.graph.json`."""
    return path.with_suffix(".graph.json")


def write_napari(path: Path, tracks: Tracks) -> list[Path]:
    """Write a CSV and its graph, atomically each; the files written.

    In napari: `viewer.add_tracks(table.to_numpy(), graph={int(k): v for k, v in graph.items()})`.

    Raises
    ------
    MiaError
        When they cannot be written.
    """
    depth = tracks.position.shape[1] == 3
    places = tracks.position - ([0, 0.5, 0.5] if depth else [0.5, 0.5])
    rows = zip(tracks.track.tolist(), tracks.frame.tolist(), places.tolist(), strict=True)
    columns = ("id", "t", "z", "y", "x") if depth else ("id", "t", "y", "x")
    write_written(path, columns, ([track, frame, *place] for track, frame, place in rows))
    graph: dict[str, list[int]] = {str(track): [mother] for track, mother in sorted(tracks.mothers.items())}
    for part, whole in sorted(tracks.merged.items()):
        graph.setdefault(str(whole), []).append(part)
    try:
        write_json(graph_path(path), graph)
    except OSError as error:
        raise MiaError(f"{graph_path(path)} cannot be written: {error.strerror}. Free space or rights.") from None
    return [path, graph_path(path)]


def read_napari(path: Path, graph: Path | None = None, *, frames: int = 0) -> Tracks:
    """Read a CSV of tracks.

    Parameters
    ----------
    path : Path
        Columns in any order, others are left aside; `track_id` is understood, too. Without a header it is no such CSV.
    graph : Path, optional
        By default the one beside the CSV (`graph_path`), if it is there. Of several origins of a track those that end
        before it begins are its mother when there is one, else tracks that merged into it, as are those that end later.
    frames : int
        Length of the sequence; more where a row is on a later frame.

    Raises
    ------
    MiaError
        For a table or graph that cannot be read, with the line, and tracks that cannot be.
    """
    table = read_written(path, ("t", "y", "x"), _WHAT)
    name = next((name for name in _IDS if name in table.columns), None)
    if name is None:
        raise MiaError(f"{path} has no column id (it has {', '.join(table.columns)}). {_WHAT}")
    axes = ("z", "y", "x") if "z" in table.columns else ("y", "x")
    values = _numbers(table, (name, "t", *axes))
    track, frame, places = values[:, 0].astype(np.int64), values[:, 1].astype(np.int64), values[:, 2:]
    places[:, -2:] += 0.5
    plane = np.rint(places[:, 0]).clip(0) if len(axes) == 3 else None
    other = graph_path(path) if graph is None else graph
    known = _read_graph(other) if graph is not None or other.is_file() else {}
    mothers, merged = _relations(known, track, frame, other)
    return tracks_of_rows(path, track, frame, places, plane=plane, frames=frames, mothers=mothers, merged=merged)


def _numbers(table: WrittenTable, names: tuple[str, ...]) -> Array:
    """(N, 5 or 4) numbers of all rows."""
    values = np.empty((len(table.rows), len(names)))
    for number, row in enumerate(table.rows):
        try:
            values[number] = [table.number(row, name) for name in names]
            track, frame = values[number, :2]
            if track != int(track) or not 1 <= track < 2**53:
                raise ValueError(f"{names[0]} is {row[names[0]]!r}; tracks are numbered 1, 2, 3 and so on")
            if frame != int(frame) or not 0 <= frame < 2**31:
                raise ValueError(f"t is {row['t']!r}; frames are numbered 0, 1, 2 and so on")
        except ValueError as error:
            raise MiaError(f"{table.path}: line {number + 2}: {error}") from None
    return values


def _read_graph(path: Path) -> dict[int, list[int]]:
    """Track -> where it came from."""
    try:
        found: Any = json.loads(path.read_bytes())
        if not isinstance(found, Mapping):
            raise ValueError("it is no JSON object")
        return {
            int(track): [_whole(one) for one in (of if isinstance(of, list) else [of])] for track, of in found.items()
        }
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise MiaError(f'{path} is no graph of tracks such as {{"3": [1]}} (3 came from 1): {error}') from None


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no track")
    return value


def _relations(
    graph: Mapping[int, list[int]], track: Array, frame: Array, path: Path
) -> tuple[dict[int, int], dict[int, int]]:
    numbers, where = np.unique(track, return_inverse=True)
    first, last = np.full(len(numbers), np.iinfo(np.int64).max), np.full(len(numbers), -1)
    np.minimum.at(first, where, frame)
    np.maximum.at(last, where, frame)
    spans = dict(zip(numbers.tolist(), zip(first.tolist(), last.tolist(), strict=True), strict=True))
    mothers: dict[int, int] = {}
    merged: dict[int, int] = {}
    for child, origins in graph.items():
        for one in (child, *origins):
            if one not in spans:
                raise MiaError(f"{path} names the track {one}, which the table does not have.")
        before = [one for one in origins if spans[one][1] < spans[child][0]]
        if len(before) == 1:
            mothers[child] = before[0]
        merged |= {one: child for one in origins if one not in before or len(before) > 1}
    return mothers, merged


# ---- projects --------------------------------------------------------------------------------------------------------


def import_napari(
    project: Project, source: Path, *, split: str = "train", replace: bool = False, sequence: str | None = None
) -> ImportReport:
    """Import a CSV of tracks: as points with tracks, or for the outlines it passes (`tracked.import_positions`).

    Raises
    ------
    MiaError
        As `read_napari`, and when no sequence fits or the table has more frames than it.
    """
    own = sequence_of(project, split, sequence)
    tracks = read_napari(source.expanduser(), frames=len(own.moments))
    return import_positions(ImportReport(project), own, tracks, "napari", replace)


def export_napari(
    project: Project, dest: Path, *, source: str = "labels", split: str | None = None, sequence: str | None = None
) -> ExportReport:
    """Write the tracks of a project as `dest/<sequence>.csv` with its graph; `dest` may be the CSV of the only one.

    Raises
    ------
    MiaError
        When nothing was tracked.
    """

    def write(one: Tracked, path: Path) -> Written:
        return write_napari(path, one.tracks), []

    return export_tracked(project, dest, source, split, sequence, write, ".csv")


import_ = import_napari
export = export_napari
