"""Basins of a height map: every pixel belongs to the peak it climbs to, and peaks that hardly part are one.

Peaks are merged by the depth of the pass between them (as in an h-maxima transform, Soille 2003, chapter 6.3.4), so
neither plateaus nor the grain of a height map make objects. Work goes in blocks of rows with the same result for any
block: beside the height map 4 bytes a pixel are needed for the basins and little else.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ROWS = 256
"""Rows worked on at once: temporaries are of this size."""

NOWHERE = np.float32(-1)
"""Height of pixels that take no part."""


def blocks(image: NDArray[Any]) -> Iterator[slice]:
    """Slices of rows that cover an image."""
    return (slice(row, min(row + ROWS, len(image))) for row in range(0, len(image), ROWS))


def pixel_type(shape: tuple[int, ...]) -> type[np.signedinteger[Any]]:
    """The smallest integer that can number every pixel."""
    return np.int32 if shape[0] * shape[1] < 2**31 - 1 else np.int64


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
        1..N, 0 where the height is `NOWHERE`.
    peaks : (N + 1,) float32
        Height of each peak, 0 for index 0.
    """
    upward = _steepest(height)
    _follow(upward)
    return _number(upward, height)


def _steepest(height: NDArray[np.float32]) -> NDArray[Any]:
    """Index (in the flat image) of the highest of the nine pixels around each pixel; -1 where nothing is."""
    width = height.shape[1]
    upward = np.empty(height.shape, pixel_type(height.shape))
    for rows in blocks(height):
        low, high = max(rows.start - 1, 0), min(rows.stop + 1, len(height))
        near = cv2.copyMakeBorder(height[low:high], low - rows.start + 1, rows.stop + 1 - high, 1, 1,
                                  cv2.BORDER_CONSTANT, value=float(2 * NOWHERE))  # fmt: skip
        size = rows.stop - rows.start
        highest = cv2.dilate(near, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        step = np.zeros((size, width), upward.dtype)
        for dy in range(3):
            for dx in range(3):
                is_highest = near[dy : dy + size, dx : dx + width] == highest
                np.copyto(step, (dy - 1) * width + dx - 1, where=is_highest)
        step += np.arange(rows.start * width, rows.stop * width, dtype=step.dtype).reshape(size, width)
        step[height[rows] < 0] = -1
        upward[rows] = step
    return upward


def _follow(upward: NDArray[Any]) -> None:
    """Replace every pointer by the end of its path, in place (pointer jumping: the number of rounds is logarithmic)."""
    flat = upward.ravel()
    moving = True
    while moving:
        moving = False
        for rows in blocks(upward):
            here = upward[rows]
            valid = here >= 0
            now = here[valid]
            further = flat[now]
            if (further != now).any():
                here[valid] = further
                moving = True


def _number(ends: NDArray[Any], height: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Number the peaks in reading order and give each pixel the number of its peak (`ends` is used up)."""
    flat, width = ends.ravel(), ends.shape[1]
    peaks = [np.zeros(1, np.float32)]
    count = 0
    for rows in blocks(ends):
        index = np.arange(rows.start * width, rows.stop * width)
        roots = index[flat[index] == index]
        peaks.append(height.ravel()[roots])
        # A peak holds -1 - number from here on, and everybody who points to it finds its number there.
        flat[roots] = -2 - np.arange(count, count + len(roots))
        count += len(roots)
    for rows in blocks(ends):
        here = ends[rows]
        points = here >= 0
        here[points] = flat[here[points]]
    for rows in blocks(ends):
        np.subtract(-1, ends[rows], out=ends[rows])
    return ends.astype(np.int32, copy=False), np.concatenate(peaks)


def merge(
    basins: NDArray[np.int32],
    height: NDArray[np.float32],
    peaks: NDArray[np.float32],
    absolute: float = 0.0,
    relative: float = 0.0,
) -> NDArray[np.int32]:
    """Which object each basin belongs to, once basins that hardly part are joined.

    Two neighbours stay apart if the pass between them lies lower than the lower of their peaks by `absolute` (in units
    of height) and by `relative` (share of that peak). The highest passes are looked at first.

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
        a, b = find(one), find(two)
        low, high = (a, b) if top[a] < top[b] else (b, a)
        if a != b and top[low] - passage < max(absolute, relative * top[low]):
            root[low] = high
    objects = np.array([find(i) for i in range(len(root))])
    return np.unique(objects, return_inverse=True)[1].astype(np.int32)


def _passes(basins: NDArray[np.int32], height: NDArray[np.float32]) -> Iterator[tuple[float, int, int]]:
    """(height, basin, basin) of the highest pass between each two basins that meet, the highest first."""
    pairs, heights = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for rows in blocks(basins):
        grown = slice(rows.start, min(rows.stop + 1, len(basins)))
        for first, second in NEIGHBOURS:
            a, b = basins[grown][first], basins[grown][second]
            meet = np.flatnonzero((a != b) & (a > 0) & (b > 0))
            one, two = a.ravel()[meet], b.ravel()[meet]
            pairs.append(np.minimum(one, two).astype(np.int64) << 32 | np.maximum(one, two))
            tops = height[grown]
            heights.append(np.minimum(tops[first].ravel()[meet], tops[second].ravel()[meet]))
    pair, passage = np.concatenate(pairs), np.concatenate(heights)
    order = np.lexsort((-passage, pair))
    pair, passage = pair[order], passage[order]
    best = np.flatnonzero(np.diff(pair, prepend=-1))
    best = best[np.argsort(-passage[best], kind="stable")]
    found = pair[best]
    return zip(passage[best].tolist(), (found >> 32).tolist(), (found & (2**32 - 1)).tolist(), strict=True)


_ALL, _LOW, _HIGH = slice(None), slice(None, -1), slice(1, None)
NEIGHBOURS = (
    ((_ALL, _LOW), (_ALL, _HIGH)), ((_LOW, _ALL), (_HIGH, _ALL)),
    ((_LOW, _LOW), (_HIGH, _HIGH)), ((_LOW, _HIGH), (_HIGH, _LOW)),
)  # fmt: skip
"""Slices of an image and of the same image moved to the right, down, and along both diagonals."""


def renumber(labels: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
    """Replace each label by `numbers[label]`, in place."""
    for rows in blocks(labels):
        labels[rows] = numbers[labels[rows]]


def drop_small(labels: NDArray[np.int32], min_size: int) -> None:
    """Clear objects of fewer than `min_size` pixels and number the others 1..n in their order, in place."""
    area = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for rows in blocks(labels):
        area += np.bincount(labels[rows].ravel(), minlength=len(area))
    keep = area >= max(min_size, 1)
    keep[0] = False
    renumber(labels, np.where(keep, np.cumsum(keep), 0).astype(np.int32))


def fill_holes(labels: NDArray[np.int32]) -> None:
    """Give background that is enclosed by one object alone to that object, in place.

    Background that reaches the image edge or touches two objects is no hole. Pixels are enclosed if no path over
    shared sides leads out.
    """
    count, parts = cv2.connectedComponents((labels == 0).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    lowest, highest = np.full(count, np.iinfo(np.int32).max, np.int32), np.zeros(count, np.int32)
    for rows in blocks(labels):
        grown = slice(rows.start, min(rows.stop + 1, len(labels)))
        for first, second in NEIGHBOURS[:2]:
            for hole, rim in ((first, second), (second, first)):
                part, label = parts[grown][hole], labels[grown][rim]
                meet = (part > 0) & (label > 0)
                np.minimum.at(lowest, part[meet], label[meet])
                np.maximum.at(highest, part[meet], label[meet])
    owner = np.where(lowest == highest, highest, 0).astype(np.int32)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        owner[edge] = 0
    owner[0] = 0
    for rows in blocks(labels):
        labels[rows] += owner[parts[rows]]
