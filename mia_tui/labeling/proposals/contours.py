"""Closed outlines around given centres: the best star-shaped contour of each, found by dynamic programming.

From a centre go `RAYS` rays; on each the radius is one of a geometric series. The contour is the closed chain of radii
that gains most: at each ray the drop of the relief from inside to outside, less the deepest valley crossed on the way
there (beyond a valley lies another object), less the square of its distance to the expected size (in log radius), less
the squares of its steps from ray to ray. All centres are solved at once.

Positions here are pixel indices: the centre of the top-left pixel is (0, 0).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.proposals.relief import Relief

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

RAYS = 32
GROWTH = 1.09
"""Ratio of neighbouring radii."""

INNER, OUTER = 0.75, 1.3
"""The drop is taken between the mean over [INNER r, r] and that over [r, OUTER r] ..."""
MARGIN = 1.5
"""... or over this many pixels on each side, where that is more."""

VALLEY = 2.0
"""Cost of the deepest valley between centre and contour, per unit of height."""
BEND = 0.02
"""Cost of a step of one radius between neighbouring rays; two cost four times that; larger ones are forbidden."""
REACH = 2
SHRINK = 0.4
"""The drop lies just outside the last sample inside, half a pixel of which is not the object's."""


def directions(rays: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sine and cosine of the angles of the rays, from x towards y."""
    angles = np.arange(rays) * (2 * np.pi / rays)
    return np.sin(angles), np.cos(angles)


@dataclass(frozen=True)
class Polar:
    """The relief along the rays of N centres.

    Attributes
    ----------
    heights : (N, rays, R) float32
    gain : (N, rays, R) float32
        What a contour gains at each radius, before the expectation of size.
    valley : (N, rays, R) float32
        Depth of the deepest valley between the centre and each radius.
    radii : (R,) float64
    """

    heights: Floats
    gain: Floats
    valley: Floats
    radii: NDArray[np.float64]


def radii_around(size: float, least: int = -16) -> NDArray[np.float64]:
    """Radii to look for objects of about this radius: up to 2.6 times, down to a quarter (`least`) or a pixel."""
    smallest = max(least, int(np.ceil(np.log(0.9 / size) / np.log(GROWTH))))
    return np.asarray(size * GROWTH ** np.arange(min(smallest, 0.0), 12.0))


def ellipse_radii(elongation: float, angle: float) -> NDArray[np.float64]:
    """Radius on every ray of an ellipse of the area of the unit disc; the angle of its long axis is from x towards y."""
    sine, cosine = directions(RAYS)
    along, across = cosine * np.cos(angle) + sine * np.sin(angle), sine * np.cos(angle) - cosine * np.sin(angle)
    return np.asarray(1 / np.sqrt(along**2 / elongation + across**2 * elongation))


def look_around(height: Relief, y: Floats, x: Floats, radii: NDArray[np.float64], rays: int = RAYS) -> Polar:
    """Sample the relief around centres. Radii outside the image gain nothing, so that a contour may leave it."""
    sine, cosine = directions(rays)
    rows = y[:, None, None] + (sine[:, None] * radii).astype(np.float32)
    columns = x[:, None, None] + (cosine[:, None] * radii).astype(np.float32)
    samples = _interpolate(height, rows, columns)
    lowest = np.minimum.accumulate(samples, 2)
    valley = np.maximum.accumulate(np.subtract(samples, lowest, out=lowest), 2)
    gain = _drop(samples, radii)
    gain -= np.float32(VALLEY) * valley
    reach = radii[-1] + 1
    edge = np.flatnonzero((y < reach) | (x < reach) | (y + reach > height.shape[0]) | (x + reach > height.shape[1]))
    gain[edge] = np.where(outside(rows[edge], columns[edge], height.shape), 0, gain[edge])
    return Polar(samples, gain, valley, radii)


def outside(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which positions lie in no pixel of an image."""
    return (rows < -0.5) | (columns < -0.5) | (rows > shape[0] - 0.5) | (columns > shape[1] - 0.5)


def _interpolate(height: Relief, rows: Floats, columns: Floats) -> Floats:
    """Bilinear; OpenCV addresses at most 32767 rows at a time."""
    flat = (len(rows), -1)
    maps = rows.reshape(flat), columns.reshape(flat)
    parts = [
        cv2.remap(
            height, maps[1][i : i + 8192], maps[0][i : i + 8192], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for i in range(0, len(rows), 8192)
    ]
    return np.concatenate(parts).reshape(rows.shape) if parts else np.empty(rows.shape, np.float32)


def _drop(samples: Floats, radii: NDArray[np.float64]) -> Floats:
    """Mean height just inside each radius less the mean just outside."""
    total = np.zeros((*samples.shape[:2], samples.shape[2] + 1), np.float32)
    np.cumsum(samples, axis=2, out=total[..., 1:])
    index = np.arange(len(radii))
    first = np.minimum(np.searchsorted(radii, np.minimum(radii * INNER, radii - MARGIN)), index)
    last = np.maximum(np.searchsorted(radii, np.maximum(radii * OUTER, radii + MARGIN)), index + 2)
    last = np.minimum(last, len(radii))
    inside = (total[..., index + 1] - total[..., first]) / (index + 1 - first).astype(np.float32)
    outside = (total[..., last] - total[..., index + 1]) / np.maximum(last - index - 1, 1).astype(np.float32)
    drop = inside - outside
    drop[..., -1] = -1  # nothing is known beyond the last radius
    return np.asarray(drop)


def best_contours(polar: Polar, expected: NDArray[np.float64], weight: float) -> tuple[Ints, Floats]:
    """The best closed contour around each centre.

    Parameters
    ----------
    polar : Polar
        Of N centres, or of one.
    expected : (N, rays) or (N, 1)
        Expected radius of each on the rays.
    weight : float
        Cost of a contour e times larger or smaller than expected, per ray.

    Returns
    -------
    path : (N, rays) int
        Index into `polar.radii` on every ray.
    gain : (N,) float32
        What the contour gains, mean over its rays.

    Notes
    -----
    Viterbi over a turn and a half; the turn in the middle of the best path is closed but for rare ties far from any
    object.
    """
    away = np.log(polar.radii / expected[:, :, None]) ** 2
    gain = polar.gain - (weight * away).astype(np.float32)
    count, rays = gain.shape[:2]
    margin = rays // 4
    steps = rays + 2 * margin
    best = gain[:, 0].copy()
    origins = []
    for step in range(1, steps + 1):
        best, origin = _advance(best)
        origins.append(origin)
        best += gain[:, step % rays]
    path = np.empty((steps + 1, count), np.intp)
    path[-1] = best.argmax(1) if count else 0
    each = np.arange(count)
    for step in range(steps, 0, -1):
        path[step - 1] = path[step] + origins[step - 1][each, path[step]]
    middle = np.roll(path[margin : margin + rays], margin, axis=0).T
    return middle, np.take_along_axis(gain, middle[:, :, None], 2)[..., 0].mean(1)


def _advance(best: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """Best value that reaches each radius from the ray before, and the step back to where it came from."""
    reached, origin = best.copy(), np.zeros(best.shape, np.int8)
    for step in range(1, REACH + 1):
        cost = np.float32(BEND * step * step)
        for here, there, back in (
            (slice(step, None), slice(None, -step), -step),
            (slice(None, -step), slice(step, None), step),
        ):
            value = best[:, there] - cost
            better = value > reached[:, here]
            np.copyto(reached[:, here], value, where=better)
            np.copyto(origin[:, here], np.int8(back), where=better)
    return reached, origin


@dataclass(frozen=True)
class Shapes:
    """Area, centroid (relative to the centre), and form of star-shaped contours; arrays of length N.

    `ellipticity` is the area over that of the ellipse with equal second moments: 1 for every ellipse, less for anything
    waisted or dented. `elongation` is the ratio of its axes, `perimeter` the length of the contour.
    """

    area: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    ellipticity: NDArray[np.float64]
    elongation: NDArray[np.float64]
    perimeter: NDArray[np.float64]


def shapes_of(radius: NDArray[np.float64]) -> Shapes:
    """Forms of contours given as (N, rays) radii, by Green's theorem over the polygon."""
    sine, cosine = directions(radius.shape[1])
    x, y = radius * cosine, radius * sine
    x2, y2 = np.roll(x, -1, 1), np.roll(y, -1, 1)
    cross = x * y2 - x2 * y
    area = cross.sum(1) / 2
    mx, my = ((x + x2) * cross).sum(1) / (6 * area), ((y + y2) * cross).sum(1) / (6 * area)
    xx = ((x * x + x * x2 + x2 * x2) * cross).sum(1) / (12 * area) - mx**2
    yy = ((y * y + y * y2 + y2 * y2) * cross).sum(1) / (12 * area) - my**2
    xy = ((x * y2 + 2 * x * y + 2 * x2 * y2 + x2 * y) * cross).sum(1) / (24 * area) - mx * my
    spread = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    middle = (xx + yy) / 2
    ellipse = 4 * np.pi * np.sqrt(np.maximum(xx * yy - xy**2, 1e-9))
    elongation = np.sqrt((middle + spread) / np.maximum(middle - spread, 1e-6))
    return Shapes(area, my, mx, area / ellipse, elongation, np.hypot(x2 - x, y2 - y).sum(1))


def fill_star(
    y: float, x: float, radius: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Pixels whose centre lies within a contour: (rows and columns of a window of the image, mask in it)."""
    reach = float(radius.max()) + 1
    rows = slice(max(int(y - reach), 0), min(int(y + reach) + 2, shape[0]))
    columns = slice(max(int(x - reach), 0), min(int(x + reach) + 2, shape[1]))
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)
    turn = np.arctan2(dy, dx) * np.float32(RAYS / (2 * np.pi)) + np.float32(RAYS)
    ray = turn.astype(np.intp)
    part = turn - ray
    low, high = radius[ray % RAYS], radius[(ray + 1) % RAYS]
    return (rows, columns), dy * dy + dx * dx <= (low + (high - low) * part) ** 2
