"""Tracks of TrackMate (Fiji), in: the XML file that its Save button writes.

Ershov et al., "TrackMate 7", Nature Methods 19 (2022). Spots have positions in physical units, counted from the centre
of the top-left pixel; links join a spot to one on a later frame.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.formats.report import ExportReport, ImportReport
from mia_tui.formats.tracked import import_positions, sequence_of
from mia_tui.project import Project
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.tracks import Tracks, check, tracks_of

_SAVE = "Save the session in TrackMate (the Save button writes the whole file) and import that."


def read_trackmate(path: Path) -> Tracks:
    """Read the visible tracks of a TrackMate file.

    A spot with links to two others is a division, one with links from two a merge: a track ends there and others begin.
    Spots without a link, and those and tracks that are filtered out in TrackMate, are left out.

    Returns
    -------
    Tracks
        Numbered in the order of their first spots. Positions in pixels, 3-D when the image has several z planes (z in
        planes); `area` that of a disc of the spot's radius; objects are numbered within their frame.

    Raises
    ------
    MiaError
        For a file that is none of TrackMate or is damaged, and for links that do not go forward in time.
    """
    file = _read(path)
    linked = {spot for edge in file.edges() for spot in edge}
    rows = {spot: row for row, spot in enumerate(sorted(linked, key=lambda spot: (file.spots[spot][0], spot)))}
    frame = [int(file.spots[spot][0]) for spot in rows]
    values = np.array([file.spots[spot][1:] for spot in rows], np.float64).reshape(-1, 4)
    y, x = values[:, 1] / file.size[1] + 0.5, values[:, 2] / file.size[2] + 0.5
    position = np.stack([values[:, 0] / file.size[0], y, x], 1) if file.planes > 1 else np.stack([y, x], 1)
    area = math.pi * values[:, 3] ** 2 / (file.size[1] * file.size[2])
    plane = np.rint(position[:, 0]).clip(0, file.planes - 1) if file.planes > 1 else np.zeros(len(rows))
    frames = max(file.frames, max(frame, default=-1) + 1)
    try:
        found = Detections.of(frame, position, plane=plane, area=area, frames=frames)
        tracks = tracks_of(found, _forward(file, rows, found.frame))
        check(tracks)
    except (ValueError, MiaError) as error:
        raise MiaError(f"{path}: {error}") from None
    return tracks


def _forward(file: "_File", rows: dict[int, int], frame: Array) -> Array:
    """(E, 2) rows of linked spots, the earlier one first, each once."""
    ends = np.array([[rows[spot] for spot in edge] for edge in file.edges()], np.int64).reshape(-1, 2)
    turned = frame[ends[:, 0]] > frame[ends[:, 1]]
    ends[turned] = ends[turned][:, ::-1]
    return np.unique(ends, axis=0)


class _File:
    """What is read of a file.

    Attributes
    ----------
    spots : dict
        Id -> frame, z, y, x and radius in physical units.
    tracks : dict
        Id -> its links, ids of the spots at their ends.
    hidden : set of int
        Spots that are filtered out.
    kept : set of str, optional
        The tracks that are not filtered out; None: all.
    size : tuple of float
        Physical size of a voxel (z, y, x).
    planes, frames : int
        Of the image.
    """

    def __init__(self) -> None:
        self.spots: dict[int, tuple[float, float, float, float, float]] = {}
        self.tracks: dict[str, list[tuple[int, int]]] = {}
        self.hidden: set[int] = set()
        self.kept: set[str] | None = None
        self.size = (1.0, 1.0, 1.0)
        self.planes = 1
        self.frames = 0

    def edges(self) -> list[tuple[int, int]]:
        """Ids of linked spots, of what is not filtered out."""
        kept = [edges for track, edges in self.tracks.items() if self.kept is None or track in self.kept]
        return [edge for edges in kept for edge in edges if not self.hidden.intersection(edge)]


def _read(path: Path) -> _File:
    file = _File()
    for element in _elements(path):
        try:
            _take(file, element)
        except KeyError as error:
            raise MiaError(f"{path}: a {element.tag} has no {error.args[0]}. {_SAVE}") from None
        except (ValueError, OverflowError) as error:
            raise MiaError(f"{path}: a {element.tag} has a wrong number: {error}.") from None
    if min(file.size) <= 0 or not all(map(math.isfinite, file.size)):
        raise MiaError(f"{path}: the size of a pixel is {file.size} (z, y, x). Set it in Fiji (Image > Properties).")
    absent = sorted({spot for edge in file.edges() for spot in edge} - file.spots.keys())
    if absent:
        raise MiaError(
            f"{path}: a link names the spot {absent[0]}, which is not in the file. It is incomplete. {_SAVE}"
        )
    return file


def _take(file: _File, element: ET.Element) -> None:
    """Note what an element says."""
    if element.tag == "Spot":
        number = int(element.attrib["ID"])
        if element.get("VISIBILITY", "1") == "0":
            file.hidden.add(number)
        file.spots[number] = _spot(element)
    elif element.tag == "Track":
        file.tracks[element.attrib["TRACK_ID"]] = [
            (int(edge.attrib["SPOT_SOURCE_ID"]), int(edge.attrib["SPOT_TARGET_ID"])) for edge in element.iter("Edge")
        ]
    elif element.tag == "FilteredTracks":
        file.kept = {one.attrib["TRACK_ID"] for one in element.iter("TrackID")}
    else:
        depth, height, width = (float(element.attrib[name]) for name in ("voxeldepth", "pixelheight", "pixelwidth"))
        file.size = depth, height, width
        file.planes, file.frames = int(element.get("nslices", "1")), int(element.get("nframes", "0"))


def _spot(element: ET.Element) -> tuple[float, float, float, float, float]:
    frame = float(element.attrib["FRAME"])
    values = [float(element.attrib[f"POSITION_{axis}"]) for axis in "ZYX"]
    if frame != int(frame) or frame < 0 or not all(map(math.isfinite, values)):
        raise ValueError(f"frame {frame:g}, position {values}")
    return frame, values[0], values[1], values[2], float(element.get("RADIUS", "0"))


def _elements(path: Path) -> Iterator[ET.Element]:
    """The elements that matter, whole; spots are forgotten once they were given out."""
    wanted = {"Spot", "Track", "FilteredTracks", "ImageData"}
    try:
        root = None
        for event, element in ET.iterparse(path, ("start", "end")):
            if root is None:
                root = element
                if root.tag == "Tracks":
                    raise MiaError(
                        f"{path} holds simplified tracks, without the size of a pixel and divisions. {_SAVE}"
                    )
                if root.tag != "TrackMate":
                    raise MiaError(f"{path} is no file of TrackMate: it begins with <{root.tag}>. {_SAVE}")
            if event == "end" and element.tag in wanted:
                yield element
            if event == "end" and element.tag in ("SpotsInFrame", "Track"):
                element.clear()
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two for encodings that are unknown
        raise MiaError(f"{path} is no whole XML file: {error}. {_SAVE}") from None
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None


# ---- projects --------------------------------------------------------------------------------------------------------


def import_trackmate(
    project: Project, source: Path, *, split: str = "train", replace: bool = False, sequence: str | None = None
) -> ImportReport:
    """Import tracks of TrackMate: as points with tracks, or for the outlines they pass (`tracked.import_positions`).

    Raises
    ------
    MiaError
        As `read_trackmate`, and when no sequence fits or the file has more frames than it.
    """
    tracks = read_trackmate(source.expanduser())
    own = sequence_of(project, split, sequence)
    return import_positions(ImportReport(project), own, tracks, "trackmate", replace)


def _export(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    raise MiaError("files of TrackMate are not written. Use --format ctc, napari or geff.")


import_ = import_trackmate
export = _export
