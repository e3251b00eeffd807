"""Tracks from the rows of a file: the steps that all formats of tracks have in common."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Array
from mia_tui.tracking.tracks import Tracks, check


def tracks_of_rows(
    path: Path,
    track: ArrayLike,
    frame: ArrayLike,
    position: ArrayLike,
    *,
    object: ArrayLike | None = None,
    plane: ArrayLike | None = None,
    area: ArrayLike | None = None,
    label: ArrayLike | None = None,
    classes: tuple[str, ...] = ("cell",),
    frames: int = 0,
    mothers: Mapping[int, int] | None = None,
    merged: Mapping[int, int] | None = None,
) -> Tracks:
    """Tracks from rows in any order, checked.

    Parameters
    ----------
    path : Path
        The file, for what is said when the tracks cannot be.
    track, frame : (M,) int
    position : (M, 2) or (M, 3) float
        As in `Tracks`.
    object : (M,) int, optional
        By default the objects of a frame get the numbers 1, 2, 3 and so on in the order of the rows.
    frames : int
        At least so many; more where a row is on a later one.

    Raises
    ------
    MiaError
        Naming the file and the first track that cannot be.
    """
    numbers, times = np.asarray(track, np.int64).reshape(-1), np.asarray(frame, np.int32).reshape(-1)
    count = len(numbers)
    places = np.asarray(position, np.float64)
    if not count:
        places = np.zeros((0, places.shape[1] if places.ndim == 2 else 2))
    order = np.lexsort((times, numbers))

    def column(values: ArrayLike | None, kind: str, otherwise: float = 0) -> Array:
        listed = np.full(count, otherwise) if values is None else np.asarray(values)
        return listed.astype(kind)[order]

    tracks = Tracks(
        numbers[order], times[order], places[order],
        column(_numbered(times) if object is None else object, "int64"), column(plane, "int32"),
        column(label, "int16"), column(None, "float32", 1), column(area, "float32"),
        classes, max(frames, int(times.max(initial=-1)) + 1), dict(mothers or {}), dict(merged or {}),
    )  # fmt: skip
    try:
        check(tracks)
    except MiaError as error:
        raise MiaError(f"{path}: {error}") from None
    return tracks


def _numbered(times: Array) -> Array:
    """1, 2, 3 and so on within each frame, in the order of the rows."""
    order = np.argsort(times, kind="stable")
    numbers = np.empty(len(times), np.int64)
    numbers[order] = np.arange(len(times)) - np.searchsorted(times[order], times[order]) + 1
    return numbers


def gaps(tracks: Tracks) -> int:
    """On how many frames between their first and last tracks have no object."""
    spans = tracks.spans()
    return int((spans[:, 2] - spans[:, 1] + 1).sum() - (tracks.object > 0).sum())
