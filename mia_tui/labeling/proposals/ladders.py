"""Other outlines of one object: smaller and larger ones, and other shapes.

A ladder holds the best contours around one centre when ever larger objects of one shape are expected. Where the image
has an inner and an outer edge (a nucleus and its halo, a half and the whole) the rungs stop at these, elsewhere they
step evenly. The first ladder trusts the image; the others trust the expected shape (a disc, ellipses in six directions)
and follow the image where it agrees, so that an object with hardly an edge still is a few keys away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.proposals.candidates import features_of, outline_radii
from mia_tui.labeling.proposals.contours import (
    Polar,
    best_contours,
    ellipse_radii,
    fill_star,
    look_around,
    radii_around,
)
from mia_tui.labeling.proposals.relief import Relief
from mia_tui.labeling.proposals.scorecard import scores
from mia_tui.labeling.raster import fill, shapes_from_labels

SIZES = 1.33 ** np.arange(-6.0, 4.0)
"""Radii that are expected, as shares of the typical one."""
LEAST = -24
"""Power of the ratio of radii at which they begin: an eighth of the typical one, or a pixel."""
ELONGATIONS, DIRECTIONS = (1.6, 2.6), 6
"""Of the ellipses that are expected."""
LOOSE, FIRM = 1.0, 4.0
"""Cost of a rung e times larger or smaller than expected, when the image is trusted and when the shape is."""
SHAPES = 6
"""Ladders of single shapes that are offered."""
VISIBLE = 1.08
"""Least ratio of the areas of neighbouring rungs."""

Mask = NDArray[np.bool_]
Radii = NDArray[np.float64]


@dataclass(frozen=True)
class Star:
    """A contour in polar form: centre (pixels of the plane, pixel centres at .5) and radius on every ray."""

    y: float
    x: float
    radius: Radii


@dataclass(frozen=True)
class Ladder:
    """Nested outlines of one object, smallest first; `chosen` is the index of the one to begin with."""

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


def ladders_of(
    height: Relief, star: Star, outline: BaseGeometry, taken: Sequence[BaseGeometry], origin: tuple[int, int]
) -> Iterator[Ladder]:
    """Ladders for an outline that was made from a contour; it is the chosen rung of the first.

    Parameters
    ----------
    height : (Y, X) float32
        Relief of a part of the plane.
    star : Star
        The contour.
    outline : geometry
        What was cut from it.
    taken : sequence of geometries
        Outlines whose pixels stay free of this object.
    origin : (top, left)
        Where the relief lies in the plane.
    """
    size = float(star.radius.mean())
    radii = radii_around(size, LEAST)
    view = _view(height, star.y, star.x, float(radii[-1]), taken, origin)
    return _ladders(view, size, radii, _raster([outline], view) & ~view.taken)


def ladders_at(
    height: Relief, y: float, x: float, size: float, taken: Sequence[BaseGeometry], origin: tuple[int, int]
) -> Iterator[Ladder]:
    """Ladders around a point where objects of a radius of about `size` are likely."""
    radii = radii_around(size, LEAST)
    return _ladders(_view(height, y, x, float(radii[-1]), taken, origin), size, radii, None)


@cache
def _forms() -> Radii:
    """(F, RAYS) expected shapes of unit area: the disc, then ellipses."""
    angles = np.arange(DIRECTIONS) * (np.pi / DIRECTIONS)
    return np.stack([ellipse_radii(1, 0), *(ellipse_radii(e, a) for e in ELONGATIONS for a in angles)])


def _ladders(view: _View, size: float, radii: Radii, base: Mask | None) -> Iterator[Ladder]:
    """The ladder that trusts the image, the one of the likeliest shape at each size, then those of single shapes."""
    polar = look_around(view.height, np.array([view.y], np.float32), np.array([view.x], np.float32), radii)
    each = np.arange(len(SIZES))
    paths, gain, sure = _contours(view, polar, size, LOOSE)
    best = gain.argmax(1)
    rungs = _masks(view, radii, paths[each, best])
    if base is None:
        base = rungs[int(sure[each, best].argmax())]
    start = int(np.count_nonzero(base))
    yield from _nested(rungs, base, view)
    paths, gain, sure = _contours(view, polar, size, FIRM)
    shapes = [gain.argmax(1), *np.argsort(-sure.max(0), kind="stable")[:SHAPES]]
    for shape in shapes:
        rungs = _masks(view, radii, paths[each, shape])
        areas = np.array([np.count_nonzero(rung) for rung in rungs])
        yield from _nested(rungs, rungs[int(np.abs(areas - start).argmin())], view)


def _contours(view: _View, polar: Polar, size: float, weight: float) -> tuple[NDArray[np.intp], Radii, Radii]:
    """For each size and form: the best contour (S, F, RAYS), its gain, and its score."""
    forms = _forms()
    expected = (size * SIZES)[:, None, None] * forms
    paths, gain = best_contours(polar, expected.reshape(-1, forms.shape[1]), weight)
    count = len(paths)
    many = Polar(
        *(np.broadcast_to(a, (count, *a.shape[1:])) for a in (polar.heights, polar.gain, polar.valley)), polar.radii
    )
    y, x = (np.full(count, at, np.float32) for at in (view.y, view.x))
    sure = scores(features_of(many, paths, size, y, x, view.height.shape))
    shape = len(SIZES), len(forms)
    return paths.reshape(*shape, -1), gain.reshape(shape).astype(np.float64), sure.reshape(shape)


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
    near = shapely.intersects(np.asarray(outlines, object), window) if outlines else ()
    for index in np.flatnonzero(near):
        y, x, inside = fill(shapely.transform(outlines[index], lambda xy: xy - shift), mask.shape)
        mask[y, x] |= inside
    return mask


def _masks(view: _View, radii: Radii, paths: NDArray[np.intp]) -> list[Mask]:
    return [_pixels(view, radius) for radius in outline_radii(radii, paths)]


def _pixels(view: _View, radius: Radii) -> Mask:
    """Free pixels of a contour; where what is taken cuts it in parts, the largest."""
    mask = np.zeros(view.height.shape, np.uint8)
    window, inside = fill_star(view.y, view.x, radius, view.height.shape)
    mask[window] = inside & ~view.taken[window]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    return parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 2 else mask.astype(bool)


def _nested(rungs: Sequence[Mask], base: Mask, view: _View) -> Iterator[Ladder]:
    """The ladder of the base and of rungs, each within the next and visibly smaller; none where all is empty."""
    smaller: list[Mask] = []
    larger: list[Mask] = []
    last = base
    for rung in reversed(rungs):
        inner = rung & last
        if 0 < VISIBLE * np.count_nonzero(inner) <= np.count_nonzero(last):
            last = inner
            smaller.append(inner)
    last = base
    for rung in rungs:
        outer = rung | last
        if np.count_nonzero(outer) >= max(1, VISIBLE * np.count_nonzero(last)):
            last = outer
            larger.append(outer)
    masks = [*reversed(smaller), *([base] if base.any() else []), *larger]
    shift = np.array([view.corner[1], view.corner[0]])
    if masks:
        outlines = (shapely.transform(shapes_from_labels(mask)[1], lambda xy: xy + shift) for mask in masks)
        yield Ladder(tuple(outlines), len(smaller))
