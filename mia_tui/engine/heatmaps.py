"""Heat maps of centre points: what a detection network is asked to paint, and how points are read from what it painted.

Positions here are (y, x) array coordinates: the centre of pixel [0, 0] is (0, 0). Labels and tables of points count
from the corner of that pixel, so that theirs are larger by 0.5.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.float32]
HeatMap = NDArray[Any]

_WIDTH_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_REACH = math.sqrt(2.0 * math.log(1000.0))
"""Standard deviations after which a Gaussian is below 1/1000: it ends there."""
_BAND = 1024
"""Rows that are searched for maxima at a time: the memory for it does not grow with the image."""
_TALL = 64
"""Rows below its band to which a plateau is followed; the middle of a taller one is that of its upper part."""
_FLAT = -1e-12
"""Curvature from which on down a parabola has a top."""

# ---- targets ---------------------------------------------------------------------------------------------------------


def gaussian_targets(
    points: NDArray[Any], classes: NDArray[Any], class_count: int, shape: tuple[int, int], size: float
) -> NDArray[np.float32]:
    """Paint a heat map per class with a Gaussian at every point.

    A Gaussian is centred on the point itself, not on a pixel, and scaled such that the pixel nearest to the point is
    exactly 1 (both, where two are as near). Its logarithm is a parabola all the same, so that `find_points` gets the
    place between the pixels back. Where Gaussians meet, the larger one counts (Zhou et al., *Objects as points*, 2019):
    close points do not add up.

    Parameters
    ----------
    points : (N, 2) array
        (y, x). Points outside the map are allowed; what reaches into it is painted.
    classes : (N,) array of int
        1 to `class_count`.
    shape : (int, int)
        Height and width of the map.
    size : float
        Full width at half maximum of a Gaussian in pixels.

    Returns
    -------
    (class_count, Y, X) array of float32
        0 to 1.

    Raises
    ------
    ValueError
        For a size that is not positive, a class out of range, or points and classes that do not fit each other.
    """
    centres, numbers = _checked(points, classes, class_count, size)
    heat = np.zeros((class_count, *shape), np.float32)
    sigma = size / _WIDTH_PER_SIGMA
    reach = max(3, math.ceil(_REACH * sigma))
    window = np.arange(-reach, reach + 1)
    nearest = np.rint(centres).astype(np.int64)
    pixels = nearest[:, :, None] + window
    offset = (nearest - centres)[:, :, None]
    falls = ((pixels - centres[:, :, None]) ** 2 - offset**2) / (2.0 * sigma**2)
    profiles = np.exp(-falls).astype(np.float32)
    first, last = nearest - reach, nearest + reach + 1
    low, high = np.maximum(first, 0), np.minimum(last, shape)
    for i in np.flatnonzero(np.all(low < high, axis=1)):
        (top, left), (bottom, right), (y, x) = low[i].tolist(), high[i].tolist(), first[i].tolist()
        part = heat[numbers[i] - 1, top:bottom, left:right]
        own = profiles[i, 0, top - y : bottom - y, None] * profiles[i, 1, left - x : right - x]
        np.maximum(part, own, out=part)
    return heat


def _checked(
    points: NDArray[Any], classes: NDArray[Any], class_count: int, size: float
) -> tuple[NDArray[np.float64], list[int]]:
    if not size > 0:
        raise ValueError(f"the size of a point is {size}; it must be above 0")
    centres = np.asarray(points, np.float64).reshape(-1, 2)
    numbers = np.asarray(classes, np.int64).reshape(-1)
    if len(centres) != len(numbers):
        raise ValueError(f"{len(centres)} points with {len(numbers)} classes")
    if numbers.size and not (numbers.min() >= 1 and numbers.max() <= class_count):
        raise ValueError(f"classes of points are 1 to {class_count}, not {numbers.min()} to {numbers.max()}")
    return centres, numbers.tolist()


# ---- decoding --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Points:
    """Points found in a heat map, the best first.

    Attributes
    ----------
    positions : (N, 2) array of float32
        (y, x) in array coordinates, between the pixels.
    classes : (N,) array of int64
        1 to K.
    scores : (N,) array of float32
        Height of the maximum, 0 to 1.
    """

    positions: Positions
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]

    def above(self, threshold: float) -> "Points":
        """The points of at least this score: exactly what `find_points` finds at this higher threshold."""
        kept = self.scores >= threshold
        return Points(self.positions[kept], self.classes[kept], self.scores[kept])


def find_points(heat: HeatMap, *, threshold: float, distance: float) -> Points:
    """Find the points in a heat map per class.

    Every local maximum among its eight neighbours is a candidate; a plateau is one, at its middle. Candidates are
    taken from the highest down; one less than `distance` from a point already taken, of whatever class, is dropped, so
    that one place has one class: the stronger. Then each point moves to the top of a parabola through the logarithms
    of the values around it, along y and along x, by no more than half a pixel. For the Gaussians of `gaussian_targets`
    that is exact. At the border of the image the parabola goes through the pixels that are there.

    Parameters
    ----------
    heat : (K, Y, X) array of uint8 or float32
        uint8 0 to 255 stands for 0 to 1.
    threshold : float
        Least score (0 to 1) of a point; a maximum of 0 never is one.
    distance : float
        Least distance in pixels between two points, measured between their highest pixels. Half the `size` of
        `gaussian_targets` is a good one, and no more than 2 where points may be that close.

    Raises
    ------
    ValueError
        For an array of another type or number of axes.
    """
    if heat.ndim != 3 or heat.dtype not in (np.uint8, np.float32):
        raise ValueError(f"a heat map is (K, Y, X) of uint8 or float32, not {heat.shape} of {heat.dtype}")
    scale = 255.0 if heat.dtype == np.uint8 else 1.0
    # The comparison `score >= threshold` of `Points.above` is made in single precision, so it is here.
    found = [_maxima(plane, np.float32(threshold), scale) for plane in heat]
    pixels = np.concatenate([np.empty((0, 2), np.int32), *found])
    planes = np.repeat(np.arange(len(heat)), [len(own) for own in found])
    scores = (heat[planes, pixels[:, 0], pixels[:, 1]] / np.float32(scale)).astype(np.float32)
    best_first = np.argsort(-scores, kind="stable")
    kept = best_first[_apart(pixels[best_first], heat.shape[1:], distance)]
    pixels, planes = pixels[kept], planes[kept]
    positions = (pixels + _offsets(heat, planes, pixels, max(1, int(distance / 2)), scale)).astype(np.float32)
    return Points(positions, planes + 1, scores[kept])


def _maxima(plane: HeatMap, threshold: np.float32, scale: float) -> NDArray[np.int32]:
    """(N, 2) pixels (y, x) of the local maxima of one class by rows; of plateaus the pixel nearest to the middle."""
    bands = [_maxima_below(plane, top, threshold, scale) for top in range(0, len(plane), _BAND)]
    pixels = np.concatenate([np.empty((0, 2), np.int32), *bands])
    return pixels[np.lexsort((pixels[:, 1], pixels[:, 0]))]


def _maxima_below(plane: HeatMap, top: int, threshold: np.float32, scale: float) -> NDArray[np.int32]:
    """The maxima whose first pixel lies in the band that starts at the row `top`."""
    neighbourhood = np.ones((3, 3), np.uint8)
    # Two more rows above and below: the neighbours of the pixels at the rim of the band, and the neighbours of those.
    start = max(top - 2, 0)
    part = np.ascontiguousarray(plane[start : top + _BAND + _TALL + 2])
    high = (part / np.float32(scale) >= threshold) & (part > 0)
    peak = high & (part == cv2.dilate(part, neighbourhood))
    _, labels, stats, centres = cv2.connectedComponentsWithStats(peak.view(np.uint8), connectivity=8)
    wanted = (stats[:, cv2.CC_STAT_TOP] >= top - start) & (stats[:, cv2.CC_STAT_TOP] < top - start + _BAND)
    # A shoulder is flat like a plateau, but one of its pixels has a higher neighbour and so is no peak.
    slope = cv2.dilate(np.where(high & ~peak, part, 0).astype(part.dtype), neighbourhood)
    wanted[labels[peak & (slope == part)]] = False
    wanted[0] = False
    numbers = np.flatnonzero(wanted)
    middles = centres[numbers, ::-1] + (start, 0)  # rounded below as rows of the image: a half goes to the even one
    pixels: NDArray[np.int32] = np.rint(middles).astype(np.int32)
    for i in np.flatnonzero(labels[pixels[:, 0] - start, pixels[:, 1]] != numbers):
        left, upper, width, height = stats[numbers[i], :4]
        box = labels[upper : upper + height, left : left + width]
        own = np.argwhere(box == numbers[i]) + np.array([start + upper, left])
        pixels[i] = own[np.argmin(((own - middles[i]) ** 2).sum(axis=1).round(6))]
    return pixels


def _apart(pixels: NDArray[np.int32], shape: tuple[int, ...], distance: float) -> NDArray[np.int64]:
    """Indices of the pixels, taken in their order, that are at least `distance` from all those taken before."""
    reach = max(0, math.ceil(distance) - 1) if distance > 0 else 0
    window = np.arange(-reach, reach + 1)
    near = window[:, None] ** 2 + window**2 < max(distance, 1.0) ** 2
    side = 2 * reach + 1
    taken = np.zeros((shape[0] + 2 * reach, shape[1] + 2 * reach), np.bool_)
    kept: list[int] = []
    for i, (y, x) in enumerate(pixels.tolist()):
        if not taken[y + reach, x + reach]:
            kept.append(i)
            taken[y : y + side, x : x + side] |= near
    return np.array(kept, np.int64)


def _offsets(
    heat: HeatMap, planes: NDArray[np.int64], pixels: NDArray[np.int32], step: int, scale: float
) -> NDArray[np.float64]:
    """(N, 2) from every pixel to the top of the parabolas along y and x, -0.5 to 0.5.

    A parabola goes through the logarithms of three values `step` pixels apart; wide maxima differ too little from one
    pixel to the next to tell their top from the rounding of 8 bits.
    """
    step = min(step, (min(heat.shape[1:]) - 1) // 2)
    if step == 0 or not len(pixels):
        return np.zeros(pixels.shape)
    lines = [_along(heat, planes, pixels, axis, step, scale) for axis in (0, 1)]
    bends = [before - 2.0 * at + after for _, before, at, after in lines]
    offsets = np.zeros(pixels.shape)
    for axis, (middle, before, at, after) in enumerate(lines):
        own, other, length = pixels[:, axis], 1 - axis, heat.shape[1 + axis]
        # At the border a parabola bends as the one across it does: then two values are enough, and those farther in,
        # which may belong to another point, are not needed. In a corner there is nothing better than them.
        borrowed = (own != middle) & (pixels[:, other] == lines[other][0]) & (bends[other] < _FLAT)
        bend = np.where(borrowed, bends[other], bends[axis])
        curved, bend = bend < _FLAT, np.minimum(bend, _FLAT)
        top = middle + step * 0.5 * (before - after) / bend
        top = np.where(borrowed & (own < middle), step * (0.5 - (at - before) / bend), top)
        top = np.where(borrowed & (own > middle), length - 1 - step * (0.5 - (at - after) / bend), top)
        offsets[:, axis] = np.where(curved, np.clip(top - own, -0.5, 0.5), 0.0)
    return offsets


def _along(
    heat: HeatMap, planes: NDArray[np.int64], pixels: NDArray[np.int32], axis: int, step: int, scale: float
) -> tuple[NDArray[np.float64], ...]:
    """(middle, and the logarithms before, at and after it) along an axis; the middle is the pixel, or as near as it can
    be with `step` pixels on both sides."""
    middle = np.clip(pixels[:, axis], step, heat.shape[1 + axis] - 1 - step)
    smallest = 0.5 if heat.dtype == np.uint8 else 1e-6
    logs = []
    for places in (middle - step, middle, middle + step):
        values = heat[planes, places, pixels[:, 1]] if axis == 0 else heat[planes, pixels[:, 0], places]
        logs.append(np.log(np.maximum(values.astype(np.float64), smallest) / scale))
    return middle, *logs
