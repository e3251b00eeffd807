"""A contact sheet as terminal cells: small pictures in a grid, each with a hint letter and a line of text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mia_tui.widgets.mosaic import U8, Cells, Pyramid, fit_scale, paint, place, write

WHITE, DIM, HINT = (235, 235, 235), (130, 130, 130), (255, 224, 102)
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
    """One picture: `picture` (Y, X, 3) uint8 or, in its place, a `note`; `marked` ones are crossed out."""

    hint: str
    text: str
    color: tuple[int, int, int]
    marked: bool = False
    picture: U8 | None = None
    note: str = ""


def grid_of(rows: int, columns: int, most: int) -> Grid:
    """The grid for an area of cells: 6 x 4 pictures at most (or `most`), 18 x 8 cells or more each."""
    across, down = min(6, max(2, columns // 18)), min(4, max(1, rows // 8))
    while across * down > most:
        down, across = (down - 1, across) if down > 1 else (down, across - 1)
    return Grid(down, across, rows // down, columns // across)


def draw(grid: Grid, tiles: Sequence[Tile], void: tuple[int, int, int], *, mono: bool) -> Cells:
    """All tiles, row by row."""
    rows, columns = grid.rows * grid.height, grid.columns * grid.width
    background = np.full((rows, columns, 3), void, np.uint8)
    sheet = Cells(
        np.full((rows, columns), ord(" "), np.uint32), background.copy(), background, np.zeros((rows, columns), bool)
    )
    for number, tile in enumerate(tiles):
        top, left = number // grid.columns * grid.height, number % grid.columns * grid.width
        if tile.picture is not None:
            _paste(sheet, _shrunk(tile.picture, grid, void, mono=mono), top, left, dim=tile.marked, mono=mono)
        middle = top + (grid.height - 1) // 2
        if tile.note:
            write(sheet, middle, left + 1, tile.note[: grid.width - 2], DIM)
        if tile.marked:
            write(sheet, middle, left + (grid.width - 1) // 2 - 1, " ✗ ", WHITE)
        _caption(sheet, tile, top + grid.height - 1, left, grid.width - 1)
    return sheet


def _shrunk(picture: U8, grid: Grid, void: tuple[int, int, int], *, mono: bool) -> Cells:
    rows, columns = grid.height - 1, grid.width - 1
    height, width = picture.shape[:2]
    scale = fit_scale(height, width, rows, columns)
    view = place(height, width, rows, columns, scale, height / 2, width / 2)
    pyramid = Pyramid(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return paint(pyramid, view, lambda values: np.array(values.transpose(1, 2, 0)), void=void, mono=mono)


def _paste(sheet: Cells, cells: Cells, top: int, left: int, *, dim: bool, mono: bool) -> None:
    rows, columns = cells.glyph.shape
    part = np.s_[top : top + rows, left : left + columns]
    sheet.glyph[part], sheet.fg[part], sheet.bg[part] = cells.glyph, cells.fg, cells.bg
    if dim and mono:
        lighter = {ord("█"): ord("▒"), ord("▓"): ord("░"), ord("▒"): ord("░"), ord("░"): ord(" ")}
        sheet.glyph[part] = np.vectorize(lambda glyph: lighter.get(glyph, glyph))(cells.glyph)
    elif dim:
        sheet.fg[part] = (cells.fg * DIMMED).astype(np.uint8)
        sheet.bg[part] = (cells.bg * DIMMED).astype(np.uint8)


def _caption(sheet: Cells, tile: Tile, row: int, left: int, width: int) -> None:
    write(sheet, row, left, f"[{tile.hint}]", HINT)
    sign = "✗ " if tile.marked else ""
    write(sheet, row, left + 4, f"{sign}{tile.text}"[: width - 4], DIM if tile.marked else tile.color)
