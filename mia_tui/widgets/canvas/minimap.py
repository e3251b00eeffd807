"""The whole picture small in a corner, what is in view bright: it says where one is when zoomed in."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mia_tui.widgets.canvas.cells import CLEAR, REVERSE, Cells
from mia_tui.widgets.canvas.painter import Painter, paint_base
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.view import View

OUTSIDE = 0.35
"""Brightness of what is not in view."""


@dataclass(frozen=True)
class Corner:
    """Where the map stands: its first row and column in the canvas and its size, in cells."""

    row: int
    column: int
    rows: int
    columns: int


def draw_map(cells: Cells, scene: Scene, view: View, corner: Corner, painter: Painter, *, mono: bool) -> None:
    """Write the map into the cells, in place."""
    height, width = scene.pyramid.size
    scale = corner.columns / width
    # Rows need not be twice as high as columns are wide here: the whole picture fills the corner.
    whole = View(corner.rows, corner.columns, (height - 2 * corner.rows / scale) / 2, 0.0, scale)
    small = paint_base(scene.pyramid, whole, scene.display, painter)
    seen = _in_view(whole, view)
    if mono:
        attr: Any = np.where(seen, REVERSE, 0)
    else:
        attr = np.zeros(seen.shape)
        for colors in (small.fg, small.bg):
            colors[~seen] = (colors[~seen] * OUTSIDE / 10).astype(np.uint8) * 10 + 8
    place = np.s_[corner.row : corner.row + corner.rows, corner.column : corner.column + corner.columns]
    cells.glyph[place], cells.fg[place], cells.bg[place] = small.glyph, small.fg, small.bg
    cells.attr[place] = attr.astype(np.uint8) & ~np.uint8(CLEAR)


def _in_view(whole: View, view: View) -> Any:
    """(rows, columns) bool: cells of the map that are in view, at least one."""
    top, left = whole.to_cell(view.top, view.left)
    bottom, right = whole.to_cell(view.top + view.height, view.left + view.width)
    row, column = np.arange(whole.rows)[:, None], np.arange(whole.columns)[None, :]
    seen_rows = (row >= top) & (row <= max(top, bottom - 1))
    return seen_rows & (column >= left) & (column <= max(left, right - 1))
