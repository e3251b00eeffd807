"""Segmentation: what the network is asked to paint, and how objects are read from what it painted.

With touching = "border" the output channels are background, one "inside" per class and one common border: the recipe
of the paper's Huh7 result (Koerber 2023, three classes with a 3 px border). Objects grow by a watershed from their
insides into the border. With touching = "off" the channels are background and one per class, and touching objects fuse.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.raster import class_image, label_image
from mia_tui.project import LabelClass

IGNORED = 255
"""Target value of pixels outside the annotated area: they do not count in the loss."""

THIN = 0.4
"""The border takes at most this share of an object's inner radius, so that a small object keeps an inside."""


MIN_WAIST = 0.5
"""Pixels: shallower necks than this are the roughness of the outline."""


BAND = 1024
"""Rows of an image that are parted by one watershed: large enough to be quick, small enough for memory."""


@dataclass(frozen=True)
class Decoding:
    """How probabilities become objects.

    `foreground` and `inside` are thresholds of probability (0..1); an object needs an inside of `min_seed` pixels and
    an area of `min_size` pixels. `waist` says how much shallower (share of the depth, 0..1) a neck between two parts of
    an inside must be for them to be two objects; 1 parts nothing that the network left joined.
    """

    touching: str = "border"
    foreground: float = 0.5
    inside: float = 0.7
    min_seed: int = 6
    waist: float = 0.1
    min_size: int = 10

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Objects:
    """Decoded objects of one frame: a label image, and by object id (index 0 is background) its class and score."""

    labels: NDArray[np.int32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


def output_channels(classes: int, touching: str) -> int:
    """Channels of the network for `classes` object classes."""
    return 1 + classes + (touching == "border")


# ---- targets --------------------------------------------------------------------------------------------------------


def make_target(
    instances: NDArray[np.integer[Any]],
    classes: NDArray[np.uint8],
    class_count: int,
    touching: str = "border",
    border_width: float = 3.0,
) -> NDArray[np.uint8]:
    """The class that the network should paint at each pixel.

    Parameters
    ----------
    instances : (Y, X) int
        Label image, 0 background.
    classes : (Y, X) uint8
        Class of each pixel, 0 background, 1..K.
    class_count : int
        K.
    touching : str
        "border" or "off".
    border_width : float
        Pixels; thinner where `THIN` says so.

    Returns
    -------
    (Y, X) uint8
        0 background, 1..K inside of a class, K + 1 border (K + 1 never occurs with "off").
    """
    target = np.where(instances > 0, classes, 0).astype(np.uint8)
    if touching == "off" or not instances.any():
        return target
    depth = rim_distance(instances)
    ids = instances.astype(np.int64)
    inner_radius = np.zeros(int(ids.max()) + 1, np.float32)
    np.maximum.at(inner_radius, ids.ravel(), depth.ravel())
    width = np.minimum(border_width, np.maximum(THIN * inner_radius, 0.0))
    target[(ids > 0) & (depth <= width[ids])] = class_count + 1
    return target


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


def rasterize(
    objects: Iterable[LabelObject], shape: tuple[int, int], known: Sequence[LabelClass]
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Label image and class image of the labelled objects of one frame."""
    listed = list(objects)
    return label_image(listed, shape), class_image(listed, shape, known)


def smallest_size(areas: list[int]) -> int:
    """Smallest object to believe in: a quarter of the 2nd percentile of the labelled areas, at least 4 pixels."""
    return max(4, int(np.percentile(areas, 2) / 4)) if areas else 4


# ---- decoding -------------------------------------------------------------------------------------------------------


def quantize(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities 0..1 as 0..255: a quarter of the memory, and 10,000 x 10,000 pixels fit."""
    return np.rint(probabilities * 255).astype(np.uint8)


def decode(probabilities: NDArray[np.uint8], decoding: Decoding) -> Objects:
    """Objects from class probabilities.

    Parameters
    ----------
    probabilities : (C, Y, X) uint8
        Quantised softmax output: background, classes, and the border with touching = "border".
    decoding : Decoding
        Thresholds and smallest sizes.
    """
    classes = probabilities[1:-1] if decoding.touching == "border" else probabilities[1:]
    foreground = 255 - probabilities[0]
    if decoding.touching == "border":
        inside = classes[0] if len(classes) == 1 else np.minimum(classes.sum(0, dtype=np.uint16), 255).astype(np.uint8)
        labels = _grow(foreground, inside, decoding)
    else:
        labels = _components(probabilities)
    return _describe(labels, classes, foreground, decoding)


def _components(probabilities: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Connected components of each class of the most probable class image."""
    winner = probabilities.argmax(0)
    labels = np.zeros(winner.shape, np.int32)
    count = 0
    for index in range(1, len(probabilities)):
        number, parts = cv2.connectedComponents((winner == index).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        found = parts > 0
        labels[found] = parts[found] + count
        count += number - 1
    return labels


def _grow(foreground: NDArray[np.uint8], inside: NDArray[np.uint8], decoding: Decoding) -> NDArray[np.int32]:
    """Watershed from the insides, band by band, so that memory stays that of the image.

    Two insides that the network left joined still come apart where they are waisted: the seeds are the deepest points
    of the insides (distance to their outline), and the basins of two seeds are merged again unless the way between them
    is shallower than the lower one by `waist` of its depth.
    """
    depth, labels = _depths(inside, decoding)
    mask = ((foreground > 255 * decoding.foreground) | (labels > 0)).astype(np.uint8)
    _, clumps, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_32S)
    shared = np.flatnonzero(_fill_single(labels, clumps))
    top, height = stats[shared, cv2.CC_STAT_TOP], stats[shared, cv2.CC_STAT_HEIGHT]
    for band in np.unique(top // BAND):
        members = top // BAND == band
        rows = slice(int(top[members].min()), int((top + height)[members].max()))
        chosen = np.zeros(len(stats), bool)
        chosen[shared[members]] = True
        here = chosen[clumps[rows]]
        seeds = np.where(here, labels[rows], 0)
        basins = watershed(-depth[rows] - inside[rows] / np.float32(255), seeds, mask=here)
        labels[rows][here] = _merge_basins(basins, depth[rows], decoding.waist)[here]
    return labels


def _fill_single(labels: NDArray[np.int32], clumps: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Give every clump with one seed the number of that seed, in place; which clumps have several."""
    found = labels > 0
    pairs = np.unique(np.stack([clumps[found], labels[found]]), axis=1)
    seeds = np.bincount(pairs[0], minlength=int(clumps.max()) + 1)
    single = np.zeros(len(seeds), np.int32)
    single[pairs[0]] = np.where(seeds[pairs[0]] == 1, pairs[1], 0)
    for rows in _blocks(labels):
        np.maximum(labels[rows], single[clumps[rows]], out=labels[rows])
    return seeds > 1


def _depths(inside: NDArray[np.uint8], decoding: Decoding) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Smoothed distance to the outline within the insides, and a numbered seed at each of its maxima."""
    core = (inside > 255 * decoding.inside).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4, ltype=cv2.CV_32S)
    small = stats[:, cv2.CC_STAT_AREA] < decoding.min_seed
    core[small[parts]] = 0
    del parts  # four bytes a pixel
    depth: NDArray[np.float32] = cv2.distanceTransform(core, cv2.DIST_L2, 5)
    cv2.GaussianBlur(depth, (0, 0), 1.0, dst=depth)
    depth *= core
    core &= depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8))
    _, seeds = cv2.connectedComponents(core, connectivity=8, ltype=cv2.CV_32S)
    return depth, seeds


def _merge_basins(basins: NDArray[np.int32], depth: NDArray[np.float32], waist: float) -> NDArray[np.int32]:
    """Join neighbouring basins unless they are waisted; the highest passes are looked at first."""
    peak = np.zeros(int(basins.max()) + 1, np.float32)
    np.maximum.at(peak, basins[depth > 0], depth[depth > 0])
    root = list(range(len(peak)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for height, one, two in sorted(_passes(basins, depth), reverse=True):
        a, b = find(one), find(two)
        low, high = (a, b) if peak[a] < peak[b] else (b, a)
        if a != b and peak[low] - height < max(MIN_WAIST, waist * float(peak[low])):
            root[low] = high
    joined: NDArray[np.int32] = np.array([find(i) for i in range(len(peak))], np.int32)[basins]
    return joined


def _passes(basins: NDArray[np.int32], depth: NDArray[np.float32]) -> list[tuple[float, int, int]]:
    """(height, basin, basin) of the highest pass between each two basins that meet within an inside (height > 0)."""
    pairs, heights = [], []
    for low, high in (((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
                      ((slice(None, -1), slice(None)), (slice(1, None), slice(None)))):  # fmt: skip
        a, b = basins[low], basins[high]
        meet = (a != b) & (np.minimum(a, b) > 0)
        pairs.append(np.sort(np.stack([a[meet], b[meet]]), axis=0))
        heights.append(np.minimum(depth[low][meet], depth[high][meet]))
    found, index = np.unique(np.concatenate(pairs, axis=1), axis=1, return_inverse=True)
    best = np.zeros(found.shape[1], np.float32)
    np.maximum.at(best, index.ravel(), np.concatenate(heights))
    listed = zip(best.tolist(), found[0].tolist(), found[1].tolist(), strict=True)
    return [(height, one, two) for height, one, two in listed if height > 0]


def _describe(
    labels: NDArray[np.int32], classes: NDArray[np.uint8], foreground: NDArray[np.uint8], decoding: Decoding
) -> Objects:
    """Drop what is too small, number the rest 1..n, and give each object its class and score.

    The class is the one with the highest mean probability over the object, the score the mean foreground probability.
    """
    count = int(labels.max())
    keep = _sums(labels, None, count) >= decoding.min_size
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    for rows in _blocks(labels):
        labels[rows] = numbers[labels[rows]]
    count = int(keep.sum())
    area = np.maximum(_sums(labels, None, count), 1)
    means = np.stack([_sums(labels, layer, count) / area for layer in classes])
    scores = _sums(labels, foreground, count) / (255 * area)
    return Objects(labels, means.argmax(0) + 1, scores.astype(np.float32))


def _blocks(image: NDArray[Any]) -> Iterator[slice]:
    """Slices of rows: a whole large image at once would need eight bytes a pixel for each sum."""
    return (slice(row, row + 512) for row in range(0, len(image), 512))


def _sums(labels: NDArray[np.int32], layer: NDArray[np.uint8] | None, count: int) -> NDArray[np.float64]:
    """Sum of a layer over each label 0..count; the number of pixels without a layer. Background counts as 0."""
    total = np.zeros(count + 1)
    for rows in _blocks(labels):
        chosen = labels[rows] > 0
        weights = None if layer is None else layer[rows][chosen]
        total += np.bincount(labels[rows][chosen], weights, minlength=count + 1)
    return total


def with_min_size(decoding: Decoding, areas: list[int]) -> Decoding:
    """`decoding` with the smallest size learnt from the labelled areas."""
    return replace(decoding, min_size=smallest_size(areas))
