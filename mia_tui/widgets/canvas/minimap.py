"""The whole picture small in a corner, what is in view bright: it says where one is when zoomed in."""

from typing import Any

import numpy as np

from mia_tui.widgets.canvas.cells import REVERSE, Cells
from mia_tui.widgets.canvas.corner import Corner
from mia_tui.widgets.canvas.painter import Painter, paint_base
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.view import View

OUTSIDE = 0.5
"""Brightness of what is not in view."""
GROUND = 58
"""Least brightness of what is in view: seen on a black ground too."""
FRAME = (130, 130, 130)


def draw_map(cells: Cells, scene: Scene, view: View, corner: Corner, painter: Painter, *, mono: bool) -> None:
    """Write the map into the cells, in place: a line above it and at its inner side, and the picture."""
    height, width = scene.pyramid.size
    at_left = corner.column == 0
    rows, columns = corner.rows - 1, corner.columns - 1
    scale = max(columns / width, 2 * rows / height)
    whole = View(rows, columns, (height - 2 * rows / scale) / 2, (width - columns / scale) / 2, scale)
    small = paint_base(scene.pyramid, whole, scene.display, painter)
    seen = _in_view(whole, view)
    if mono:
        small.attr[seen] |= REVERSE
    else:
        for colors in (small.fg, small.bg):
            colors[seen] = _rounded(GROUND + colors[seen] * (1 - GROUND / 255))
            colors[~seen] = _rounded(colors[~seen] * OUTSIDE)
    first = corner.column if at_left else corner.column + 1
    _put(cells, small, corner.row + 1, first)
    _put(cells, _lines(corner, at_left=at_left, plain=painter.name == "ascii"), corner.row, corner.column)
    side = corner.column + corner.columns - 1 if at_left else corner.column
    cells.glyph[corner.row + 1 : corner.row + corner.rows, side] = ord("|" if painter.name == "ascii" else "│")
    place = np.s_[corner.row + 1 : corner.row + corner.rows, side]
    cells.fg[place], cells.bg[place], cells.attr[place] = FRAME, 0, 0


def _lines(corner: Corner, *, at_left: bool, plain: bool) -> Cells:
    """The line above the map."""
    flat, angle = ("-", "+") if plain else ("─", "┐" if at_left else "┌")
    glyph = np.full((1, corner.columns), ord(flat), np.uint32)
    glyph[0, -1 if at_left else 0] = ord(angle)
    fg = np.empty((1, corner.columns, 3), np.uint8)
    fg[...] = FRAME
    return Cells(glyph, fg, np.zeros_like(fg), np.zeros(glyph.shape, np.uint8))


def _put(cells: Cells, part: Cells, row: int, column: int) -> None:
    rows, columns = part.glyph.shape
    place = np.s_[row : row + rows, column : column + columns]
    cells.glyph[place], cells.fg[place], cells.bg[place], cells.attr[place] = part.glyph, part.fg, part.bg, part.attr


def _rounded(colors: Any) -> Any:
    """Colours on the steps of the greys that have short codes."""
    return (np.clip(np.rint((colors - 8) / 10), 0, 23) * 10 + 8).astype(np.uint8)


def _in_view(whole: View, view: View) -> Any:
    """(rows, columns) bool: cells of the map that are in view, at least one."""
    top, left = whole.to_cell(view.top, view.left)
    bottom, right = whole.to_cell(view.top + view.height, view.left + view.width)
    row, column = np.arange(whole.rows)[:, None], np.arange(whole.columns)[None, :]
    seen_rows = (row >= top) & (row <= max(top, bottom - 1))
    return seen_rows & (column >= left) & (column <= max(left, right - 1))
