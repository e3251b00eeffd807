"""A contact sheet as terminal cells: small pictures in a grid, each with a hint letter and a line of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from mia_tui.widgets.canvas.cells import BOLD, Cells
from mia_tui.widgets.canvas.overlay import HINT, HINT_BACK, UNDER_LINE
from mia_tui.widgets.canvas.painter import U8, Painter, Shades, paint_base
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.scene import WHITE, Rgb
from mia_tui.widgets.canvas.view import fit_scale, place

DIM: Rgb = (130, 130, 130)
DIMMED = 0.3
"""Brightness that is left of a picture that is marked as wrong."""


@dataclass(frozen=True)
class Grid:
    """How many pictures fit, and how large each is in cells, with its line of text."""

    rows: int
    columns: int
    height: int
    width: int

    @property
    def count(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True)
class Tile:
    """One picture: `picture` (Y, X, 3) uint8 or, in its place, a `note`; `marked` ones get a `cross`."""

    hint: str
    text: str
    color: Rgb
    marked: bool = False
    cross: str = "✗"
    picture: U8 | None = None
    note: str = ""


def grid_of(rows: int, columns: int, most: int) -> Grid:
    """The grid for an area of cells: 6 x 4 pictures at most (or `most`), 18 x 8 cells or more each."""
    across, down = min(6, max(2, columns // 18)), min(4, max(1, rows // 8))
    while across * down > most:
        down, across = (down - 1, across) if down > 1 else (down, across - 1)
    return Grid(down, across, rows // down, columns // across)


def draw(grid: Grid, tiles: Sequence[Tile], void: Rgb, painter: Painter) -> Cells:
    """All tiles, row by row. `void` is the colour where there is no picture."""
    rows, columns = grid.rows * grid.height, grid.columns * grid.width
    color = np.full((rows, columns, 3), void, np.uint8)
    blank = np.full((rows, columns), ord(" "), np.uint32)
    sheet = Cells(blank, color.copy(), color, np.zeros((rows, columns), np.uint8))
    for number, tile in enumerate(tiles):
        top, left = number // grid.columns * grid.height, number % grid.columns * grid.width
        middle = top + (grid.height - 1) // 2
        if tile.picture is not None:
            _paste(sheet, _shrunk(tile.picture, grid, void, painter), top, left, dim=tile.marked, painter=painter)
        for row, line in enumerate(wrap(tile.note, grid.width - 2)[: grid.height - 1]):
            _write(sheet, top + row, left + 1, line, DIM)
        if tile.marked:
            _write(sheet, middle, left + (grid.width - 1) // 2 - 1, f" {tile.cross} ", WHITE, attr=BOLD)
        _caption(sheet, tile, top + grid.height - 1, left, grid.width - 1)
    return sheet


def _shrunk(picture: U8, grid: Grid, void: Rgb, painter: Painter) -> Cells:
    rows, columns = grid.height - 1, grid.width - 1
    height, width = picture.shape[:2]
    view = place(height, width, rows, columns, fit_scale(height, width, rows, columns), height / 2, width / 2)
    pyramid = Pyramid(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return paint_base(pyramid, view, lambda values: np.array(values.transpose(1, 2, 0)), painter, void=void)


def _paste(sheet: Cells, cells: Cells, top: int, left: int, *, dim: bool, painter: Painter) -> None:
    rows, columns = cells.glyph.shape
    part = np.s_[top : top + rows, left : left + columns]
    sheet.glyph[part], sheet.fg[part], sheet.bg[part] = cells.glyph, cells.fg, cells.bg
    if dim and isinstance(painter, Shades):  # without colours less ink is darker
        shades = [ord(character) for character in painter.characters]
        for glyph, lighter in zip(shades, [shades[0], shades[0], *shades[1:-1]], strict=True):
            sheet.glyph[part][cells.glyph == glyph] = lighter
    elif dim:
        sheet.fg[part] = (cells.fg * DIMMED).astype(np.uint8)
        sheet.bg[part] = (cells.bg * DIMMED).astype(np.uint8)


def _caption(sheet: Cells, tile: Tile, row: int, left: int, width: int) -> None:
    _write(sheet, row, left, f"[{tile.hint}]", HINT, back=HINT_BACK, attr=BOLD)
    sign = f"{tile.cross} " if tile.marked else ""
    _write(sheet, row, left + 4, f"{sign}{tile.text}"[: width - 4], DIM if tile.marked else tile.color)


def _write(
    sheet: Cells, row: int, column: int, text: str, color: Rgb, *, back: Rgb | None = None, attr: int = 0
) -> None:
    """Put characters into a row; without a ground of its own the picture stays behind them, darker."""
    place = np.s_[row, column : column + len(text)]
    sheet.glyph[place] = [ord(character) for character in text]
    sheet.fg[place], sheet.attr[place] = color, attr
    sheet.bg[place] = (sheet.bg[place] * UNDER_LINE).astype(np.uint8) if back is None else back
