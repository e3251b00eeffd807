"""Touching objects parted by a border: one more class along each outline, and a watershed from the insides.

The recipe of the paper's Huh7 result (Koerber 2023, three classes with a 3 px border). Objects grow by a watershed from
their insides into the border.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from mia_tui.engine.separation.basins import merge
from mia_tui.engine.separation.blocks import each_block, in_threads

THIN = 0.4
"""The border takes at most this share of an object's inner radius, so that a small object keeps an inside."""

MIN_WAIST = 0.5
"""Pixels: shallower necks than this are the roughness of the outline."""

BAND = 512
"""Rows of an image that are parted by one watershed: large enough to be quick, small enough for memory."""

BANDS = 4
"""Bands parted at the same time, at most."""


@dataclass(frozen=True)
class Options:
    """How objects grow from their insides.

    `foreground` and `inside` are thresholds of probability (0..1); an object needs an inside of `min_seed` pixels.
    `waist` says how much shallower (share of the depth, 0..1) a neck between two parts of an inside must be for them to
    be two objects; 1 parts nothing that the network left joined.
    """

    foreground: float = 0.5
    inside: float = 0.7
    min_seed: int = 6
    waist: float = 0.1


def border_mask(instances: NDArray[np.integer[Any]], width: float = 3.0) -> NDArray[np.bool_]:
    """(Y, X) pixels of the objects of a label image that are border: `width` pixels, thinner where `THIN` says so."""
    border = np.zeros(instances.shape, bool)
    if not instances.any():
        return border
    depth = rim_distance(instances)
    ids = instances.astype(np.int64)
    inner_radius = np.zeros(int(ids.max()) + 1, np.float32)
    np.maximum.at(inner_radius, ids.ravel(), depth.ravel())
    widths = np.minimum(width, np.maximum(THIN * inner_radius, 0.0))
    border[(ids > 0) & (depth <= widths[ids])] = True
    return border


def rim_distance(instances: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Distance in pixels of every object pixel to the outline of its own object: 1 on the rim, 0 on background.

    Neighbours are the four pixels that share a side; the image edge is no outline.
    """
    rim = np.zeros(instances.shape, bool)
    for axis in (0, 1):
        low, high = [slice(None)] * 2, [slice(None)] * 2
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        differs = instances[tuple(low)] != instances[tuple(high)]
        rim[tuple(low)] |= differs
        rim[tuple(high)] |= differs
    rim &= instances > 0
    inner = np.where(rim, 0, 1).astype(np.uint8)
    if not rim.any():
        return np.where(instances > 0, np.float32(max(instances.shape)), np.float32(0))
    distance = cv2.distanceTransform(inner, cv2.DIST_L2, 5) + 1
    return np.where(instances > 0, distance, 0).astype(np.float32)


def border_weights(instances: NDArray[np.integer[Any]], w0: float, sigma: float) -> NDArray[np.float32]:
    """Weight map w(x) = 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) on background, 1 on objects.

    d1 and d2 are the distances to the nearest and the second nearest object (Ronneberger et al. 2015, eq. 2; MIA
    2023). Memory is O(pixels): beyond 4 sigma from an object the weight is 1, so each object is looked at in its own
    neighbourhood only.
    """
    shape = instances.shape
    nearest = np.full(shape, np.inf, np.float32)
    second = np.full(shape, np.inf, np.float32)
    reach = int(np.ceil(4 * sigma)) + 1
    for index, box in enumerate(ndimage.find_objects(instances.astype(np.int32)), start=1):
        if box is None:
            continue
        grown = tuple(
            slice(max(s.start - reach, 0), min(s.stop + reach, size)) for s, size in zip(box, shape, strict=True)
        )
        distance = cv2.distanceTransform((instances[grown] != index).astype(np.uint8), cv2.DIST_L2, 5)
        first, other = nearest[grown], second[grown]
        np.minimum(other, np.maximum(first, distance), out=other)
        np.minimum(first, distance, out=first)
    total = nearest + second
    weights = 1 + w0 * np.exp(-(total**2) / (2 * sigma**2))
    return np.where(instances > 0, 1, weights).astype(np.float32)


def separate(inside: NDArray[np.uint8], foreground: NDArray[np.uint8], options: Options) -> NDArray[np.int32]:
    """Label image from quantised probabilities (Y, X): a watershed from the insides, band by band to save memory.

    Two insides that the network left joined still come apart where they are waisted: the seeds are the deepest points
    of the insides (distance to their outline), and the basins of two seeds are merged again unless the way between them
    is shallower than the lower one by `waist` of its depth.
    """
    depth, labels = _depths(inside, options)
    mask = ((foreground > 255 * options.foreground) | (labels > 0)).astype(np.uint8)
    _, clumps, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_32S)
    shared = np.flatnonzero(_fill_single(labels, clumps))
    top, height = stats[shared, cv2.CC_STAT_TOP], stats[shared, cv2.CC_STAT_HEIGHT]

    def part(band: int) -> None:
        members = top // BAND == band
        rows = slice(int(top[members].min()), int((top + height)[members].max()))
        chosen = np.zeros(len(stats), bool)
        chosen[shared[members]] = True
        here = chosen.take(clumps[rows])
        seeds = np.where(here, labels[rows], 0)
        basins = watershed(-depth[rows] - inside[rows] / np.float32(255), seeds, mask=here)
        # the rows may be those of other bands, too, but the pixels are those of this one alone
        labels[rows][here] = _merge_basins(basins, clumps[rows], depth[rows], options.waist)[here]

    for _ in in_threads(part, np.unique(top // BAND).tolist(), BANDS):
        pass
    return labels


def _fill_single(labels: NDArray[np.int32], clumps: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Give every clump with one seed the number of that seed, in place; which clumps have several."""
    found = labels > 0
    pairs = np.unique(np.stack([clumps[found], labels[found]]), axis=1)
    seeds = np.bincount(pairs[0], minlength=int(clumps.max()) + 1)
    single = np.zeros(len(seeds), np.int32)
    single[pairs[0]] = np.where(seeds[pairs[0]] == 1, pairs[1], 0)
    each_block(labels, lambda rows: np.maximum(labels[rows], single.take(clumps[rows]), out=labels[rows]))
    return seeds > 1


def _cores(inside: NDArray[np.uint8], options: Options) -> NDArray[np.uint8]:
    """1 where an inside is that is large enough."""
    core = (inside > 255 * options.inside).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4, ltype=cv2.CV_32S)
    large = stats[:, cv2.CC_STAT_AREA] >= options.min_seed
    each_block(core, lambda rows: np.multiply(core[rows], large.take(parts[rows]), out=core[rows]))
    return core


def _depths(inside: NDArray[np.uint8], options: Options) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Smoothed distance to the outline within the insides, and a numbered seed at each of its maxima."""
    core = _cores(inside, options)
    depth: NDArray[np.float32] = cv2.distanceTransform(core, cv2.DIST_L2, 5)
    cv2.GaussianBlur(depth, (0, 0), 1.0, dst=depth)
    depth *= core
    core &= depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8))
    _, seeds = cv2.connectedComponents(core, connectivity=8, ltype=cv2.CV_32S)
    return depth, seeds


def _merge_basins(
    basins: NDArray[np.int32], clumps: NDArray[np.int32], depth: NDArray[np.float32], waist: float
) -> NDArray[np.int32]:
    """Join neighbouring basins of a clump unless they are waisted; an object keeps the number of its first seed."""
    peak = np.zeros(int(basins.max()) + 1, np.float32)
    inside = np.where(depth > 0, basins, 0)  # basins that only meet in the border are not joined
    at = np.flatnonzero(inside)
    ids = inside.ravel()[at]
    np.maximum.at(peak, ids, depth.ravel()[at])
    clump = np.zeros(len(peak), np.int32)
    clump[ids] = clumps.ravel()[at]
    objects = merge(inside, depth, peak, absolute=MIN_WAIST, relative=waist, groups=clump)
    first = np.unique(objects, return_index=True)[1].astype(np.int32)
    joined: NDArray[np.int32] = first[objects][basins]
    return joined
