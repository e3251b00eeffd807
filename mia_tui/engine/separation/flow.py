"""Separation by flows: every pixel of an object points the way to its middle, pixels that meet there are one object.

The gradient flows of Cellpose (Stringer et al. 2021, Nature Methods 18, 100-106). `heat` makes the field of labelled
objects. To read a painted field, all pixels walk along it at once: `WALK` Euler steps of one pixel lead from each pixel
to another one, and from there on pointers are followed (`JUMPS` times, each doubling the way), which is as far as
hundreds of steps. Where many walks end there is an object: the peaks of the smoothed histogram of the ends.

Only pixels of the foreground take part: they are kept as a list, (N,) for the N of them.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.separation import heat
from mia_tui.engine.separation.basins import NOWHERE, ascend, drop_small, fill_holes, merge, renumber
from mia_tui.engine.separation.blocks import blocks, each_block, in_threads, places, standing, summed, taken

CHANNELS = 2

WALK = 4
"""Euler steps of one pixel before a place is rounded to a pixel."""

COLUMNS = 32_000
"""Columns walked on at once (cv2.remap takes at most 32767)."""

LINE = 1024
"""Walking pixels are handed to cv2.remap in lines of this length, for the same reason."""

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
    at = np.flatnonzero(instances != 0)  # of truth values: three times as fast
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
    inside = foreground > 255 * options.foreground
    at, ends = _walk(maps, inside)
    del inside
    for _ in range(JUMPS):
        ends = taken(ends, ends)
    labels = np.zeros(foreground.shape, np.int32)
    ids = _gather(at, ends, labels.shape, options)
    del ends
    if options.error > 0:
        _drop_inconsistent(ids, at, maps, options.error)
    drop_small(ids, options.min_size)
    labels.ravel()[at] = ids
    fill_holes(labels)
    return labels


# ---- where the flow leads -------------------------------------------------------------------------------------------


def _arrow_table() -> NDArray[np.complex64]:
    """Arrow dx + i dy by what is painted, (256 dy + dx): of length 1, shorter where it is `WEAK`; none for 0."""
    painted = np.arange(256, dtype=np.float32) / np.float32(127.5) - 1
    y, x = painted[:, None], painted
    length = np.maximum(np.sqrt(y * y + x * x), np.float32(WEAK))
    table: NDArray[np.complex64] = (x / length + 1j * (y / length)).astype(np.complex64).ravel()
    table[0] = 0
    return table


ARROWS = _arrow_table()


def _painted(maps: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Index into `ARROWS` of painted (dy, dx); that of (0, 0) is that of (0, 1), which hardly differs."""
    index: NDArray[np.uint16] = np.maximum(maps[0].astype(np.uint16) << 8 | maps[1], 1)
    return index


def _walk(maps: NDArray[np.uint8], inside: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The pixels that are `inside`, and which of them each reaches by `WALK` Euler steps.

    Returns
    -------
    at : (N,) int
        Indices in the flat image, in reading order.
    ends : (N,) int
        Indices into `at`.
    """
    width = inside.shape[1]
    at = places(inside)
    ends = np.empty_like(at)

    def walk(rows: slice) -> None:
        part = slice(*np.searchsorted(at, (rows.start * width, rows.stop * width)))
        low, high = max(rows.start - WALK - 1, 0), min(rows.stop + WALK + 1, len(inside))
        y, x = np.divmod(at[part], width)
        for first in range(0, width, COLUMNS):
            left, right = max(first - WALK - 1, 0), min(first + COLUMNS + WALK + 1, width)
            tile = slice(low, high), slice(left, right)
            field = ARROWS.take(_painted(maps[:, tile[0], tile[1]]) * inside[tile])
            chosen = np.flatnonzero((x >= first) & (x < first + COLUMNS)) if width > COLUMNS else slice(None)
            end_y, end_x = _steps(field, inside[tile], y[chosen] - low, x[chosen] - left)
            ends[part][chosen] = (end_y + low) * width + end_x + left

    each_block(inside, walk)
    return at, standing(at, ends, inside.size)


def _steps(
    field: NDArray[np.complex64], inside: NDArray[np.bool_], y: NDArray[Any], x: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(y, x) of the pixels that those at (y, x) reach by the arrows dx + i dy of a (Y, X) tile.

    A step out of the foreground counts as not gone.
    """
    height, width = inside.shape
    count, is_inside = len(y), inside.ravel()
    arrows = field.view(np.float32).reshape(height, width, 2)
    place = np.zeros((-(-count // LINE), LINE, 2), np.float32)
    here = place.reshape(-1, 2)[:count]
    here[:, 0], here[:, 1] = x, y
    end = y * width + x
    for _ in range(WALK if count else 0):
        place += cv2.remap(arrows, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for axis, size in enumerate((width, height)):
            np.clip(place[..., axis], 0, size - 1, out=place[..., axis])
        near = np.rint(here)
        now = (near[:, 1] * width + near[:, 0]).astype(end.dtype)  # a tile's indices are exact in float32
        np.copyto(end, now, where=is_inside.take(now))
    return np.divmod(end, width)


def _gather(at: NDArray[Any], ends: NDArray[Any], shape: tuple[int, ...], options: Options) -> NDArray[np.int32]:
    """Number of the object of each pixel: pixels whose walks end at the same peak of the histogram of ends."""
    count = np.zeros(len(at), np.float32)
    for part in blocks(ends):
        np.add.at(count, ends[part], np.float32(1))
    crowd = np.zeros(shape, np.float32)
    crowd.ravel()[at] = count
    del count
    cv2.GaussianBlur(crowd, (0, 0), options.spread, dst=crowd, borderType=cv2.BORDER_CONSTANT)
    crowd[crowd <= 0] = NOWHERE
    basins, peaks = ascend(crowd)
    numbers = merge(basins, crowd, peaks, relative=options.valley)
    del crowd
    ids = taken(basins.ravel(), taken(at, ends))
    renumber(ids, numbers)
    return ids


# ---- is an object what its pixels say? ------------------------------------------------------------------------------

LARGE = 256
"""Objects with a longer side than this (pixels) are looked at on every second, third ... pixel: heat in a frame that an
untrained network paints as one object would take a minute."""

BATCH = 1 << 19
"""Pixels of objects whose heat is looked at together: memory for a large image stays small."""


def _drop_inconsistent(ids: NDArray[np.int32], at: NDArray[Any], maps: NDArray[np.uint8], limit: float) -> None:
    """Set the `ids` of objects whose own flow is not the painted one to 0, in place.

    The error is the mean over an object's pixels of the squared difference of the unit vectors: arrows that are merely
    short, as a network paints small objects, are not wrong. The flow of a compact object is nearly the straight way to
    its middle, so an object whose arrows point there well within the limit is taken for good; the heat of all others is
    spread.
    """
    width = maps.shape[2]
    suspect = _straight_error(ids, at, maps) > SURE * limit
    if not suspect.any():
        return
    suspects = np.flatnonzero(suspect)
    sides = _sides(ids, at, width, suspect)[suspects]
    bad = np.zeros(len(suspect), bool)
    every = np.zeros(len(bad), np.int64)
    strides = -(-sides.max(1) // LARGE)
    batch = np.cumsum(sides.prod(1) // strides**2) // BATCH
    for number in np.unique(batch):
        every[:] = 0
        every[suspects[batch == number]] = strides[batch == number]
        chosen = _chosen(ids, at, width, every)
        names, (y, x) = ids[chosen], np.divmod(at[chosen], width)
        pixels, order = heat.group(names, y // every[names], x // every[names])
        wrong = _squared_off(heat.flow(pixels), maps[:, y[order], x[order]])
        mean = np.add.reduceat(wrong, pixels.first) / np.diff(pixels.start)
        bad[names[order][pixels.first]] = mean > limit
    renumber(ids, np.where(bad, 0, np.arange(len(bad))).astype(np.int32))


def _squared_off(way: NDArray[np.float32], maps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N,) squared difference of (2, N) unit vectors (dy, dx) and those painted."""
    painted = ARROWS.take(_painted(maps))
    squared: NDArray[np.float32] = (way[0] - painted.imag) ** 2 + (way[1] - painted.real) ** 2
    return squared


def _straight_error(ids: NDArray[np.int32], at: NDArray[Any], maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared difference, by id, between the painted arrows and straight ones to the mean place of the object.

    0 for background.
    """
    width, count = maps.shape[2], int(ids.max(initial=0)) + 1
    painted = maps.reshape(2, -1)

    def add_places(part: slice) -> NDArray[Any]:
        y, x = np.divmod(at[part], width)
        return np.stack([np.bincount(ids[part], values, count) for values in (None, y, x)])

    sums = summed(ids, (3, count), add_places)
    area = np.maximum(sums[0], 1)
    middle = (sums[1:] / area).astype(np.float32)

    def add_errors(part: slice) -> NDArray[Any]:
        way = middle.take(ids[part], axis=1)
        for axis, place in enumerate(np.divmod(at[part], width)):
            way[axis] -= place
        way /= np.maximum(np.sqrt(way[0] ** 2 + way[1] ** 2), np.float32(1e-6))
        return np.bincount(ids[part], _squared_off(way, painted.take(at[part], axis=1)), count)

    error: NDArray[np.float64] = summed(ids, (count,), add_errors) / area
    error[0] = 0
    return error


def _sides(ids: NDArray[np.int32], at: NDArray[Any], width: int, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(ids, 2) height and width of the bounding boxes of the wanted objects."""
    low = np.full((len(wanted), 2), np.iinfo(np.int64).max)
    high = np.full((len(wanted), 2), -1)
    for part in blocks(ids):
        chosen = np.flatnonzero(wanted[ids[part]])
        names, where = ids[part][chosen], np.stack(np.divmod(at[part][chosen], width), axis=1)
        np.minimum.at(low, names, where)
        np.maximum.at(high, names, where)
    sides: NDArray[np.int64] = high - low + 1
    return sides


def _chosen(ids: NDArray[np.int32], at: NDArray[Any], width: int, every: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the pixels of ids whose `every` is not 0, in both directions every so many only."""

    def choose(part: slice) -> NDArray[np.int64]:
        chosen = np.flatnonzero(every[ids[part]])
        stride = every[ids[part][chosen]]
        y, x = np.divmod(at[part][chosen], width)
        on_grid: NDArray[np.int64] = chosen[(y % stride == 0) & (x % stride == 0)] + part.start
        return on_grid

    return np.concatenate(list(in_threads(choose, blocks(ids))))
