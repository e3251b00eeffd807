"""Running a network over a view piece by piece, so that it can be told to stop in between."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.assist.messages import Box
from mia_tui.engine.assist.models import Tell

RIM = 32
"""Pixels around a tile that the network sees and whose edges are thrown away."""


def edges_by_tiles(run: Callable[[Box], NDArray[np.float32]], box: Box, side: int, tell: Tell) -> NDArray[np.float16]:
    """Edges of a part of a plane.

    Parameters
    ----------
    run : callable
        Box of `side` x `side` pixels (may reach beyond the plane) -> (side, side) edges 0..1.
    box : Box
        The part, on the plane.
    side : int
        Pixels; tiles overlap by `RIM` on each side, less when they are small.

    Returns
    -------
    (Y, X) float16 of the size of the box
    """
    top, left, bottom, right = box
    rim = min(RIM, side // 4)
    core = side - 2 * rim
    out = np.zeros((bottom - top, right - left), np.float16)
    corners = [(y, x) for y in range(top, bottom, core) for x in range(left, right, core)]
    for done, (y, x) in enumerate(corners, 1):
        tell(f"edges {done} of {len(corners)}")
        tile = run((y - rim, x - rim, y - rim + side, x - rim + side))
        rows, columns = min(core, bottom - y), min(core, right - x)
        out[y - top : y - top + rows, x - left : x - left + columns] = tile[rim : rim + rows, rim : rim + columns]
    return out
