"""Smaller and larger outlines of one object.

The rungs are the best contours around one centre when ever larger objects are expected: where the image has an inner
and an outer edge (a nucleus and its halo, a half and the whole) they stop at these, elsewhere they step evenly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.proposals.candidates import SMALLEST, contours_at
from mia_tui.labeling.proposals.contours import SHRINK, best_contours, fill_star, look_around, radii_around
from mia_tui.labeling.proposals.relief import Relief
from mia_tui.labeling.proposals.scorecard import scores
from mia_tui.labeling.raster import fill, shapes_from_labels

RUNGS = 1.4 ** np.arange(-3.0, 4.0)
"""Expected radii, as shares of the mean radius of the contour that a ladder is for."""
RUNG_WEIGHT = 1.0
"""Cost of a rung e times larger or smaller than expected."""
VISIBLE = 1.08
"""Least ratio of the areas of neighbouring rungs."""
SIZES = 1.33 ** np.arange(-4.0, 4.0)
"""Radii that are expected where a person points, as shares of the typical one."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Star:
    """A contour in polar form: centre (pixels of the plane, pixel centres at .5) and radius on every ray."""

    y: float
    x: float
    radius: NDArray[np.float64]


@dataclass(frozen=True)
class Ladder:
    """Nested outlines of one object, smallest first; `chosen` is the index of the one to begin with.

    Empty where every pixel around the point is taken already.
    """

    outlines: tuple[BaseGeometry, ...]
    chosen: int


@dataclass(frozen=True)
class _View:
    """A window of a relief with what is taken in it flattened; `y` and `x` are pixel indices in the window."""

    height: Relief
    taken: Mask
    y: float
    x: float
    corner: tuple[int, int]


def ladder_of(
    height: Relief,
    star: Star,
    outline: BaseGeometry | None,
    taken: Sequence[BaseGeometry],
    origin: tuple[int, int],
) -> Ladder:
    """Ladder around a contour; its chosen rung is the outline, or what the contour covers where there is none.

    Parameters
    ----------
    height : (Y, X) float32
        Relief of a part of the plane.
    star : Star
        The contour.
    outline : geometry or None
        The outline that was cut from it.
    taken : sequence of geometries
        Outlines whose pixels stay free of this object.
    origin : (top, left)
        Where the relief lies in the plane.
    """
    size = float(star.radius.mean())
    radii = radii_around(size)
    view = _view(height, star.y, star.x, float(radii[-1]), taken, origin)
    polar = look_around(view.height, np.array([view.y], np.float32), np.array([view.x], np.float32), radii)
    paths = best_contours(polar, size * RUNGS, RUNG_WEIGHT)
    rungs = [_pixels(view, np.maximum(radii[path] - SHRINK, SMALLEST)) for path in paths]
    base = _pixels(view, star.radius) if outline is None else _raster([outline], view) & ~view.taken
    return _nested(rungs, base, view)


def ladder_at(
    height: Relief, y: float, x: float, size: float, taken: Sequence[BaseGeometry], origin: tuple[int, int]
) -> Ladder:
    """Ladder around a point that a person chose, whose typical radius is `size`; the surest contour is chosen."""
    expected = size * SIZES
    radii = radii_around(size)
    view = _view(height, y, x, float(radii[-1]), taken, origin)
    rows, columns = (np.full(len(expected), at, np.float32) for at in (view.y, view.x))
    found = contours_at(view.height, rows, columns, expected, size, RUNG_WEIGHT)
    best = int(np.argmax(scores(found.features)))
    rungs = [_pixels(view, radius) for radius in found.radius]
    return _nested(rungs, rungs[best], view)


def _view(
    height: Relief, y: float, x: float, reach: float, taken: Sequence[BaseGeometry], origin: tuple[int, int]
) -> _View:
    y, x = y - origin[0] - 0.5, x - origin[1] - 0.5
    top, left = max(int(y - reach) - 2, 0), max(int(x - reach) - 2, 0)
    part = height[top : int(y + reach) + 4, left : int(x + reach) + 4].copy()
    empty = _View(part, np.zeros(part.shape, bool), y - top, x - left, (top + origin[0], left + origin[1]))
    occupied = _raster(taken, empty)
    part[occupied] = 0
    return _View(part, occupied, y - top, x - left, empty.corner)


def _raster(outlines: Sequence[BaseGeometry], view: _View) -> Mask:
    """Pixels of the window that lie in any of the outlines."""
    mask = np.zeros(view.height.shape, bool)
    shift = np.array([view.corner[1], view.corner[0]])
    rows, columns = view.height.shape
    window = shapely.box(shift[0], shift[1], shift[0] + columns, shift[1] + rows)
    for outline in outlines:
        if outline.intersects(window):
            y, x, inside = fill(shapely.transform(outline, lambda xy: xy - shift), mask.shape)
            mask[y, x] |= inside
    return mask


def _pixels(view: _View, radius: NDArray[np.float64]) -> Mask:
    """Free pixels of a contour; where what is taken cuts it in parts, the largest."""
    mask = np.zeros(view.height.shape, np.uint8)
    window, inside = fill_star(view.y, view.x, radius, view.height.shape)
    mask[window] = inside & ~view.taken[window]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    return parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 2 else mask.astype(bool)


def _nested(rungs: Sequence[Mask], base: Mask, view: _View) -> Ladder:
    """Rungs below and above the base, each within the next, each visibly larger than the last."""
    area = int(np.count_nonzero(base))
    smaller, larger = [], []
    last = base
    for rung in reversed(rungs):
        rung = rung & last
        if 0 < VISIBLE * np.count_nonzero(rung) <= np.count_nonzero(last):
            last = rung
            smaller.append(rung)
    last = base
    for rung in rungs:
        rung = rung | last
        if np.count_nonzero(rung) >= max(1, VISIBLE * np.count_nonzero(last)):
            last = rung
            larger.append(rung)
    masks = [*reversed(smaller), *([base] if area else []), *larger]
    shift = np.array([view.corner[1], view.corner[0]])
    outlines = tuple(shapely.transform(shapes_from_labels(mask)[1], lambda xy: xy + shift) for mask in masks)
    return Ladder(outlines, min(len(smaller), max(len(masks) - 1, 0)))
