"""Basins of a height map: every pixel belongs to the peak it climbs to, and peaks that hardly part are one.

Peaks are merged by the depth of the pass between them (as in an h-maxima transform, Soille 2003, chapter 6.3.4), so
neither plateaus nor the grain of a height map make objects. Beside the height map 4 bytes a pixel are needed for the
basins, and 16 for each pixel that takes part.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.separation.blocks import blocks, each_block, in_threads, places, standing, summed, taken

NOWHERE = np.float32(-1)
"""Height of pixels that take no part."""


def ascend(height: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Basins of the peaks of a height map by steepest ascent over the eight neighbours.

    Of equally high neighbours the last in reading order is taken, so that every path ends; a plateau may fall into
    several basins, which `merge` joins.

    Parameters
    ----------
    height : (Y, X) float32
        At least 0; `NOWHERE` where there is nothing.

    Returns
    -------
    basins : (Y, X) int32
        1..N in reading order of the peaks, 0 where the height is `NOWHERE`.
    peaks : (N + 1,) float32
        Height of each peak, 0 for index 0.
    """
    at = places(height >= 0)
    upward = standing(at, _steepest(height, at), height.size)
    further = taken(upward, upward)
    while not np.array_equal(further, upward):  # pointer jumping: the number of rounds is logarithmic
        upward, further = further, taken(further, further)
    roots = np.flatnonzero(upward == np.arange(len(at), dtype=at.dtype))
    number = np.zeros(len(at), np.int32)
    number[roots] = np.arange(1, len(roots) + 1)
    basins = np.zeros(height.shape, np.int32)
    basins.ravel()[at] = taken(number, upward)
    return basins, np.concatenate([np.zeros(1, np.float32), height.ravel()[at[roots]]])


def _steepest(height: NDArray[np.float32], at: NDArray[Any]) -> NDArray[Any]:
    """Index (in the flat image) of the highest of the nine pixels around each of those at `at`, which ascends."""
    width = height.shape[1]
    upward = np.empty_like(at)

    def look(rows: slice) -> None:
        part = slice(*np.searchsorted(at, (rows.start * width, rows.stop * width)))
        low, high = max(rows.start - 1, 0), min(rows.stop + 1, len(height))
        near = cv2.copyMakeBorder(height[low:high], low - rows.start + 1, rows.stop + 1 - high, 1, 1,
                                  cv2.BORDER_CONSTANT, value=float(2 * NOWHERE)).ravel()  # fmt: skip
        here = at[part] - rows.start * width
        middle = here + 2 * (here // width) + width + 3  # in `near`, whose lines are longer by two
        highest = np.full(len(here), 2 * NOWHERE)
        steepest = at[part].copy()
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                value = near.take(middle + (dy * (width + 2) + dx))
                higher = value >= highest
                np.maximum(highest, value, out=highest)
                np.copyto(steepest, at[part] + (dy * width + dx), where=higher)
        upward[part] = steepest

    each_block(height, look)
    return upward


def merge(
    basins: NDArray[np.int32],
    height: NDArray[np.float32],
    peaks: NDArray[np.float32],
    absolute: float = 0.0,
    relative: float = 0.0,
    groups: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """Which object each basin belongs to, once basins that hardly part are joined.

    Two neighbours stay apart if the pass between them lies lower than the lower of their peaks by `absolute` (in units
    of height) and by `relative` (share of that peak). The highest passes are looked at first. Basins of different
    `groups` (N + 1,) stay apart always.

    Returns
    -------
    (N + 1,) int32
        Number of the object of each basin, 1..M; 0 for basin 0. `merge(...)[basins]` is the label image.
    """
    root = list(range(len(peaks)))
    top = peaks.tolist()

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for passage, one, two in _passes(basins, height):
        if groups is not None and groups[one] != groups[two]:
            continue
        a, b = find(one), find(two)
        low, high = (a, b) if top[a] < top[b] else (b, a)
        if a != b and top[low] - passage < max(absolute, relative * top[low]):
            root[low] = high
    objects = np.array([find(i) for i in range(len(root))])
    return np.unique(objects, return_inverse=True)[1].astype(np.int32)


def _passes(basins: NDArray[np.int32], height: NDArray[np.float32]) -> Iterator[tuple[float, int, int]]:
    """(height, basin, basin) of the highest pass between each two basins that meet, the highest first."""

    def meetings(rows: slice) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        grown = slice(rows.start, min(rows.stop + 1, len(basins)))
        pairs, heights = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for first, second in NEIGHBOURS:
            a, b = basins[grown][first], basins[grown][second]
            meet = np.flatnonzero((a != b) & (a > 0) & (b > 0))
            one, two = a.ravel()[meet], b.ravel()[meet]
            pairs.append(np.minimum(one, two).astype(np.int64) << 32 | np.maximum(one, two))
            tops = height[grown]
            heights.append(np.minimum(tops[first].ravel()[meet], tops[second].ravel()[meet]))
        return np.concatenate(pairs), np.concatenate(heights)

    found = list(in_threads(meetings, blocks(basins)))
    pair, passage = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-passage, pair))
    pair, passage = pair[order], passage[order]
    best = np.flatnonzero(np.diff(pair, prepend=-1))
    best = best[np.argsort(-passage[best], kind="stable")]
    highest = pair[best]
    return zip(passage[best].tolist(), (highest >> 32).tolist(), (highest & (2**32 - 1)).tolist(), strict=True)


_ALL, _LOW, _HIGH = slice(None), slice(None, -1), slice(1, None)
NEIGHBOURS = (
    ((_ALL, _LOW), (_ALL, _HIGH)), ((_LOW, _ALL), (_HIGH, _ALL)),
    ((_LOW, _LOW), (_HIGH, _HIGH)), ((_LOW, _HIGH), (_HIGH, _LOW)),
)  # fmt: skip
"""Slices of an image and of the same image moved to the right, down, and along both diagonals."""


def renumber(labels: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
    """Replace each label by `numbers[label]`, in place."""

    def replace(rows: slice) -> None:
        labels[rows] = numbers.take(labels[rows])

    each_block(labels, replace)


def drop_small(labels: NDArray[np.int32], min_size: int) -> None:
    """Clear objects of fewer than `min_size` pixels and number the others 1..n in their order, in place."""
    count = int(labels.max(initial=0)) + 1
    area = summed(labels, (count,), lambda rows: np.bincount(labels[rows].ravel(), minlength=count))
    keep = area >= max(min_size, 1)
    keep[0] = False
    renumber(labels, np.where(keep, np.cumsum(keep), 0).astype(np.int32))


def fill_holes(labels: NDArray[np.int32]) -> None:
    """Give background that is enclosed by one object alone to that object, in place.

    Background that reaches the image edge or touches two objects is no hole. Pixels are enclosed if no path over
    shared sides leads out.
    """
    count, parts = cv2.connectedComponents((labels == 0).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    enclosed = np.ones(count, bool)
    enclosed[0] = False
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        enclosed[edge] = False
    if not enclosed.any():
        return
    flat, part_of, width = labels.ravel(), parts.ravel(), labels.shape[1]
    found = in_threads(lambda rows: np.flatnonzero(enclosed.take(parts[rows])) + rows.start * width, blocks(labels))
    holes = np.concatenate(list(found))
    part = part_of[holes]
    lowest, highest = np.full(count, np.iinfo(np.int32).max, np.int32), np.zeros(count, np.int32)
    for step in (1, -1, width, -width):
        label = flat[holes + step]
        rim = label > 0
        np.minimum.at(lowest, part[rim], label[rim])
        np.maximum.at(highest, part[rim], label[rim])
    owner = np.where(lowest == highest, highest, 0)
    flat[holes] = owner[part]
