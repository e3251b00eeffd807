"""One point, or a box, in an object gives its outline: the fallback where nothing was proposed.

The edge is looked for in both senses (bright object, dark object), and in a ladder of sizes.
"""

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling import star
from mia_tui.labeling.ladder import Ladder, ladder_of_masks
from mia_tui.labeling.outline import Point, polygon
from mia_tui.labeling.window import Mask, Window, grey, window_around

REACH = 150.0
"""Largest radius that is looked at when objects are not known to be larger, in pixels."""
SIZES = np.linspace(-3, 3, 13)
SIZE_TRUST, BOX_TRUST = 0.5, 4.0
RUNG = 1.15
"""Least growth in area from rung to rung: a key press that shows no difference is wasted."""
NEXT_TO_BEST = np.array([1.12, 1.25])
"""Radii, over those of the best rung, of the rungs next to it where no edge is nearer."""


def outline_at(image: NDArray[np.generic], point: Point, diameter: float | None = None) -> Ladder:
    """The outline of the object at a point (y, x).

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array of any number type
        Of several channels the one with the best contrast around the point is used.
    diameter : float, optional
        What objects of this kind measure, in pixels: well worth giving once a few are known. Without it objects of up
        to about 250 pixels are found.

    Returns
    -------
    Ladder
        Nested outlines, each along an edge as strong as its size allows. Every one holds the pixel at the point, or
        the nearest one when the point lies outside the image.
    """
    expected = None if diameter is None else max(diameter / 2, 0.5)
    reach = REACH if expected is None else max(REACH, 3 * expected)
    return _climb(image, point, reach, expected, SIZE_TRUST)


def outline_in_box(image: NDArray[np.generic], box: tuple[float, float, float, float]) -> Ladder:
    """The outline of the object that fills a box (top, left, bottom, right); see `outline_at`.

    The ellipse in the box is where the edge is expected.
    """
    top, left, bottom, right = box
    middle = (top + bottom) / 2, (left + right) / 2
    half = np.maximum([abs(bottom - top) / 2, abs(right - left) / 2], 0.5)
    expected = 1 / np.hypot(*(star.directions() / half).T)
    reach = max(REACH, 1.5 * float(half.max()))
    return _climb(image, middle, reach, expected, BOX_TRUST)


def _climb(
    image: NDArray[np.generic], point: Point, reach: float, expected: float | NDArray[np.float64] | None, trust: float
) -> Ladder:
    shape = image.shape[0], image.shape[1]
    y, x = (
        min(max(float(at), 0.0), size - 0.5) if np.isfinite(at) else 0.0 for at, size in zip(point, shape, strict=True)
    )
    window = window_around((y, x), reach, shape)
    centre = y - window.top, x - window.left
    found = star.stars(grey(image[window.slices]), centre, reach, SIZES, expected, trust)
    every, best = _spaced(found.radii, int(found.worth.argmax()))
    at = window.inside((y, x))
    masks = []
    for radii in every:
        ring = np.array([y, x]) + star.directions() * radii[:, None]
        mask = _pixels(ring, window)
        mask[at] = True
        masks.append(mask)
    ladder = ladder_of_masks(masks, best, window)
    assert ladder is not None  # every mask holds a pixel
    return ladder


def _spaced(radii: NDArray[np.float64], best: int) -> tuple[NDArray[np.float64], int]:
    """The radii of rungs that differ enough to be worth a key, and the best one's new place.

    Rungs without an edge of their own are put next to the best one where the next edge is further away.
    """
    areas = (radii**2).mean(axis=1)
    smaller: list[int] = []
    larger: list[int] = []
    last = areas[best]
    for number in range(best - 1, -1, -1):
        if areas[number] * RUNG <= last:
            smaller.insert(0, number)
            last = areas[number]
    last = areas[best]
    for number in range(best + 1, len(radii)):
        if areas[number] >= RUNG * last:
            larger.append(number)
            last = areas[number]
    inner, outer = radii[best] / NEXT_TO_BEST[::-1, None], radii[best] * NEXT_TO_BEST[:, None]
    if smaller:
        inner = np.maximum(inner, radii[smaller[-1]])
    if larger:
        outer = np.minimum(outer, radii[larger[0]])
    every = np.vstack([radii[smaller], inner, radii[best : best + 1], outer, radii[larger]])
    return every, len(smaller) + len(inner)


def _pixels(ring: NDArray[np.float64], window: Window) -> Mask:
    inside = polygon(ring[:, ::-1])
    return np.zeros(window.shape, np.bool_) if inside is None else window.pixels(inside)
