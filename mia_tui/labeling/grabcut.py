"""GrabCut: what looks like the marked inside, against what looks like the marked outside (Rother et al. 2004).

It learns the colours of both, so it needs to be shown some of each and must look at a small part of the image only.
"""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import scale
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.curves import spline
from mia_tui.labeling.ladder import Ladder, component
from mia_tui.labeling.outline import Point, Shape, valid
from mia_tui.labeling.window import Mask, Window, grey, window_over

OUT, IN, MAYBE_OUT, MAYBE_IN = 0, 1, 2, 3
"""Marks, with the numbers of OpenCV."""

PIXELS = 12_000
"""A part of the image with more pixels is cut at a lower resolution."""

SEED = 0


# ---- extreme points --------------------------------------------------------------------------------------------------


def outline_of_extremes(image: NDArray[np.generic], points: Sequence[Point]) -> Ladder | None:
    """The outline of an object from its topmost, lowest, leftmost and rightmost points, in any order.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array of any number type
    points : (y, x)
        Four of them; three and more than four will do as well.

    Returns
    -------
    Ladder or None
        The closed spline through the points and what GrabCut makes of it: what both hold, the better of them, what
        one of them holds. None when the points span no area.

    Notes
    -----
    On real nuclei the spline alone has an IoU of 0.89 and GrabCut alone 0.84; GrabCut is the better one where the two
    agree (IoU of at least `AGREE`), and then is the one proposed.
    """
    shape = image.shape[0], image.shape[1]
    curve = _round_trip(points, shape)
    if curve is None:
        return None
    cut = _cut_around(image, curve)
    if cut is None:
        return Ladder((curve,), 0)
    both, either = (valid(made, shape) for made in (shapely.intersection(cut, curve), shapely.union(cut, curve)))
    agree = both is not None and either is not None and both.area >= AGREE * either.area
    proposal = cut if agree else curve
    rungs = [rung for rung in (both, proposal, either) if rung is not None]
    # Half a pixel is nothing to see, so no rung of its own.
    rungs = [rung for rung in rungs if rung is proposal or abs(rung.area - proposal.area) > 0.5]
    return Ladder(tuple(rungs), next(number for number, rung in enumerate(rungs) if rung is proposal))


AGREE = 0.85


def _round_trip(points: Sequence[Point], shape: Shape) -> BaseGeometry | None:
    """The closed spline through points in the order of their angles around their middle."""
    array = np.array(points, np.float64).reshape(-1, 2)
    array = array[np.isfinite(array).all(axis=1)]
    if len(array) < 3:
        return None
    y, x = (array - (array.min(axis=0) + array.max(axis=0)) / 2).T
    return spline(array[np.argsort(np.arctan2(y, x), kind="stable")], shape)


def _cut_around(image: NDArray[np.generic], curve: BaseGeometry) -> BaseGeometry | None:
    """GrabCut with the middle of a curve as sure inside and all that is further away than a quarter as outside."""
    shape = image.shape[0], image.shape[1]
    radius = float(np.sqrt(curve.area / np.pi))
    window = window_over(curve, shape, margin=max(4.0, 0.7 * radius))
    marks = np.full(window.shape, MAYBE_OUT, np.uint8)
    marks[window.pixels(curve)] = MAYBE_IN
    marks[~window.pixels(curve.buffer(0.25 * radius))] = OUT
    middle = window.pixels(scale(curve, 0.7, 0.7))
    marks[middle] = IN
    found = _cut(image[window.slices], marks)
    if not middle.any() or not found.any():
        return None
    rows, columns = np.nonzero(middle)
    nearest = ((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin()
    return window.outline(component(found, (int(rows[nearest]), int(columns[nearest]))))


# ---- strokes ---------------------------------------------------------------------------------------------------------


class Strokes:
    """Smart mode: strokes on the inside and on the outside of an object, and the outline that follows from them.

    The marks stay between strokes. What no stroke has touched counts at first as the nearest mark does; before there
    is a mark outside, as the mark inside when it is more like it in brightness than like the rim of the view.
    """

    def __init__(self, image: NDArray[np.generic]) -> None:
        """`image`: (Y, X) or (Y, X, C) array of any number type."""
        self._image = image
        self._shape = image.shape[0], image.shape[1]
        self._marks = np.full(self._shape, MAYBE_OUT, np.uint8)

    def clear(self) -> None:
        """Forget all strokes."""
        self._marks[:] = MAYBE_OUT

    def stroke(self, area: BaseGeometry, *, inside: bool, view: Window | None = None) -> BaseGeometry | None:
        """Mark an area as inside or outside and cut anew.

        Parameters
        ----------
        area : shapely geometry
            What the brush, the polygon or the freehand line covers.
        view : Window, optional
            The part of the image to look at; else the marks made so far, with a margin as wide as they are.

        Returns
        -------
        shapely geometry or None
            The parts of the outline that hold a mark of the inside; None before there is one.
        """
        checked = valid(area, self._shape)
        if checked is not None:
            whole = window_over(checked, self._shape)
            self._marks[whole.slices][whole.pixels(checked)] = IN if inside else OUT
        if not (self._marks == IN).any():
            return None
        window = view or self._around()
        marks = self._marks[window.slices]
        pixels = self._image[window.slices]
        return window.outline(_with_marks(_cut(pixels, _guessed(pixels, marks)), marks))

    def _around(self) -> Window:
        rows, columns = np.nonzero((self._marks == IN) | (self._marks == OUT))
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        margin = max(8, bottom - top, right - left)
        height, width = self._shape
        return Window(
            max(0, top - margin), max(0, left - margin), min(height, bottom + margin), min(width, right + margin)
        )


def _guessed(pixels: NDArray[np.generic], marks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The marks, with a guess where there is none."""
    from scipy.ndimage import distance_transform_edt

    if (marks == OUT).any():
        inside = distance_transform_edt(marks != IN) < distance_transform_edt(marks != OUT)
    else:
        picture = grey(pixels)
        rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        inside = np.abs(picture - np.median(picture[marks == IN])) < np.abs(picture - np.median(rim))
    guess = np.where(inside, MAYBE_IN, MAYBE_OUT).astype(np.uint8)
    return np.where((marks == IN) | (marks == OUT), marks, guess)


def _with_marks(found: Mask, marks: NDArray[np.uint8]) -> Mask:
    """The connected parts of what was found that hold a mark of the inside."""
    import cv2

    count, labels = cv2.connectedComponents((found | (marks == IN)).view(np.uint8), connectivity=4)
    held = np.zeros(count, np.bool_)
    held[labels[marks == IN]] = True
    held[0] = False
    kept: Mask = held[labels]
    return kept


# ---- the cut ---------------------------------------------------------------------------------------------------------


def _cut(pixels: NDArray[np.generic], marks: NDArray[np.uint8]) -> Mask:
    """The inside by one iteration of GrabCut; sure marks are kept. What may be inside when it has nothing to learn."""
    import cv2

    factor = min(1.0, float(np.sqrt(PIXELS / marks.size)))
    small = marks
    picture = _colours(pixels)
    if factor < 1:
        size = max(1, round(marks.shape[1] * factor)), max(1, round(marks.shape[0] * factor))
        small = cv2.resize(marks, size, interpolation=cv2.INTER_NEAREST)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    labels = small.copy()
    inside = (labels == IN) | (labels == MAYBE_IN)
    if inside.any() and not inside.all():
        cv2.setRNGSeed(SEED)
        cv2.grabCut(picture, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    if factor < 1:
        labels = cv2.resize(labels, marks.shape[::-1], interpolation=cv2.INTER_NEAREST)
    found: Mask = ((labels == IN) | (labels == MAYBE_IN) | (marks == IN)) & (marks != OUT)
    return found


def _colours(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(Y, X, 3) the picture in bytes."""
    channels = pixels[..., :3] if pixels.ndim == 3 and pixels.shape[2] >= 3 else None
    planes = [grey(pixels)] * 3 if channels is None else [grey(channels[..., number]) for number in range(3)]
    return (np.stack(planes, axis=-1) * 255).astype(np.uint8)
