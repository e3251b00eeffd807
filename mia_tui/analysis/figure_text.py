"""A figure in characters: curves as braille dots, numbers at the axes, a legend with a glyph for each colour."""

import itertools
import math
import textwrap
from collections.abc import Sequence

import numpy as np

from mia_tui.analysis.figure import Curve, Figure, Point, finite, runs, scales
from mia_tui.analysis.scales import DOT_BITS, Scale, ticks

GLYPHS = "●■▲◆○□△◇"
AXIS, TEXT = -1, -2
"""Roles of cells that belong to no curve; a role of 0 or more is the number of a colour in `colors_of`."""

Cell = tuple[str, int]
Grid = list[list[Cell]]


def colors_of(figure: Figure) -> list[str]:
    """The colours of the curves in the order of their first use."""
    return list(dict.fromkeys(curve.color for curve in figure.curves))


def draw(figure: Figure, width: int, height: int) -> Grid:
    """Draw a figure: title, legend, plot with axes, notes.

    Returns
    -------
    list of list of (str, int)
        `height` rows of exactly `width` cells: a character and its role.
    """
    grid: Grid = [[(" ", TEXT)] * width for _ in range(height)]
    colors = colors_of(figure)
    heads = [[(c, TEXT) for c in figure.title], *_legend(figure, colors, width)]
    below = [[(c, TEXT) for c in line] for note in figure.notes for line in textwrap.wrap(note, width)]
    for row, cells in zip(grid, heads, strict=False):
        _write(row, 0, cells)
    top, bottom = len(heads), height - len(below) - 2 * figure.x.shown
    for row, cells in zip(grid[max(0, height - len(below)) :], below, strict=False):
        _write(row, 0, cells)
    if bottom - top >= 3 and width >= 24:
        _plot(grid, figure, colors, top, bottom)
    return grid


def as_lines(grid: Grid) -> list[str]:
    """The rows as plain text."""
    return ["".join(char for char, _ in row).rstrip() for row in grid]


def _write(row: list[Cell], at: int, cells: Sequence[Cell]) -> None:
    """Put cells into a row from column `at` on; what does not fit is cut off."""
    start = max(at, 0)
    fitting = cells[start - at : max(0, len(row) - at)]
    row[start : start + len(fitting)] = fitting


def _legend(figure: Figure, colors: list[str], width: int) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for curve in (c for c in figure.curves if c.name):
        role = colors.index(curve.color)
        sign = {"line": "━━", "dashed": "╌╌", "dots": f"{_glyph(role)} "}[curve.kind]
        entry: list[Cell] = [(c, role) for c in sign] + [(c, TEXT) for c in f" {curve.name}   "]
        if not rows or len(rows[-1]) + len(entry) > width:
            rows.append([])
        rows[-1] += entry
    return rows


def _glyph(role: int) -> str:
    return GLYPHS[role % len(GLYPHS)]


def _plot(grid: Grid, figure: Figure, colors: list[str], top: int, bottom: int) -> None:
    """Fill the rows from `top` up to `bottom`, and the two below with the x axis."""
    width = len(grid[0])
    found = scales(figure, (2 * width, 4 * (bottom - top)))
    if found is None:
        _write(grid[(top + bottom) // 2], width // 2 - 8, [(c, AXIS) for c in "nothing to show"])
        return
    y_ticks = ticks(found[1], max(2, (bottom - top) // 3)) if figure.y.shown else []
    gutter = max((len(text) for _, text in y_ticks), default=0) + 2
    across = width - gutter
    if figure.square:
        across = min(across, 2 * (bottom - top))
        bottom = top + across // 2
    x = Scale(found[0].low, found[0].high, 2 * across, found[0].log)
    y = Scale(found[1].low, found[1].high, 4 * (bottom - top), found[1].log)
    canvas = _Canvas(across, bottom - top, x, y, figure.y.down)
    for value in figure.rules:
        canvas.rule(value)
    for curve in figure.curves:
        canvas.curve(curve, figure, colors.index(curve.color))
    for number, row in enumerate(grid[top:bottom]):
        row[gutter : gutter + across] = canvas.row(number)
        if figure.y.shown:
            row[gutter - 1] = ("│", AXIS)
    for value, text in y_ticks:
        row = grid[top + canvas.dot_row(value) // 4]
        _write(row, gutter - 1 - len(text), [(c, AXIS) for c in f"{text}┤"])
    if figure.y.shown:
        _write(grid[top], gutter + 1, [(c, TEXT) for c in figure.y.label])
    if figure.x.shown:
        _x_axis(grid, bottom, gutter, across, x, figure.x.label)


def _x_axis(grid: Grid, bottom: int, gutter: int, across: int, scale: Scale, label: str) -> None:
    line, numbers = grid[bottom], grid[bottom + 1]
    _write(line, gutter - 1, [("└", AXIS)] + [("─", AXIS)] * across)
    beside = gutter + across + 1
    end = beside if beside + len(label) <= len(line) else gutter + across - len(label)
    free = gutter - 1
    for value, text in ticks(scale, max(2, across // 10)):
        column = gutter + scale.position(value) // 2
        line[column] = ("┴", AXIS)
        start = column - len(text) // 2
        if start >= free and start + len(text) < end - 1:
            _write(numbers, start, [(c, AXIS) for c in text])
            free = start + len(text) + 1
    _write(numbers, end, [(c, TEXT) for c in label])


class _Canvas:
    """Dots and glyphs of the plot area, `width` x `height` cells."""

    def __init__(self, width: int, height: int, x: Scale, y: Scale, down: bool) -> None:
        self.x, self.y, self.down = x, y, down
        self.bits = np.zeros((height, width), np.int64)
        self.roles = np.full((height, width), AXIS)
        self.glyphs: dict[tuple[int, int], Cell] = {}

    def dot_row(self, value: float) -> int:
        """Dots from the top."""
        up = self.y.position(value)
        return up if self.down else self.y.dots - 1 - up

    def rule(self, value: float) -> None:
        if self.x.low <= value <= self.x.high:
            column = self.x.position(value) // 2
            self.glyphs |= {(row, column): ("┊", AXIS) for row in range(len(self.bits))}

    def curve(self, curve: Curve, figure: Figure, role: int) -> None:
        for piece in runs(finite(curve, figure)):
            dots = [(self.x.position(x), self.dot_row(y)) for x, y in piece.tolist()]
            if curve.kind == "dots":
                self.points(dots, role, glyphs=not curve.faint)
                continue
            for start, end in itertools.pairwise(dots if len(dots) != 1 else dots * 2):
                self.segment(start, end, role, 4 if curve.kind == "dashed" else 0)

    def points(self, dots: Sequence[tuple[int, int]], role: int, *, glyphs: bool) -> None:
        """Glyphs, or (of one of many) no more than dots."""
        if glyphs:
            self.glyphs |= {(y // 4, x // 2): (_glyph(role), role) for x, y in dots}
        for dot in () if glyphs else dots:
            self.segment(dot, dot, role, 0)

    def segment(self, start: Point, end: Point, role: int, period: int) -> None:
        """Dots on a straight line; with a period, only in the first half of each."""
        count = math.ceil(max(abs(end[0] - start[0]), abs(end[1] - start[1]))) + 1
        for x, y in zip(np.linspace(start[0], end[0], count), np.linspace(start[1], end[1], count), strict=True):
            column, row = round(float(x)), round(float(y))
            if period and column % period >= period // 2:
                continue
            if 0 <= column < self.x.dots and 0 <= row < self.y.dots:
                self.bits[row // 4, column // 2] |= DOT_BITS[row % 4][column % 2]
                self.roles[row // 4, column // 2] = role

    def row(self, number: int) -> list[Cell]:
        cells: list[Cell] = []
        for column, bits in enumerate(self.bits[number].tolist()):
            drawn = (chr(0x2800 + bits), int(self.roles[number, column])) if bits else (" ", TEXT)
            glyph = self.glyphs.get((number, column))
            cells.append(drawn if glyph is None or (glyph[0] == "┊" and bits) else glyph)
        return cells
