"""A line chart of braille dots: loss and metric curves in any terminal, with or without colours.

`plot` turns series into a grid of `(character, role)` cells and knows nothing of Textual; `LineChart` paints the grid.
Every series has a marker glyph as well as a colour, so that curves stay apart under `NO_COLOR`.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from mia_tui.analysis.scales import DOT_BITS, TINY, Scale, spread, ticks

MARKERS = "●■▲◆"
"""Glyph of the first, second, ... series; a chart holds at most this many."""
AXIS, TEXT, BEST = -1, -2, -3
"""Roles of cells that belong to no series; a role of 0 or more is the number of a series."""
BEST_GLYPH = "★"
MARKER_EVERY = 12
"""Columns between two markers on a curve of many points."""

Cell = tuple[str, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One curve. `xs` ascend; values of `ys` that are None or not finite are left out.

    With `mean` a column that holds several points shows their mean (for noisy step losses); without it, all of the
    range between their extremes is drawn.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    mean: bool = False


def plot(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    title: str = "",
    x_label: str = "",
    log: bool = False,
    best_x: float | None = None,
) -> list[list[Cell]]:
    """Draw a chart of `width` x `height` cells: legend above, y labels at the left, x labels in the axis line below.

    Parameters
    ----------
    series : sequence of Series
        At most `len(MARKERS)`; later ones are drawn over earlier ones.
    log : bool
        Logarithmic y axis; values that are not positive are left out.
    best_x : float, optional
        x of the best epoch, marked by a star in the axis line and a dotted line above it.

    Returns
    -------
    list of list of (str, int)
        `height` rows of exactly `width` cells: a character and its role.
    """
    grid = [[(" ", TEXT)] * width for _ in range(height)]
    points = [_finite(one, positive=log) for one in series]
    if grid:
        _write(grid[0], 0, _legend(title, series, points, width, best_x, log))
    if not any(points):
        _say_empty(grid, width, log)
    elif height >= 4 and width >= 16:
        _draw(grid, [one.mean for one in series], points, x_label, log, best_x)
    return grid


def _draw(
    grid: list[list[Cell]],
    mean: Sequence[bool],
    points: list[list[Point]],
    x_label: str,
    log: bool,
    best_x: float | None,
) -> None:
    """Fill everything below the legend; at least one of `points` is not empty."""
    width, height = len(grid[0]), len(grid)
    xs = [one[i][0] for one in points if one for i in (0, -1)]
    x_range = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    points = [_means(one, *x_range, 2 * width) if flag else one for one, flag in zip(points, mean, strict=True)]
    ys = [y for one in points for _, y in one]
    y_scale = Scale(*spread(min(ys), max(ys), log), dots=4 * (height - 2), log=log)
    y_ticks = ticks(y_scale, max(2, (height - 1) // 2))
    gutter = max(len(label) for _, label in y_ticks) + 1
    x_scale = Scale(*x_range, dots=2 * (width - gutter))
    best = None
    if best_x is not None and x_range[0] <= best_x <= x_range[1]:
        best = gutter + x_scale.position(best_x) // 2
    _draw_y_axis(grid, gutter, y_scale, y_ticks)
    _draw_x_axis(grid[-1], gutter, x_scale, x_label, best)
    area = [row[gutter:] for row in grid[1:-1]]
    if best is not None:
        for row in area:
            row[best - gutter] = ("┊", BEST)
    columns = [_columns(one, x_scale, y_scale) for one in points]
    for number, chosen in enumerate(columns):
        _draw_curve(area, number, chosen, y_scale.dots)
    for number, chosen in enumerate(columns):
        for x in _marked(sorted(chosen), number, len(columns)):
            area[(y_scale.dots - 1 - chosen[x][2]) // 4][x // 2] = (MARKERS[number], number)
    for row, drawn in zip(grid[1:-1], area, strict=True):
        row[gutter:] = drawn


# ---- values and scales ----------------------------------------------------------------------------------------------


def _finite(series: Series, *, positive: bool) -> list[Point]:
    pairs = zip(series.xs, series.ys, strict=True)
    return [(x, y) for x, y in pairs if y is not None and math.isfinite(y) and (y > TINY or not positive)]


def _means(points: Sequence[Point], low: float, high: float, bins: int) -> list[Point]:
    """Means of the points in `bins` equal parts of low..high."""
    factor = (bins - 1) / (high - low)
    sums: dict[int, tuple[float, float, int]] = {}
    for x, y in points:
        key = int((x - low) * factor)
        sum_x, sum_y, count = sums.get(key, (0.0, 0.0, 0))
        sums[key] = sum_x + x, sum_y + y, count + 1
    return [(sum_x / count, sum_y / count) for sum_x, sum_y, count in sums.values()]


# ---- drawing --------------------------------------------------------------------------------------------------------


def _write(row: list[Cell], at: int, cells: Sequence[Cell]) -> None:
    """Put `cells` into `row` from column `at` on; what does not fit is cut off."""
    fitting = cells[: max(0, len(row) - at)]
    row[at : at + len(fitting)] = fitting


def _legend(
    title: str,
    series: Sequence[Series],
    points: Sequence[Sequence[Point]],
    width: int,
    best_x: float | None,
    log: bool,
) -> list[Cell]:
    """Title, marker, name and last value of every series, best epoch; less of it where it is narrow."""

    def build(gap: int, digits: int, *, extras: bool) -> list[Cell]:
        cells: list[Cell] = [(c, TEXT) for c in title]
        for number, (one, chosen) in enumerate(zip(series, points, strict=True)):
            value = f" {chosen[-1][1]:.{digits}g}" if chosen and digits else ""
            cells += [(" ", TEXT)] * gap + [(MARKERS[number], number)] + [(c, TEXT) for c in f" {one.name}{value}"]
        if extras and best_x is not None:
            cells += [(" ", TEXT)] * gap + [(BEST_GLYPH, BEST)] + [(c, TEXT) for c in f" best {best_x:g}"]
        return cells + ([(c, AXIS) for c in "   log"] if extras and log else [])

    choices = [
        build(3, 4, extras=True),
        build(3, 4, extras=False),
        build(2, 3, extras=False),
        build(2, 0, extras=False),
    ]
    return next((cells for cells in choices if len(cells) <= width), choices[-1])


def _say_empty(grid: list[list[Cell]], width: int, log: bool) -> None:
    if len(grid) > 2:
        text = "nothing above zero to show on a logarithmic axis" if log else "no values yet"
        _write(grid[len(grid) // 2], max(0, (width - len(text)) // 2), [(c, AXIS) for c in text])


def _draw_y_axis(grid: list[list[Cell]], gutter: int, scale: Scale, ticks: list[tuple[float, str]]) -> None:
    for row in grid[1:-1]:
        row[gutter - 1] = ("│", AXIS)
    for value, label in ticks:
        row = grid[1 + (scale.dots - 1 - scale.position(value)) // 4]
        _write(row, 0, [(c, AXIS) for c in f"{label.rjust(gutter - 1)}┤"])


def _draw_x_axis(row: list[Cell], gutter: int, scale: Scale, x_label: str, best: int | None) -> None:
    """The line below the curves with its numbers written into it, and the star at column `best`."""
    width = len(row)
    end = width - len(x_label) - 1 if x_label else width
    if best is not None and best >= end:
        x_label, end = "", width
    _write(row, gutter - 1, [("└", AXIS)] + [("─", AXIS)] * (width - gutter))
    if x_label:
        _write(row, end, [(c, AXIS) for c in f" {x_label}"])
    taken = set() if best is None else {best}
    whole = scale.high - scale.low >= 1
    for value, label in ticks(scale, max(2, (width - gutter) // 7), least=1.0 if whole else 0.0):
        columns = range(gutter + scale.position(value) // 2, gutter + scale.position(value) // 2 + len(label) + 1)
        if columns.stop - 1 <= end and taken.isdisjoint(columns[:-1]):
            _write(row, columns.start, [(c, AXIS) for c in label])
            taken.update(columns)
    if best is not None:
        row[best] = (BEST_GLYPH, BEST)


def _draw_curve(area: list[list[Cell]], number: int, columns: dict[int, tuple[int, int, int]], height: int) -> None:
    """Draw the braille line through `columns` into the plotting area, `height` dots high."""
    bits: dict[tuple[int, int], int] = {}
    for x, dots in _line(columns).items():
        for from_top in (height - 1 - dot for dot in dots):
            cell = from_top // 4, x // 2
            bits[cell] = bits.get(cell, 0) | DOT_BITS[from_top % 4][x % 2]
    for (row, column), own in bits.items():
        under = ord(area[row][column][0]) - 0x2800
        area[row][column] = (chr(0x2800 + (own | under if 0 <= under < 0x100 else own)), number)


def _columns(points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> dict[int, tuple[int, int, int]]:
    """Dot column -> (lowest, highest, last) dot of the points that fall into it."""
    found: dict[int, tuple[int, int, int]] = {}
    for x, y in points:
        column, dot = x_scale.position(x), y_scale.position(y)
        low, high, _ = found.get(column, (dot, dot, dot))
        found[column] = min(low, dot), max(high, dot), dot
    return found


def _line(columns: dict[int, tuple[int, int, int]]) -> dict[int, range]:
    """Dots to set in every dot column: the columns' own ranges and straight lines between neighbours."""
    order = sorted(columns)
    line = {x: range(columns[x][0], columns[x][1] + 1) for x in order}
    for left, right in itertools.pairwise(order):
        start, end = columns[left][2], columns[right][2]
        for x in range(left, right + 1):
            a, b = (start + (end - start) * min(max(at - left, 0) / (right - left), 1) for at in (x - 0.5, x + 0.5))
            low, high = sorted((round(a), round(b)))
            old = line.get(x, range(low, high + 1))
            line[x] = range(min(old.start, low), max(old.stop, high + 1))
    return line


def _marked(order: list[int], number: int, count: int) -> list[int]:
    """Dot columns that get a marker: all of few points; else every `MARKER_EVERY` cells, shifted from series to series
    so that curves on top of each other both show; always the last point."""
    if not order:
        return []
    if len(order) * 8 <= order[-1] - order[0]:
        return order
    period = 2 * MARKER_EVERY
    chosen = {(x - number * period // count) // period: x for x in reversed(order)}
    return [*chosen.values(), order[-1]]


# ---- the widget -----------------------------------------------------------------------------------------------------


class LineChart(Widget):
    """Curves that grow: `show` replaces what is drawn, `log_scale` switches the y axis."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--axis", "chart--text", "chart--best", *(f"chart--series-{n}" for n in range(len(MARKERS)))
    }  # fmt: skip
    DEFAULT_CSS = """
    LineChart {
        width: 1fr; height: 1fr; min-height: 4;
        & > .chart--axis { color: $text-muted; }
        & > .chart--text { color: $text; }
        & > .chart--best { color: $text-accent; }
        & > .chart--series-0 { color: $text-primary; }
        & > .chart--series-1 { color: $text-warning; }
        & > .chart--series-2 { color: $text-success; }
        & > .chart--series-3 { color: $text-error; }
    }
    """
    log_scale: reactive[bool] = reactive(False)
    """Whether the y axis is logarithmic."""

    def __init__(self, title: str, x_label: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._title = title
        self._x_label = x_label
        self._series: tuple[Series, ...] = ()
        self._best_x: float | None = None
        self._drawn: tuple[Size, list[Strip]] | None = None

    def show(self, series: Sequence[Series], best_x: float | None = None) -> None:
        """Draw these series from now on (at most `len(MARKERS)`), with the best epoch marked."""
        self._series, self._best_x = tuple(series[: len(MARKERS)]), best_x
        self._drawn = None
        self.refresh()

    def watch_log_scale(self) -> None:
        self._drawn = None

    def notify_style_update(self) -> None:
        """Forget what was painted in the old theme's colours."""
        super().notify_style_update()
        self._drawn = None

    def render_line(self, y: int) -> Strip:
        """One painted row; the whole chart is drawn anew only after `show`, a resize or a change of scale or theme."""
        if self._drawn is None or self._drawn[0] != self.size:
            width, height = self.size
            options: dict[str, Any] = {"title": self._title, "x_label": self._x_label, "best_x": self._best_x}
            grid = plot(self._series, width, height, log=self.log_scale, **options)
            self._drawn = self.size, [_strip(row, self._style) for row in grid]
        strips = self._drawn[1]
        return strips[y] if y < len(strips) else Strip.blank(self.size.width)

    def _style(self, role: int) -> Style:
        names = {AXIS: "chart--axis", TEXT: "chart--text", BEST: "chart--best"}
        return self.get_component_rich_style(names.get(role, f"chart--series-{role}"))


def _strip(row: Sequence[Cell], style_of: Callable[[int], Style]) -> Strip:
    """A row of cells with neighbours of one role joined into one segment."""
    segments: list[tuple[list[str], int]] = []
    for char, role in row:
        if not segments or segments[-1][1] != role:
            segments.append(([], role))
        segments[-1][0].append(char)
    return Strip([Segment("".join(chars), style_of(role)) for chars, role in segments], len(row))
