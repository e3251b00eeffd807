"""Candidates of a relief: contours around all likely centres, and what speaks for each of being one whole object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.proposals.contours import (
    RAYS,
    SHRINK,
    Floats,
    Ints,
    Polar,
    best_contours,
    directions,
    look_around,
    outside,
    radii_around,
    shapes_of,
)
from mia_tui.labeling.proposals.relief import Relief

SCALES = (0.25, 0.45, 0.8)
"""Widths of the blobs that are looked for, as shares of the expected radius."""
FAINTEST = 0.04
"""Least height of a blob above its surroundings."""
SIZE_WEIGHT = 0.2
"""Cost of a contour e times larger or smaller than expected."""
RING = 4
"""Radii that the ring around a contour reaches beyond it."""
SAME = 0.12
"""Centres that agree to this share of the radius, in contours of about one area, are one."""
SMALLEST = 0.7
"""Least radius in pixels on any ray."""
MOST_SEEDS = 40_000
"""Blobs of one width that are looked at in one go."""
BLOCK = 8192
FINEST = 1.2
"""Pixels: wider blobs are looked for in an image reduced until they are this wide."""

FEATURES = (
    "drop", "weakest", "uneven", "contrast", "texture", "peak", "valley", "height", "relative contrast",
    "ellipticity", "elongation", "roughness", "roundness", "size", "outside",
)  # fmt: skip


@dataclass(frozen=True)
class Candidates:
    """N contours.

    Attributes
    ----------
    y, x : (N,) float32
        Centres, pixel indices (the centre of the top-left pixel is 0, 0).
    radius : (N, RAYS) float64
        Of the outline on each ray, in pixels.
    features : (N, len(FEATURES)) float64
        What `scorecard.scores` reads.
    """

    y: Floats
    x: Floats
    radius: NDArray[np.float64]
    features: NDArray[np.float64]


def find_candidates(height: Relief, size: float, most: int = MOST_SEEDS) -> Candidates:
    """Contours around all blobs of objects of a radius of about `size`, each from its own centroid."""
    radii = radii_around(size)
    y, x = find_seeds(height, size, most)
    y, x, area = _in_blocks(lambda y, x: _recentred(height, y, x, radii, size), y, x)
    first = _distinct(y, x, area)
    y, x = y[first], x[first]
    radius, features = _in_blocks(lambda y, x: _contours(height, y, x, radii, size), y, x)
    return Candidates(y, x, radius, features)


def no_candidates() -> Candidates:
    """Nothing found."""
    nothing = np.empty(0, np.float32)
    return Candidates(nothing, nothing, np.empty((0, RAYS)), np.empty((0, len(FEATURES))))


def _in_blocks(work: Callable[[Floats, Floats], tuple[NDArray[Any], ...]], y: Floats, x: Floats) -> list[NDArray[Any]]:
    """What `work` makes of all centres, a bounded number at a time: each takes some 30 kB of memory."""
    parts = [work(y[i : i + BLOCK], x[i : i + BLOCK]) for i in range(0, max(len(y), 1), BLOCK)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _recentred(
    height: Relief, y: Floats, x: Floats, radii: NDArray[np.float64], size: float
) -> tuple[Floats, Floats, NDArray[np.float64]]:
    """Centroids (y, x) and areas of rough contours around centres: half the rays, half the radii."""
    polar = look_around(height, y, x, radii[::2], RAYS // 2)
    path, _ = best_contours(polar, np.full((len(y), 1), size), SIZE_WEIGHT)
    form = shapes_of(polar.radii[path])
    y = np.clip(y + form.y, 0, height.shape[0] - 1).astype(np.float32)
    x = np.clip(x + form.x, 0, height.shape[1] - 1).astype(np.float32)
    return y, x, form.area


def _contours(
    height: Relief, y: Floats, x: Floats, radii: NDArray[np.float64], size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radii of the outlines around centres, and their features."""
    polar = look_around(height, y, x, radii)
    path, _ = best_contours(polar, np.full((len(y), 1), size), SIZE_WEIGHT)
    return outline_radii(radii, path), features_of(polar, path, size, y, x, height.shape)


def outline_radii(radii: NDArray[np.float64], path: Ints) -> NDArray[np.float64]:
    """Radii of the outlines of contours."""
    return np.maximum(radii[path] - SHRINK, SMALLEST)


def find_seeds(height: Relief, size: float, most: int) -> tuple[Floats, Floats]:
    """Maxima of differences of Gaussians at several widths; the highest `most` of each."""
    rows, columns = [], []
    for share in SCALES:
        y, x, _ = blobs(height, max(share * size, 0.8), most)
        rows.append(y)
        columns.append(x)
    return np.concatenate(rows), np.concatenate(columns)


def blobs(height: Relief, sigma: float, most: int) -> tuple[Floats, Floats, Floats]:
    """(y, x, height) of the maxima of a difference of Gaussians; wide ones are looked for in a smaller image."""
    step = max(1, int(sigma / FINEST))
    if step > 1:
        shape = max(1, height.shape[1] // step), max(1, height.shape[0] // step)
        small = cv2.resize(height, shape, interpolation=cv2.INTER_AREA)
    else:
        small = height
    sigma /= step
    response = cv2.GaussianBlur(small, (0, 0), sigma) - cv2.GaussianBlur(small, (0, 0), 2.5 * sigma)
    stride = max(1, int(np.sqrt(response.size / 40_000)))
    spread = 4 * 1.48 * float(np.median(np.abs(response[::stride, ::stride])))
    faintest = max(FAINTEST, min(spread, 0.15))
    y, x = np.nonzero((response >= cv2.dilate(response, np.ones((3, 3), np.uint8))) & (response > faintest))
    strength = response[y, x]
    if len(y) > most:
        chosen = np.sort(np.argsort(-strength, kind="stable")[:most])
        y, x, strength = y[chosen], x[chosen], strength[chosen]
    scale_y, scale_x = height.shape[0] / small.shape[0], height.shape[1] / small.shape[1]
    return (
        ((y + 0.5) * scale_y - 0.5).astype(np.float32),
        ((x + 0.5) * scale_x - 0.5).astype(np.float32),
        strength.astype(np.float32),
    )


def _distinct(y: Floats, x: Floats, area: NDArray[np.float64]) -> Ints:
    """Index of one of all contours that agree in place and area."""
    class_of_area = np.rint(np.log(np.maximum(area, 1)) / 0.3)
    reach = np.maximum(SAME * np.sqrt(np.exp(0.3 * class_of_area) / np.pi), 1)
    place = np.rint(np.stack([y / reach, x / reach, class_of_area], 1)).astype(np.int64)
    return np.asarray(np.unique(place, axis=0, return_index=True)[1])


def features_of(
    polar: Polar, path: Ints, size: float, y: Floats, x: Floats, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """One row of `FEATURES` per contour; the typical radius of the image is `size`."""
    radius = polar.radii[path]
    form = shapes_of(radius)
    at = path[:, :, None]
    drop = np.take_along_axis(polar.gain, at, 2)[..., 0]
    valley = np.take_along_axis(polar.valley, at, 2)[..., 0].mean(1)
    inside, around, texture = _heights(polar, at)
    peak = polar.heights[:, :, 0].mean(1) - inside
    columns = (
        drop.mean(1), np.quantile(drop, 0.15, axis=1), drop.std(1), inside - around, texture, peak, valley,
        inside, (inside - around) / np.maximum(inside, 0.05), form.ellipticity, np.log(form.elongation),
        np.abs(np.diff(np.log(radius), axis=1, append=np.log(radius[:, :1]))).mean(1),
        form.perimeter**2 / (4 * np.pi * form.area), np.log(form.area / (np.pi * size**2)) / 2,
        _share_outside(y, x, radius, shape),
    )  # fmt: skip
    return np.stack(columns, 1).astype(np.float64)


def _heights(polar: Polar, at: Ints) -> tuple[Floats, Floats, Floats]:
    """Mean height inside and in a ring around, and the standard deviation inside; samples weigh as their area."""
    area = (polar.radii**2).astype(np.float32)
    last = np.minimum(at + RING, len(area) - 1)
    weight = np.cumsum(area)
    weighed = polar.heights * area
    sums = np.cumsum(weighed, axis=2)
    squares = np.cumsum(np.multiply(weighed, polar.heights, out=weighed), axis=2)
    whole = weight[at].sum((1, 2))
    within = np.take_along_axis(sums, at, 2)
    inside = within.sum((1, 2)) / whole
    around = (np.take_along_axis(sums, last, 2) - within).sum((1, 2)) / np.maximum(
        weight[last].sum((1, 2)) - whole, 1e-9
    )
    spread = np.take_along_axis(squares, at, 2).sum((1, 2)) / whole - inside**2
    return inside, around, np.sqrt(np.maximum(spread, 0))


def _share_outside(y: Floats, x: Floats, radius: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Share of the rays whose end lies outside the image."""
    sine, cosine = directions(radius.shape[1])
    return np.asarray(outside(y[:, None] + radius * sine, x[:, None] + radius * cosine, shape).mean(1))
