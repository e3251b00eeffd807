"""Separation by the distance to the outline: a hill of height 1 on each object, whatever its size, a valley between.

The network paints for each pixel the distance to the outline of its own object, divided by the largest one in that
object (Naylor et al. 2019, IEEE TMI, regress the distance itself; divided by its maximum it is the same for small and
large objects, so that one threshold suits both).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.separation.basins import NOWHERE, ascend, drop_small, fill_holes, merge, renumber
from mia_tui.engine.separation.blocks import blocks
from mia_tui.engine.separation.border import rim_distance

CHANNELS = 1

RIM = 0.1
"""Depth of the pixels of the outline, in pixels. Small, so that the rim of a small object is not a step up from the rim
of a large one beside it, which would be taken for its slope; not 0, so that it is above the background."""


@dataclass(frozen=True)
class Options:
    """How the map is read.

    `foreground` (0..1) is the probability from which on a pixel belongs to an object. `valley` (0..1) says how much
    lower than the lower of two hills the pass between them must be for them to be two objects: larger values part less.
    `smooth` is the standard deviation (pixels) of the blur that takes the grain out of the map. Objects of fewer than
    `min_size` pixels are dropped.
    """

    foreground: float = 0.5
    valley: float = 0.3
    smooth: float = 1.0
    min_size: int = 10


def target(instances: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """What the network should paint.

    Parameters
    ----------
    instances : (Y, X) int
        Label image, 0 background. Where the image edge cuts an object there is no outline.

    Returns
    -------
    (1, Y, X) float32
        Distance to the outline (`RIM` on it) over the largest one of the object: 0 on background, up to 1.
    """
    depth = rim_distance(instances)
    inside = np.flatnonzero(instances)
    if len(inside):
        values = depth.ravel()[inside] - (1 - np.float32(RIM))
        depth.ravel()[inside] = values / _deepest(instances.ravel()[inside], values)
    return depth[None]


def _deepest(ids: NDArray[np.integer[Any]], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest value of each pixel's object, also for ids far apart."""
    low, high = int(ids.min()), int(ids.max())
    index = ids.astype(np.int64) - low
    if high - low > 4 * len(ids) + 65536:
        index = np.unique(ids, return_inverse=True)[1]
    top = np.zeros(int(index.max()) + 1, np.float32)
    np.maximum.at(top, index, values)
    return top[index]


def separate(
    maps: NDArray[np.uint8], foreground: NDArray[np.uint8], options: Options | None = None
) -> NDArray[np.int32]:
    """Objects from the painted map.

    Parameters
    ----------
    maps : (1, Y, X) uint8
        Painted distance, 255 for 1.
    foreground : (Y, X) uint8
        Probability of belonging to any object, 255 for 1.
    options : Options

    Returns
    -------
    (Y, X) int32
        Label image, objects 1..n.
    """
    options = options or Options()
    height = np.empty(foreground.shape, np.float32)
    np.divide(maps[0], np.float32(255), out=height)
    if options.smooth > 0:
        cv2.GaussianBlur(height, (0, 0), options.smooth, dst=height)
    for rows in blocks(height):
        # The blur takes away peaks of the grain; what it lifts, above all the rim of a steep small object, stays down.
        np.minimum(height[rows], maps[0, rows] / np.float32(255), out=height[rows])
        height[rows][foreground[rows] <= 255 * options.foreground] = NOWHERE
    labels, peaks = ascend(height)
    renumber(labels, merge(labels, height, peaks, absolute=options.valley))
    del height
    drop_small(labels, options.min_size)
    fill_holes(labels)
    return labels
