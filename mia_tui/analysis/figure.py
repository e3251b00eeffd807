"""A plot as plain data, and where its lines, areas and words lie on a page.

`Figure` says what is shown; `layout` turns it into marks with pixel coordinates, which `figure_svg` writes and
`figure_png` paints, so that both are one picture. `figure_text` draws a figure in characters. (A plotting library would
be 40 MB and half a second for four plots, and none draws in a terminal.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mia_tui.analysis.scales import TINY, Scale, spread, ticks

INK, GREY, GRID = "#222222", "#666666", "#E3E3E3"
FONT = 12.0
"""Size of words in pixels of the page."""
CONTRAST = 3.0
"""Of colours against white, at least: what WCAG 2.2 (1.4.11) asks of graphics."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes
    ----------
    label : str
        With the unit.
    down : bool
        Values grow downwards, as y in images.
    shown : bool
        Without it there is only room.
    limits : (float, float), optional
        By default those of the values and a margin.
    from_zero : bool
        Without limits, a linear axis begins at 0.
    """

    label: str
    log: bool = False
    down: bool = False
    shown: bool = True
    limits: tuple[float, float] | None = None
    from_zero: bool = False


@dataclass(frozen=True)
class Curve:
    """Points in the order to join them; where a coordinate is NaN, or not above 0 on a logarithmic axis, it breaks.

    Attributes
    ----------
    xs, ys : (N,) float
    color : str
        `#RRGGBB`, darkened where it would not be seen on white.
    name : str
        Entry of the legend; "" for none.
    kind : str
        "line", "dashed" or "dots".
    low, high : (N,) float, optional
        A band around the curve.
    faint : bool
        One of many.
    """

    xs: npt.ArrayLike
    ys: npt.ArrayLike
    color: str
    name: str = ""
    kind: str = "line"
    low: npt.ArrayLike | None = None
    high: npt.ArrayLike | None = None
    faint: bool = False
    width: float = 1.8


@dataclass(frozen=True)
class Label:
    """Words at a point of the plot; `shift` moves them in pixels of the page."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    shift: Point = (0.0, 0.0)


@dataclass(frozen=True)
class Figure:
    """A plot. `rules` are x of dotted vertical lines; `square` makes the plot area one; `notes` stand below."""

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    labels: tuple[Label, ...] = ()
    rules: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    square: bool = False
    size: tuple[int, int] = (640, 440)


# ---- marks: what a page holds, in pixels from its top-left corner ---------------------------------------------------


@dataclass(frozen=True)
class Line:
    points: tuple[Point, ...]
    color: str
    width: float = 1.0
    dashed: bool = False
    opacity: float = 1.0


@dataclass(frozen=True)
class Area:
    points: tuple[Point, ...]
    color: str
    opacity: float


@dataclass(frozen=True)
class Disc:
    centre: Point
    radius: float
    color: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Words:
    """`place` is on the base line: its begin, middle or end by `anchor`. `turned` reads upwards."""

    place: Point
    text: str
    color: str = INK
    size: float = FONT
    anchor: str = "start"
    turned: bool = False


Mark = Line | Area | Disc | Words


def text_width(text: str, size: float = FONT) -> float:
    """About how wide words are in a sans-serif font."""
    return 0.56 * size * len(text)


def on_white(color: str) -> str:
    """The colour, darkened until it can be seen on white paper."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    while 1.05 / (_luminance(rgb) + 0.05) < CONTRAST:
        rgb = rgb * 0.97
    return "#" + "".join(f"{round(255 * value):02X}" for value in rgb)


def _luminance(rgb: npt.NDArray[np.float64]) -> float:
    """Relative luminance of WCAG 2.2."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class Place:
    """Where the values of a figure lie: its scales, and the corners of the plot area."""

    x: Scale
    y: Scale
    left: float
    top: float
    right: float
    bottom: float
    down: bool

    def at(self, x: float, y: float) -> Point:
        across, up = self.x.fraction(x), self.y.fraction(y)
        up = 1 - up if self.down else up
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def finite(curve: Curve, figure: Figure) -> npt.NDArray[np.float64]:
    """(N, 2) points of a curve, NaN where there is nothing to draw."""
    points = np.stack([np.asarray(curve.xs, float), np.asarray(curve.ys, float)], axis=1)
    for column, axis in enumerate((figure.x, figure.y)):
        bad = ~np.isfinite(points[:, column]) | (axis.log & (points[:, column] <= TINY))
        points[bad] = np.nan
    return points


def scales(figure: Figure, dots: tuple[int, int]) -> tuple[Scale, Scale] | None:
    """Scales that hold all points and bands; None when there is no point."""
    points = [finite(curve, figure) for curve in figure.curves]
    xs = np.concatenate([np.zeros(0), *(p[:, 0] for p in points)])
    bands = [np.asarray(b, float) for c in figure.curves for b in (c.low, c.high) if b is not None]
    ys = np.concatenate([np.zeros(0), *(p[:, 1] for p in points), *bands])
    if np.isnan(xs).all():
        return None
    found = []
    for axis, values, count in zip((figure.x, figure.y), (xs, ys), dots, strict=True):
        values = values[np.isfinite(values) & ((values > TINY) | (not axis.log))]
        if axis.limits is None:
            least = min(0.0, float(values.min())) if axis.from_zero else float(values.min())
            low, high = _margin(*spread(least, float(values.max()), axis.log), axis.log)
        else:
            low, high = axis.limits
        found.append(Scale(low, high, count, axis.log))
    return found[0], found[1]


def _margin(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        factor = (high / low) ** 0.04
        return low / factor, high * factor
    room = 0.04 * (high - low)
    return (low - room if low else low), high + room


def layout(figure: Figure) -> list[Mark]:
    """All marks of a figure in the order to draw them."""
    width, height = figure.size
    found = scales(figure, (width, height))
    legend, legend_height = _legend(figure)
    title = Words((width / 2, 22), figure.title, size=FONT + 2, anchor="middle")
    if found is None:
        middle = (width / 2, height / 2)
        return [title, Words(middle, "nothing to show", GREY, anchor="middle"), *_notes(figure)]
    place = _place(figure, found, 34 + legend_height)
    return [
        *_frame(figure, place),
        *(mark for curve in figure.curves for mark in _band(curve, figure, place)),
        *(mark for curve in figure.curves for mark in _curve(curve, figure, place)),
        *(_label(label, place) for label in figure.labels),
        title,
        *legend,
        *_notes(figure),
    ]


def _place(figure: Figure, found: tuple[Scale, Scale], top: float) -> Place:
    width, height = figure.size
    bottom: float = height - (48 if figure.x.shown else 10) - 16 * len(figure.notes)
    gutter = 14.0
    if figure.y.shown:
        gutter = 36 + max(text_width(text) for _, text in _y_ticks(found[1], bottom - top))
    left, right = gutter, float(width - 18)
    if figure.square:
        side = min(right - left, bottom - top)
        left = (left + right - side) / 2
        right, bottom = left + side, top + side
    return Place(*found, left, top, right, bottom, figure.y.down)


def _y_ticks(scale: Scale, height: float) -> list[tuple[float, str]]:
    return ticks(scale, max(2, int(height // 45)))


def _frame(figure: Figure, place: Place) -> Iterator[Mark]:
    """Grid, axes, numbers and their labels."""
    low, high = place.y.low, place.y.high
    if place.down:
        low, high = high, low
    if figure.x.shown:
        for value, text in ticks(place.x, max(2, int((place.right - place.left) // 70))):
            x, y = place.at(value, low)
            yield Line(((x, place.top), (x, y)), GRID)
            yield Line(((x, y), (x, y + 4)), INK)
            yield Words((x, y + 18), text, anchor="middle")
        yield Words(((place.left + place.right) / 2, place.bottom + 37), figure.x.label, anchor="middle")
        yield Line(((place.left, place.bottom), (place.right, place.bottom)), INK)
    if figure.y.shown:
        listed = _y_ticks(place.y, place.bottom - place.top)
        for value, text in listed:
            x, y = place.at(place.x.low, value)
            yield Line(((x, y), (place.right, y)), GRID)
            yield Line(((x - 4, y), (x, y)), INK)
            yield Words((x - 8, y + 4), text, anchor="end")
        side = place.left - 16 - max(text_width(text) for _, text in listed)
        yield Words((side, (place.top + place.bottom) / 2), figure.y.label, anchor="middle", turned=True)
        yield Line(((place.left, place.top), (place.left, place.bottom)), INK)
    for value in figure.rules:
        if place.x.low <= value <= place.x.high:
            yield Line((place.at(value, low), place.at(value, high)), GREY, dashed=True)


def runs(points: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    """The pieces of a curve between its breaks."""
    broken = np.flatnonzero(np.isnan(points).any(axis=1))
    yield from (piece[~np.isnan(piece).any(axis=1)] for piece in np.split(points, broken))


def _curve(curve: Curve, figure: Figure, place: Place) -> Iterator[Mark]:
    color, opacity = on_white(curve.color), 0.45 if curve.faint else 1.0
    for piece in runs(finite(curve, figure)):
        inside = [place.at(x, y) for x, y in piece.tolist()]
        if curve.kind == "dots" or len(inside) == 1:
            yield from (Disc(point, 2.2 if curve.faint else 3, color, opacity) for point in inside)
        elif inside:
            yield Line(tuple(inside), color, curve.width, curve.kind == "dashed", opacity)


def _band(curve: Curve, figure: Figure, place: Place) -> Iterator[Mark]:
    if curve.low is None or curve.high is None:
        return
    sides = np.stack([np.asarray(v, float) for v in (curve.xs, curve.low, curve.high)], axis=1)
    least = place.y.low
    for piece in runs(sides):
        if len(piece) > 1:
            upper = [place.at(x, max(high, least)) for x, _, high in piece.tolist()]
            lower = [place.at(x, max(low, least)) for x, low, _ in piece.tolist()]
            yield Area((*upper, *reversed(lower)), on_white(curve.color), 0.18)


def _label(label: Label, place: Place) -> Words:
    x, y = place.at(label.x, label.y)
    return Words((x + label.shift[0], y + label.shift[1]), label.text, size=FONT - 2, anchor=label.anchor)


def _legend(figure: Figure) -> tuple[list[Mark], float]:
    """Lines of entries below the title, and their height."""
    width, _ = figure.size
    rows: list[list[tuple[Curve, float]]] = []
    left = float(width)
    for curve in (c for c in figure.curves if c.name):
        wide = 44 + text_width(curve.name)
        if left + wide > width - 20:
            rows.append([])
            left = 0
        rows[-1].append((curve, left))
        left += wide
    marks: list[Mark] = []
    for number, row in enumerate(rows):
        last, at = row[-1]
        start, y = (width - at - 44 - text_width(last.name)) / 2 + 10, 42.0 + 18 * number
        for curve, shift in row:
            x = start + shift
            marks += [*_key(curve, x, y - 4), Words((x + 30, y), curve.name)]
    return marks, 18.0 * len(rows)


def _key(curve: Curve, x: float, y: float) -> Sequence[Mark]:
    color = on_white(curve.color)
    if curve.kind == "dots":
        return [Disc((x + 12, y), 3, color)]
    return [Line(((x, y), (x + 24, y)), color, curve.width, curve.kind == "dashed")]


def _notes(figure: Figure) -> list[Mark]:
    width, height = figure.size
    first = height - 16 * len(figure.notes) + 8
    return [Words((width / 2, first + 16 * n), text, GREY, FONT - 1, "middle") for n, text in enumerate(figure.notes)]
