"""Separation by flows: every pixel of an object points the way to its middle, pixels that meet there are one object.

The gradient flows of Cellpose (Stringer et al. 2021, Nature Methods 18, 100-106). `heat` makes the field of labelled
objects. To read a painted field, all pixels walk along it at once: `WALK` Euler steps of one pixel lead from each pixel
to another one, and from there on pointers are followed (`JUMPS` times, each doubling the way), which is as far as
hundreds of steps. Where many walks end there is an object: the peaks of the smoothed histogram of the ends.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mia_tui.engine.separation import heat
from mia_tui.engine.separation.basins import (
    NOWHERE,
    ascend,
    blocks,
    drop_small,
    fill_holes,
    merge,
    pixel_type,
    renumber,
)

CHANNELS = 2

WALK = 4
"""Euler steps of one pixel before a place is rounded to a pixel."""

COLUMNS = 4096
"""Columns walked on at once (cv2.remap takes at most 32767)."""

JUMPS = 7
"""Doublings of the walk: 4 * 2^7 = 512 pixels."""

WEAK = 0.25
"""Arrows longer than this are taken as unit vectors; shorter ones (the network does not know) move by less."""

SURE = 0.5
"""Share of the allowed error up to which an object whose arrows point straight to its middle is not looked at again."""


@dataclass(frozen=True)
class Options:
    """How the field is read.

    `foreground` (0..1) is the probability from which on a pixel belongs to an object. `error` is the largest mean
    squared difference between the directions painted and those of the object that was found: 0 if they are the same,
    2 for random ones, 4 for opposite ones; an option of 0 tests nothing. (Cellpose's flow threshold of 0.4, which also
    counts short arrows as wrong and so drops small objects that are painted softly.) `spread` is the standard deviation
    (pixels) of the blur of the histogram of ends, and `valley` (0..1) says by which share of the lower of two peaks the
    pass between them must be lower for them to be two objects. Objects of fewer than `min_size` pixels are dropped.
    """

    foreground: float = 0.5
    error: float = 0.6
    spread: float = 1.0
    valley: float = 0.5
    min_size: int = 10


def target(instances: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """What the network should paint.

    Parameters
    ----------
    instances : (Y, X) int
        Label image, 0 background.

    Returns
    -------
    (2, Y, X) float32
        (dy, dx): unit vectors inside of objects (zero at most at an object's middle), 0 on background.
    """
    field = np.zeros((2, *instances.shape), np.float32)
    at = np.flatnonzero(instances)
    y, x = np.divmod(at, instances.shape[1])
    pixels, order = heat.group(instances.ravel()[at], y, x)
    field.reshape(2, -1)[:, at[order]] = heat.flow(pixels)
    return field


def separate(
    maps: NDArray[np.uint8], foreground: NDArray[np.uint8], options: Options | None = None
) -> NDArray[np.int32]:
    """Objects from the painted field.

    Parameters
    ----------
    maps : (2, Y, X) uint8
        Painted (dy, dx), 0 for -1 and 255 for 1.
    foreground : (Y, X) uint8
        Probability of belonging to any object, 255 for 1.
    options : Options

    Returns
    -------
    (Y, X) int32
        Label image, objects 1..n.
    """
    options = options or Options()
    threshold = 255 * options.foreground
    ends = _walk(maps, foreground, threshold)
    for _ in range(JUMPS):
        ends = _double(ends)
    labels = _gather(ends, foreground, threshold, options)
    del ends
    if options.error > 0:
        _drop_inconsistent(labels, maps, options.error)
    drop_small(labels, options.min_size)
    fill_holes(labels)
    return labels


# ---- where the flow leads -------------------------------------------------------------------------------------------


def _unit(dy: NDArray[np.uint8], dx: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(dy, dx) of painted arrows at length 1, shorter where they are `WEAK`."""
    y, x = (painted.astype(np.float32) / np.float32(127.5) - 1 for painted in (dy, dx))
    length = np.maximum(np.sqrt(y * y + x * x), np.float32(WEAK))
    return y / length, x / length


def _walk(maps: NDArray[np.uint8], foreground: NDArray[np.uint8], threshold: float) -> NDArray[Any]:
    """Index of the pixel that each pixel reaches by `WALK` Euler steps; background stays where it is."""
    height, width = foreground.shape
    ends = np.empty(foreground.shape, pixel_type(foreground.shape))
    for rows in blocks(foreground):
        low, high = max(rows.start - WALK - 1, 0), min(rows.stop + WALK + 1, height)
        inside = foreground[low:high] > threshold
        arrows = np.stack([way * inside for way in _unit(*maps[:, low:high])[::-1]], axis=-1)
        for columns in (slice(i, min(i + COLUMNS, width)) for i in range(0, width, COLUMNS)):
            left, right = max(columns.start - WALK - 1, 0), min(columns.stop + WALK + 1, width)
            here = (slice(rows.start - low, rows.stop - low), slice(columns.start - left, columns.stop - left))
            y, x = _steps(arrows[:, left:right], inside[:, left:right], here)
            ends[rows, columns] = (y + low).astype(ends.dtype) * width + (x + left)
    return ends


def _steps(
    arrows: NDArray[np.float32], inside: NDArray[np.bool_], here: tuple[slice, slice]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(y, x) of the pixels that those of the tile `here` reach by the arrows, (Y, X, 2) as (dx, dy).

    A step out of the foreground counts as not gone.
    """
    height, width = inside.shape
    row, column = (line.astype(np.float32) for line in np.mgrid[here])
    end = np.rint(row).astype(np.intp) * width + np.rint(column).astype(np.intp)
    for _ in range(WALK):
        step = cv2.remap(arrows, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for place, way, size in ((column, step[..., 0], width), (row, step[..., 1], height)):
            place += way
            np.clip(place, 0, size - 1, out=place)
        now = np.rint(row).astype(np.intp) * width + np.rint(column).astype(np.intp)
        np.copyto(end, now, where=inside.ravel()[now])
    return np.divmod(end, width)


def _double(ends: NDArray[Any]) -> NDArray[Any]:
    """Go on from where each pixel has come to, as far again."""
    further = np.empty_like(ends)
    for rows in blocks(ends):
        further[rows] = ends.ravel()[ends[rows]]
    return further


def _gather(ends: NDArray[Any], foreground: NDArray[np.uint8], threshold: float, options: Options) -> NDArray[np.int32]:
    """Label image: pixels whose walks end at the same peak of the histogram of ends."""
    crowd = np.zeros(foreground.shape, np.float32)
    for rows in blocks(ends):
        np.add.at(crowd.ravel(), ends[rows][foreground[rows] > threshold], np.float32(1))
    cv2.GaussianBlur(crowd, (0, 0), options.spread, dst=crowd, borderType=cv2.BORDER_CONSTANT)
    crowd[crowd <= 0] = NOWHERE
    basins, peaks = ascend(crowd)
    renumber(basins, merge(basins, crowd, peaks, relative=options.valley))
    del crowd
    labels = np.zeros(foreground.shape, np.int32)
    for rows in blocks(ends):
        here = foreground[rows] > threshold
        labels[rows][here] = basins.ravel()[ends[rows][here]]
    return labels


# ---- is an object what its pixels say? ------------------------------------------------------------------------------

LARGE = 256
"""Objects with a longer side than this (pixels) are looked at on every second, third ... pixel: heat in a frame that an
untrained network paints as one object would take a minute."""

BATCH = 1 << 19
"""Pixels of objects whose heat is looked at together: memory for a large image stays small."""


def _drop_inconsistent(labels: NDArray[np.int32], maps: NDArray[np.uint8], limit: float) -> None:
    """Clear objects whose own flow is not the painted one, in place.

    The error is the mean over an object's pixels of the squared difference of the unit vectors: arrows that are merely
    short, as a network paints small objects, are not wrong. The flow of a compact object is nearly the straight way to
    its middle, so an object whose arrows point there well within the limit is taken for good; the heat of all others is
    spread.
    """
    suspects = np.flatnonzero(_straight_error(labels, maps) > SURE * limit)
    bad = np.zeros(int(labels.max(initial=0)) + 1, bool)
    if not len(suspects):
        return
    boxes = ndimage.find_objects(labels)
    sides = np.array([[s.stop - s.start for s in boxes[label - 1]] for label in suspects])
    every = np.zeros(len(bad), np.int64)
    strides = -(-sides.max(1) // LARGE)
    batch = np.cumsum(sides.prod(1) // strides**2) // BATCH
    for number in np.unique(batch):
        every[:] = 0
        every[suspects[batch == number]] = strides[batch == number]
        y, x = _places(labels, every)
        ids = labels[y, x]
        pixels, order = heat.group(ids, y // every[ids], x // every[ids])
        wrong = ((heat.flow(pixels) - _unit(*maps[:, y[order], x[order]])) ** 2).sum(0)
        mean = np.add.reduceat(wrong, pixels.first) / np.diff(pixels.start)
        bad[ids[order][pixels.first]] = mean > limit
    renumber(labels, np.where(bad, 0, np.arange(len(bad))).astype(np.int32))


def _straight_error(labels: NDArray[np.int32], maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared difference, by label, between the painted arrows and straight ones to the mean place of the object.

    0 for background.
    """
    count = int(labels.max(initial=0)) + 1
    sums = np.zeros((3, count))
    for rows in blocks(labels):
        y, x = np.nonzero(labels[rows])
        ids = labels[rows][y, x]
        for total, values in zip(sums, (None, y + rows.start, x), strict=True):
            total += np.bincount(ids, values, minlength=count)
    area = np.maximum(sums[0], 1)
    middle = (sums[1:] / area).astype(np.float32)
    wrong = np.zeros(count)
    for rows in blocks(labels):
        y, x = np.nonzero(labels[rows])
        ids = labels[rows][y, x]
        way = middle[:, ids] - np.stack([y + rows.start, x])
        way /= np.maximum(np.hypot(way[0], way[1]), 1e-6)
        off = way - _unit(*maps[:, y + rows.start, x])
        wrong += np.bincount(ids, (off**2).sum(0), minlength=count)
    mean: NDArray[np.float64] = wrong / area
    return mean


def _places(labels: NDArray[np.int32], every: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(y, x) of the pixels of labels whose `every` is not 0, in both directions every so many only."""
    found = []
    for rows in blocks(labels):
        y, x = np.nonzero(every[labels[rows]])
        stride = every[labels[rows][y, x]]
        y += rows.start
        kept = (y % stride == 0) & (x % stride == 0)
        found.append(np.stack([y[kept], x[kept]]))
    y, x = np.concatenate(found, axis=1)
    return y, x
