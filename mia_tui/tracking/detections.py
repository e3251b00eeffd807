"""What a linker gets: everything that was found on the frames of one sequence, as columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Detections:
    """The objects of a sequence, sorted by frame. A row is an object on one frame; others name it by its row.

    Attributes
    ----------
    frame : (N,) int32
        Index into the sequence, 0-based, ascending.
    position : (N, 2) or (N, 3) float64
        Centroid (y, x) in pixels, or (z, y, x) with z in planes; (0, 0) is the corner of the top-left pixel.
    object : (N,) int64
        The object's id in its frame's file, at least 1. `frame`, `plane` and `object` together name it for good.
    plane : (N,) int32
        The z plane whose file holds it, 0-based.
    label : (N,) int16
        Index into `classes`.
    score : (N,) float32
        Confidence, 0 to 1; 1 where nobody gave one.
    area : (N,) float32
        Pixels; 0 for points.
    classes : tuple of str
    frames : int
        Number of frames, those without an object included.
    """

    frame: Array
    position: Array
    object: Array
    plane: Array
    label: Array
    score: Array
    area: Array
    classes: tuple[str, ...]
    frames: int

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def starts(self) -> Array:
        """(frames + 1,) int64: the rows of frame t are starts[t] up to starts[t + 1]."""
        return np.searchsorted(self.frame, np.arange(self.frames + 1)).astype(np.int64)

    @classmethod
    def of(
        cls,
        frame: npt.ArrayLike,
        position: npt.ArrayLike,
        *,
        object: npt.ArrayLike | None = None,
        plane: npt.ArrayLike | None = None,
        label: npt.ArrayLike | None = None,
        score: npt.ArrayLike | None = None,
        area: npt.ArrayLike | None = None,
        classes: tuple[str, ...] = ("cell",),
        frames: int | None = None,
    ) -> "Detections":
        """Columns in any order of frames, put into theirs (stable); what is not given gets what says nothing.

        Raises
        ------
        ValueError
            When the columns do not fit each other or an object is there twice.
        """
        times = np.asarray(frame, np.int32).reshape(-1)
        count = len(times)
        order = np.argsort(times, kind="stable")
        places = np.asarray(position, np.float64)
        if count == 0:
            places = places.reshape(0, places.shape[-1] if places.ndim == 2 else 2)
        if places.shape not in ((count, 2), (count, 3)) or not np.isfinite(places).all():
            raise ValueError("a position is two or three finite numbers per detection")

        def column(values: npt.ArrayLike | None, kind: npt.DTypeLike, otherwise: float) -> Array:
            listed = np.full(count, otherwise) if values is None else np.asarray(values)
            if listed.shape != (count,):
                raise ValueError(f"a column has shape {listed.shape}, there are {count} detections")
            return listed.astype(kind)[order]

        times = times[order]
        total = int(times[-1]) + 1 if count and frames is None else frames or 0
        if count and (times[0] < 0 or times[-1] >= total):
            raise ValueError(f"frames reach from {times[0]} to {times[-1]}, there are {total}")
        if object is None:
            first = np.searchsorted(times, times)
            numbers: Array = np.arange(count, dtype=np.int64) - first + 1
        else:
            numbers = column(object, np.int64, 0)
        planes = column(plane, np.int32, 0)
        if object is not None and has_twice(times, planes, numbers):
            raise ValueError("an object is there twice on one frame")
        return cls(
            times, places[order], numbers, planes, column(label, np.int16, 0), column(score, np.float32, 1),
            column(area, np.float32, 0), classes, total,
        )  # fmt: skip


def has_twice(*columns: Array) -> bool:
    """Whether two rows are equal in all columns."""
    order = np.lexsort(columns)
    same = np.ones(max(len(order) - 1, 0), bool)
    for values in columns:
        same &= np.diff(values[order]) == 0
    return bool(same.any())
