"""A picture and its halved copies, sampled for a view. NumPy only."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.widgets.canvas.view import View

Array = npt.NDArray[Any]

BRAILLE_DOTS = (4, 2)
"""Samples per cell, high and wide, of a braille glyph: a cell carries more than its two dots."""


@dataclass
class Pyramid:
    """A plane (C, Y, X) and its halved copies (means of 2 x 2), made when a view first needs them."""

    plane: Array
    levels: dict[int, Array] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.plane.shape[-2]), int(self.plane.shape[-1])

    def level(self, number: int) -> Array:
        """The plane halved `number` times."""
        if number == 0:
            return self.plane
        if number not in self.levels:
            self.levels[number] = halve(self.level(number - 1))
        return self.levels[number]

    def sample(self, view: View, dots: tuple[int, int] = BRAILLE_DOTS) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Values (C, high * rows, wide * columns) of `view` at `dots` (high, wide) samples per cell.

        The second array (bool) says where the picture is. Values come from the level whose pixels are just smaller
        than the distance of two samples.
        """
        height, width = self.size
        step_y, step_x = 2 / (dots[0] * view.scale), 1 / (dots[1] * view.scale)
        step = min(step_y, step_x)
        number = max(0, int(np.floor(np.log2(step)))) if step > 1 else 0
        number = min(number, max(0, int(np.log2(max(1, min(height, width)))) - 1))
        ys = view.top + (np.arange(dots[0] * view.rows) + 0.5) * step_y
        xs = view.left + (np.arange(dots[1] * view.columns) + 0.5) * step_x
        inside = ((ys >= 0) & (ys < height))[:, None] & ((xs >= 0) & (xs < width))[None, :]
        source = self.level(number)
        iy = np.clip((ys / 2**number).astype(np.intp), 0, source.shape[-2] - 1)
        ix = np.clip((xs / 2**number).astype(np.intp), 0, source.shape[-1] - 1)
        return source[:, iy[:, None], ix[None, :]], inside


def halve(plane: Array) -> Array:
    """Means of 2 x 2 pixels of (C, Y, X), integers rounded down; an odd last row or column is repeated."""
    pad_y, pad_x = plane.shape[-2] % 2, plane.shape[-1] % 2
    if pad_y or pad_x:
        plane = np.pad(plane, ((0, 0), (0, pad_y), (0, pad_x)), mode="edge")
    whole = plane.dtype.kind in "iu"
    wide = (np.int64 if plane.dtype.itemsize > 2 else np.int32) if whole else np.float32
    total: Array = plane[:, ::2, ::2].astype(wide)
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        np.add(total, plane[:, dy::2, dx::2], out=total)
    return (total // 4).astype(plane.dtype) if whole else total / np.float32(4)
