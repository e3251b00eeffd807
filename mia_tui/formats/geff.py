"""Tracks as GEFF, out: the graph exchange format on zarr that napari's trackers, ultrack and traccuracy read.

Needs the extra `geff`. A node is an object on a frame, an edge a link. Positions are in pixels counted from their
centres, as in napari: the middle of the top-left pixel is (0, 0) there, (0.5, 0.5) here.
"""

from pathlib import Path

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.formats.report import ExportReport, ImportReport
from mia_tui.formats.tracked import Tracked, Written, export_tracked
from mia_tui.project import Project
from mia_tui.storage import atomic_folder
from mia_tui.tracking.detections import Array
from mia_tui.tracking.tracks import Tracks


def write_geff(
    path: Path,
    tracks: Tracks,
    *,
    pixel_size: tuple[float, float] | None = None,
    z_step: float | None = None,
    frame_interval: float | None = None,
    replace: bool = False,
) -> None:
    """Write a folder `path`, whole or not at all.

    Nodes have the properties t, (z), y, x, `track`, `object` (its id in the label file of its frame; 0 where a gap was
    filled), `class`, `score` and `area` (pixels). Where no track has an only daughter, `track` is declared as tracklet.

    Parameters
    ----------
    pixel_size : tuple of float, optional
        (y, x) in micrometres; becomes the scale of the axes, as do `z_step` (micrometres) and `frame_interval`
        (seconds).
    replace : bool
        Replace a GEFF that is there.

    Raises
    ------
    MiaError
        When geff is not installed, `path` is there already, or it cannot be written.
    """
    try:
        from geff.core_io import write_arrays
        from geff_spec import Axis, GeffMetadata
    except ImportError as error:
        raise MiaError(f'GEFF needs the package geff ({error}). Install it with: pip install "mia-tui[geff]"') from None
    if path.exists() and not (replace and (path / "nodes").is_dir() and (path / "edges").is_dir()):
        raise MiaError(f"{path} is there already{' and no GEFF' * replace}. Give another name, or --replace.")
    scales = {"t": frame_interval, "z": z_step, "y": pixel_size and pixel_size[0], "x": pixel_size and pixel_size[1]}
    names = ("t", "z", "y", "x")[-tracks.position.shape[1] - 1 :] if tracks.position.shape[1] == 3 else ("t", "y", "x")
    metadata = GeffMetadata(
        directed=True,
        axes=[
            Axis(
                name=name, type="time" if name == "t" else "space", unit="frame" if name == "t" else "pixel",
                scale=scales[name], scaled_unit=scales[name] and ("second" if name == "t" else "micrometer"),
            )
            for name in names
        ],
        node_props_metadata={}, edge_props_metadata={},
        track_node_props={"tracklet": "track"} if _are_tracklets(tracks) else None,
    )  # fmt: skip
    props = {name: {"values": values, "missing": None} for name, values in _columns(tracks, names).items()}
    edges = links(tracks).astype(np.uint64)
    try:
        with atomic_folder(path, replace=replace) as partial:
            partial.rmdir()  # geff wants to make it
            write_arrays(partial, np.arange(len(tracks), dtype=np.uint64), props, edges, {}, metadata)
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror or error}. Free space or rights.") from None


def _columns(tracks: Tracks, axes: tuple[str, ...]) -> dict[str, Array]:
    places = tracks.position - np.array([0, 0.5, 0.5])[-tracks.position.shape[1] :]
    classes = np.array([*tracks.classes, ""])
    return {
        "t": tracks.frame.astype(np.int64),
        **dict(zip(axes[1:], np.ascontiguousarray(places.T), strict=True)),
        "track": tracks.track,
        "object": tracks.object,
        "class": classes[tracks.label],
        "score": tracks.score,
        "area": tracks.area,
    }


def links(tracks: Tracks) -> Array:
    """(E, 2) int64 rows of `tracks` that are linked, the earlier one first: along tracks, to daughters, into merges."""
    within = np.flatnonzero(np.diff(tracks.track) == 0)
    numbers, first = np.unique(tracks.track, return_index=True)
    last = np.append(first[1:], len(tracks)) - 1
    place = {int(track): row for row, track in enumerate(numbers)}
    across = [(last[place[mother]], first[place[track]]) for track, mother in tracks.mothers.items()]
    for part, whole in tracks.merged.items():
        row, end = place[whole], last[place[part]]
        later = np.searchsorted(tracks.frame[first[row] : last[row] + 1], tracks.frame[end], side="right")
        across.append((end, first[row] + later))
    return np.concatenate([np.stack([within, within + 1], 1), np.array(across, np.int64).reshape(-1, 2)])


def _are_tracklets(tracks: Tracks) -> bool:
    """Whether tracks are as long as GEFF wants tracklets: up to where something divides or merges."""
    ends = links(tracks)
    out, into = (np.bincount(side, minlength=len(tracks)) for side in ends.T)
    plain = (out[ends[:, 0]] == 1) & (into[ends[:, 1]] == 1)
    return bool((plain == (tracks.track[ends[:, 0]] == tracks.track[ends[:, 1]])).all())


# ---- projects --------------------------------------------------------------------------------------------------------


def export_geff(
    project: Project,
    dest: Path,
    *,
    source: str = "labels",
    split: str | None = None,
    sequence: str | None = None,
    replace: bool = False,
) -> ExportReport:
    """Write the tracks of a project as `dest/<sequence>.geff`; `dest` may be the folder `*.geff` of the only one.

    Raises
    ------
    MiaError
        When nothing was tracked, and as `write_geff`.
    """

    def write(one: Tracked, path: Path) -> Written:
        own = one.sequence
        write_geff(
            path,
            one.tracks,
            pixel_size=own.pixel_size,
            z_step=own.z_step,
            frame_interval=own.frame_interval,
            replace=replace,
        )
        return [path], []

    return export_tracked(project, dest, source, split, sequence, write, ".geff")


def _import(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    raise MiaError("GEFF is only written. Import tracks with --format ctc, napari or trackmate.")


import_ = _import
export = export_geff
