"""What lies over the picture, as a sparse set of cells: outlines and strokes in braille dots, texts, hints, a grid.

The overlay knows nothing of the picture. `compose` lays it over one: behind a line the picture stays, darker; a hint
has its own background.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.widgets.canvas.cells import BOLD, CLEAR, REVERSE, Cells
from mia_tui.widgets.canvas.pyramid import Array
from mia_tui.widgets.canvas.scene import WHITE, Grid, Layer, Mark, Outlines, Rgb, Scene, Stroke
from mia_tui.widgets.canvas.view import View

BRAILLE = 0x2800
BRAILLE_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
UNDER_LINE = 0.6
"""Brightness that a cell keeps behind an outline, so that the line stands out on bright objects."""
HINT: Rgb = (0, 0, 0)
HINT_BACK: Rgb = (255, 224, 0)

LINE, GLYPH, SOLID = 1, 2, 3
"""What an overlay cell is: braille dots that others may join, a sign over the picture, a sign with its own ground."""

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Signs:
    """The characters of an overlay. `line`, `dashed` and `stroke` replace braille dots where there is no braille."""

    line: str = ""
    dashed: str = ""
    stroke: str = ""
    handle: str = "●"
    corners: tuple[str, str, str, str] = ("┌─", "─┐", "└─", "─┘")
    grid: tuple[str, str, str] = ("─", "│", "┼")


ASCII_SIGNS = Signs("+", "x", "*", "o", ("+-", "-+", "+-", "-+"), ("-", "|", "+"))


@dataclass(frozen=True)
class Overlay:
    """Sparse cells: flat indices (N,), and for each its kind, glyph, colours (N, 3) and attributes."""

    cell: Places
    kind: npt.NDArray[np.uint8]
    glyph: npt.NDArray[np.uint32]
    fg: npt.NDArray[np.uint8]
    bg: npt.NDArray[np.uint8]
    attr: npt.NDArray[np.uint8]


# ---- outlines --------------------------------------------------------------------------------------------------------


def trace(geometries: Sequence[Any]) -> Outlines:
    """The outlines of shapely geometries (polygons with holes, multi-polygons, points as one dot)."""
    import shapely

    pieces: list[Array] = []
    owners: list[Array] = []
    boxes = np.zeros((len(geometries), 4), np.float32)
    for index, geometry in enumerate(geometries):
        boxes[index] = geometry.bounds
        for line in _lines(geometry):
            points = shapely.get_coordinates(line).astype(np.float32)
            ends = points[1:] if len(points) > 1 else points
            pieces.append(np.hstack([points[: len(ends)], ends]))
            owners.append(np.full(len(ends), index, np.intp))
    if not pieces:
        return Outlines(np.zeros((0, 4), np.float32), np.zeros(0, np.intp), boxes)
    return Outlines(np.vstack(pieces), np.concatenate(owners), boxes)


def _lines(geometry: Any) -> list[Any]:
    parts = getattr(geometry, "geoms", [geometry])
    lines: list[Any] = []
    for part in parts:
        lines += [part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part]
    return lines


@dataclass(frozen=True)
class Dots:
    """Braille dots (y, x) that lines pass inside a view, the object of each, and how far along its outline it is."""

    y: Places
    x: Places
    owner: Places
    way: npt.NDArray[np.float64]


def trace_dots(outlines: Outlines, view: View) -> Dots:
    """All dots of outlines inside a view."""
    per_pixel = 2 * view.scale
    height, width = 4 * view.rows, 2 * view.columns
    lines = (outlines.segments - np.array([view.left, view.top] * 2, np.float32)) * np.float32(per_pixel)
    x_low, x_high = np.minimum(lines[:, 0], lines[:, 2]), np.maximum(lines[:, 0], lines[:, 2])
    y_low, y_high = np.minimum(lines[:, 1], lines[:, 3]), np.maximum(lines[:, 1], lines[:, 3])
    seen = (x_high >= 0) & (x_low <= width) & (y_high >= 0) & (y_low <= height)
    lengths = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    way = np.cumsum(lengths) - lengths
    lines, owner, way, lengths = lines[seen], outlines.owner[seen], way[seen], lengths[seen]
    steps = np.ceil(np.maximum(np.abs(lines[:, 2] - lines[:, 0]), np.abs(lines[:, 3] - lines[:, 1]))).astype(np.intp)
    steps = np.maximum(steps, 1)
    which = np.repeat(np.arange(len(lines)), steps)
    share = (np.arange(len(which)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[which]
    x = np.floor(lines[which, 0] + share * (lines[which, 2] - lines[which, 0])).astype(np.intp)
    y = np.floor(lines[which, 1] + share * (lines[which, 3] - lines[which, 1])).astype(np.intp)
    # An outline along the right or lower border of the picture lies one dot outside: draw it on the last one.
    x, y = np.where(x == width, width - 1, x), np.where(y == height, height - 1, y)
    keep = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    position = way[which] + share * lengths[which]
    return Dots(y[keep], x[keep], owner[which][keep], position[keep])


def dots(layer: Layer, view: View, traced: Dots | None = None) -> tuple[Places, Places, Places]:
    """Braille dots (y, x) inside the view that the shown outlines of a layer pass, and the object of each."""
    found = traced or trace_dots(layer.outlines, view)
    keep = layer.shown[found.owner] & _not_in_a_gap(layer.dashed[found.owner], found.way)
    return found.y[keep], found.x[keep], found.owner[keep]


def _not_in_a_gap(dashed: Any, way: Any) -> Any:
    return ~dashed | (way % 5 < 3)


# ---- drawing ---------------------------------------------------------------------------------------------------------


class Sheet:
    """Overlay cells while they are drawn, one over the other."""

    def __init__(self, view: View, signs: Signs) -> None:
        count = view.rows * view.columns
        self.view, self.signs = view, signs
        self.kind = np.zeros(count, np.uint8)
        self.glyph = np.zeros(count, np.uint32)
        self.fg = np.zeros((count, 3), np.uint8)
        self.bg = np.zeros((count, 3), np.uint8)
        self.attr = np.zeros(count, np.uint8)

    def finish(self) -> Overlay:
        cell = np.flatnonzero(self.kind)
        return Overlay(cell, self.kind[cell], self.glyph[cell], self.fg[cell], self.bg[cell], self.attr[cell])

    def line(self, y: Places, x: Places, colors: Array, sign: str = "") -> None:
        """Dots in colours (N, 3); dots that are there already stay. `sign` is written instead of them."""
        cell = (y // 4) * self.view.columns + x // 2
        if sign:
            touched = np.unique(cell)
            self.glyph[touched] = ord(sign)
        else:
            bits = np.zeros(len(self.kind), np.uint8)
            np.bitwise_or.at(bits, cell, BRAILLE_BITS[y % 4, x % 2])
            touched = np.flatnonzero(bits)
            there = np.where(self.kind[touched] == LINE, self.glyph[touched] - BRAILLE, 0).astype(np.uint32)
            self.glyph[touched] = BRAILLE + (bits[touched] | there)
        self.fg[cell] = colors
        self.kind[touched], self.attr[touched] = LINE, 0

    def write(self, row: int, column: int, text: str, color: Rgb, back: Rgb | None = None, attr: int = 0) -> None:
        """Put characters into a row, from `column` on; what lies outside is left out."""
        for offset, character in enumerate(text):
            if self.view.holds(row, column + offset):
                at = row * self.view.columns + column + offset
                self.kind[at] = GLYPH if back is None else SOLID
                self.glyph[at], self.fg[at], self.attr[at] = ord(character), color, attr
                self.bg[at] = (0, 0, 0) if back is None else back


@dataclass
class Memory:
    """Dots of outlines that were traced for a view: tracing thousands of objects anew for each hint would be felt."""

    view: View | None = None
    traced: list[tuple[Outlines, Dots]] = field(default_factory=list)

    def dots(self, outlines: Outlines, view: View) -> Dots:
        if view != self.view:
            self.view, self.traced = view, []
        for known, found in self.traced:
            if known is outlines:
                return found
        found = trace_dots(outlines, view)
        self.traced = [*self.traced[-3:], (outlines, found)]
        return found


def draw(scene: Scene, view: View, *, signs: Signs | None = None, memory: Memory | None = None) -> Overlay:
    """All overlays of a scene; hints in front of everything."""
    sheet, memory = Sheet(view, signs or Signs()), memory or Memory()
    for layer in scene.layers:
        _draw_layer(sheet, layer, memory.dots(layer.outlines, view))
    for stroke in scene.strokes:
        _draw_stroke(sheet, stroke)
    if scene.box is not None:
        _draw_corners(sheet, scene.box)
    if scene.grid is not None:
        _draw_grid(sheet, scene.grid)
    for mark in sorted(scene.marks, key=lambda mark: mark.kind == "hint"):
        _draw_mark(sheet, mark)
    return sheet.finish()


def _draw_layer(sheet: Sheet, layer: Layer, traced: Dots) -> None:
    y, x, owner = dots(layer, sheet.view, traced)
    if not sheet.signs.line:
        sheet.line(y, x, layer.colors[owner])
        return
    for dashed, sign in ((True, sheet.signs.dashed), (False, sheet.signs.line)):
        some = layer.dashed[owner] == dashed
        sheet.line(y[some], x[some], layer.colors[owner[some]], sign)


def _draw_stroke(sheet: Sheet, stroke: Stroke) -> None:
    points = np.asarray(stroke.points, np.float32).reshape(-1, 2)
    if not len(points):
        return
    ends = points[1:] if len(points) > 1 else points
    segments = np.hstack([points[: len(ends)], ends])
    outlines = Outlines(segments, np.zeros(len(segments), np.intp), np.zeros((1, 4), np.float32))
    found = trace_dots(outlines, sheet.view)
    keep = _not_in_a_gap(np.full(len(found.y), stroke.dashed), found.way)
    colors = np.broadcast_to(np.array(stroke.color, np.uint8), (int(keep.sum()), 3))
    sheet.line(found.y[keep], found.x[keep], colors, sheet.signs.stroke)


def _draw_corners(sheet: Sheet, box: Sequence[float]) -> None:
    top, left = sheet.view.to_cell(box[1], box[0])
    bottom, right = sheet.view.to_cell(box[3], box[2])
    places = ((top - 1, left - 1), (top - 1, right), (bottom + 1, left - 1), (bottom + 1, right))
    for (row, column), text in zip(places, sheet.signs.corners, strict=True):
        sheet.write(row, column, text, WHITE)


def _draw_grid(sheet: Sheet, grid: Grid) -> None:
    """Light lines around the cells of the grid and a bold letter in the middle of each."""
    rows, columns = len(grid.letters), max((len(line) for line in grid.letters), default=0)
    x0, y0, x1, y1 = grid.box
    lines_y = [sheet.view.to_cell(y, x0)[0] for y in np.linspace(y0, y1, rows + 1)]
    lines_x = [sheet.view.to_cell(y0, x)[1] for x in np.linspace(x0, x1, columns + 1)]
    flat, upright, crossing = sheet.signs.grid
    if lines_y[-1] - lines_y[0] >= 2 * rows and lines_x[-1] - lines_x[0] >= 3 * columns:
        for row in lines_y:
            sheet.write(row, lines_x[0], flat * (lines_x[-1] - lines_x[0] + 1), grid.color)
        for row in range(lines_y[0], lines_y[-1] + 1):
            for column in lines_x:
                sheet.write(row, column, crossing if row in lines_y else upright, grid.color)
    for i, line in enumerate(grid.letters):
        for j, letter in enumerate(line):
            y, x = y0 + (i + 0.5) * (y1 - y0) / rows, x0 + (j + 0.5) * (x1 - x0) / columns
            _draw_mark(sheet, Mark(y, x, letter, kind="hint"))


def _draw_mark(sheet: Sheet, mark: Mark) -> None:
    row, column = sheet.view.to_cell(mark.y, mark.x)
    if mark.kind == "hint":
        sheet.write(row, column, mark.text, HINT, HINT_BACK, BOLD)
    elif mark.kind == "handle":
        sheet.write(row, column, (mark.text or sheet.signs.handle)[:1], mark.color, attr=BOLD)
    else:
        sheet.write(row, column, mark.text, mark.color)


# ---- over the picture ------------------------------------------------------------------------------------------------


def compose(base: Cells, overlay: Overlay, *, mono: bool = False) -> Cells:
    """A picture with an overlay; without colours what has its own ground is reversed."""
    cells = base.copy()
    at = np.unravel_index(overlay.cell, base.glyph.shape)
    mixed = (base.fg[at].astype(np.float32) + base.bg[at]) / 2 * UNDER_LINE
    solid = overlay.kind == SOLID
    cells.glyph[at], cells.fg[at] = overlay.glyph, overlay.fg
    cells.bg[at] = np.where(solid[:, None], overlay.bg, _fewer_levels(mixed))
    ground = np.where(solid, 0, base.attr[at] & CLEAR).astype(np.uint8)
    cells.attr[at] = overlay.attr | ground | (np.where(solid, REVERSE, 0).astype(np.uint8) if mono else np.uint8(0))
    return cells


def _fewer_levels(colors: Array) -> npt.NDArray[np.uint8]:
    """Greys of the 256-colour table where they are greys, else 16 levels: the ground of a line needs no more."""
    grey = (colors == colors[:, :1]).all(axis=1)
    ramp = np.clip(np.rint((colors - 8) / 10), 0, 23) * 10 + 8
    levels: npt.NDArray[np.uint8] = np.where(grey[:, None], ramp, np.rint(colors / 17) * 17).astype(np.uint8)
    return levels
