"""Pictures as terminal cells: a zoom pyramid, quadrant blocks for pixels, braille dots for outlines. NumPy only.

A *dot* is half a cell: one column wide, half a line high, which is about square. The *scale* of a view is dots per
image pixel. Pixels are sampled on the braille grid (2 x 4 samples per cell): a cell carries more than its two dots.
Imported when the first image is shown, never at start-up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

QUADRANTS = np.array([ord(c) for c in " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"], np.uint32)
"""Glyph for the bits 1 upper left, 2 upper right, 4 lower left, 8 lower right."""
SHADES = np.array([ord(c) for c in " ░▒▓█"], np.uint32)
BRAILLE = 0x2800
BRAILLE_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
FLAT = 20
"""A cell whose samples differ by less than this in brightness (of 255) is painted in one colour."""
UNDER_LINE = 0.6
"""Brightness that a cell keeps behind an outline, so that the line stands out on bright objects."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class View:
    """Which part of a picture is shown: `rows` x `columns` cells, top-left corner (pixels), dots per pixel."""

    rows: int
    columns: int
    top: float
    left: float
    scale: float

    def to_cell(self, y: float, x: float) -> tuple[int, int]:
        """(row, column) of the cell that shows the image point (y, x); may lie outside the view."""
        return int((y - self.top) * self.scale // 2), int((x - self.left) * self.scale // 1)

    def to_image(self, row: float, column: float) -> tuple[float, float]:
        """(y, x) in image pixels of a place given in cells."""
        return self.top + 2 * row / self.scale, self.left + column / self.scale


def fit_scale(height: int, width: int, rows: int, columns: int) -> float:
    """The largest scale at which the whole picture is seen."""
    return min(columns / max(1, width), 2 * rows / max(1, height))


def place(height: int, width: int, rows: int, columns: int, scale: float, y: float, x: float) -> View:
    """The view at `scale` with (y, x) in its middle as far as the borders allow; a small picture is centred."""

    def start(size: int, shown: float, middle: float) -> float:
        return (size - shown) / 2 if shown >= size else min(max(middle - shown / 2, 0.0), size - shown)

    top = start(height, 2 * rows / scale, y)
    return View(rows, columns, top, start(width, columns / scale, x), scale)


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
        if number == 0:
            return self.plane
        if number not in self.levels:
            self.levels[number] = halve(self.level(number - 1))
        return self.levels[number]

    def sample(self, view: View) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Values (C, 4 rows, 2 columns) on the braille grid of `view`, and where the picture is (bool)."""
        height, width = self.size
        step = 0.5 / view.scale
        number = max(0, int(np.floor(np.log2(step)))) if step > 1 else 0
        number = min(number, max(0, int(np.log2(max(1, min(height, width)))) - 1))
        ys = view.top + (np.arange(4 * view.rows) + 0.5) * step
        xs = view.left + (np.arange(2 * view.columns) + 0.5) * step
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


@dataclass(frozen=True)
class Outlines:
    """Outlines of the objects of one frame, ready to draw.

    Attributes
    ----------
    segments : array, (N, 4) float32
        x0, y0, x1, y1 of each line in pixel-corner coordinates.
    owner : array, (N,) int
        Index of the object that each line belongs to.
    boxes : array, (K, 4) float32
        min x, min y, max x, max y of each object.
    """

    segments: npt.NDArray[np.float32]
    owner: npt.NDArray[np.intp]
    boxes: npt.NDArray[np.float32]


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
class Layer:
    """Outlines with their looks: a colour per object (K, 3) uint8, whether dashed (K,), whether shown (K,)."""

    outlines: Outlines
    colors: U8
    dashed: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mark:
    """A short text at an image point (y, x), e.g. the id of an object; `color` is (red, green, blue)."""

    y: float
    x: float
    text: str
    color: tuple[int, int, int] = (255, 255, 255)


@dataclass(frozen=True)
class Cells:
    """A painted view: per cell a glyph (code point), foreground and background (…, 3) uint8."""

    glyph: npt.NDArray[np.uint32]
    fg: U8
    bg: U8
    lined: npt.NDArray[np.bool_]
    """Cells that an outline passes through."""


def paint(
    pyramid: Pyramid,
    view: View,
    display: Callable[[Array], U8],
    layers: Sequence[Layer] = (),
    marks: Sequence[Mark] = (),
    box: Sequence[float] | None = None,
    *,
    mono: bool = False,
    void: tuple[int, int, int] = (0, 0, 0),
) -> Cells:
    """Draw a view.

    Parameters
    ----------
    display : function
        Maps sampled values (C, H, W) to a picture (H, W, 3) uint8.
    marks : sequence of Mark
        Texts written over everything else, each starting at its point.
    box : (min x, min y, max x, max y), optional
        Pixels to put bracket corners around, the sign of the chosen object.
    mono : bool
        No colour: shades `░▒▓█` for the picture, braille for outlines.
    void : tuple
        Colour where there is no picture.
    """
    samples, inside = pyramid.sample(view)
    picture = display(samples)
    picture[~inside] = void
    quarters = _quarters(picture, view)
    cells = _shade(quarters) if mono else _quadrants(quarters)
    outside = ~inside.reshape(view.rows, 4, view.columns, 2).any(axis=(1, 3))
    cells.glyph[outside], cells.bg[outside], cells.fg[outside] = ord(" "), void, void
    for layer in layers:
        _draw(cells, view, layer, mono=mono)
    if box is not None:
        _bracket(cells, view, box)
    for mark in marks:
        row, column = view.to_cell(mark.y, mark.x)
        write(cells, row, column, mark.text, mark.color)
    return cells


def write(cells: Cells, row: int, column: int, text: str, color: tuple[int, int, int]) -> None:
    """Put characters into a row of cells, in place; what lies outside is left out."""
    rows, columns = cells.glyph.shape
    if not 0 <= row < rows:
        return
    for offset, character in enumerate(text):
        at = column + offset
        if 0 <= at < columns:
            cells.glyph[row, at] = ord(character)
            cells.fg[row, at] = color
            cells.bg[row, at] = (cells.bg[row, at] * UNDER_LINE).astype(np.uint8)


def _bracket(cells: Cells, view: View, box: Sequence[float]) -> None:
    white = (255, 255, 255)
    top, left = view.to_cell(box[1], box[0])
    bottom, right = view.to_cell(box[3], box[2])
    for row, column, text in (
        (top - 1, left - 1, "┌─"),
        (top - 1, right, "─┐"),
        (bottom + 1, left - 1, "└─"),
        (bottom + 1, right, "─┘"),
    ):
        write(cells, row, column, text, white)


def _quarters(picture: U8, view: View) -> npt.NDArray[np.float32]:
    """(rows, columns, 4, 3): the four quarters of each cell, from 2 x 4 samples (two below each other are averaged)."""
    grid = picture.astype(np.float32).reshape(view.rows, 2, 2, view.columns, 2, 3).mean(axis=2)
    quarters: npt.NDArray[np.float32] = grid.transpose(0, 2, 1, 3, 4).reshape(view.rows, view.columns, 4, 3)
    return quarters


def _quadrants(quarters: npt.NDArray[np.float32]) -> Cells:
    """Two colours and a quadrant glyph per cell: quarters brighter than the middle are foreground."""
    light = quarters @ LUMA
    low, high = light.min(axis=2), light.max(axis=2)
    bright = light > ((low + high) / 2)[..., None]
    bright &= (high - low >= FLAT)[..., None]
    count = bright.sum(axis=2)[..., None]
    foreground = (quarters * bright[..., None]).sum(axis=2) / np.maximum(count, 1)
    background = (quarters * ~bright[..., None]).sum(axis=2) / np.maximum(4 - count, 1)
    glyph = QUADRANTS[(bright * np.array([1, 2, 4, 8])).sum(axis=2)]
    fg, bg = _fewer_levels(foreground), _fewer_levels(background)
    fg = np.where(count == 0, bg, fg)
    return Cells(glyph, fg, bg, np.zeros(glyph.shape, np.bool_))


def _fewer_levels(colors: Array) -> U8:
    """32 levels per channel: the eye does not miss the others, and equal neighbours need no new colour code."""
    five_bits = np.clip(colors + 4, 0, 255).astype(np.uint8) >> np.uint8(3)
    levels: U8 = (five_bits << np.uint8(3)) | (five_bits >> np.uint8(2))
    return levels


def _shade(quarters: npt.NDArray[np.float32]) -> Cells:
    light = (quarters @ LUMA).mean(axis=2)
    level = np.clip((light / 256 * len(SHADES)).astype(np.intp), 0, len(SHADES) - 1)
    nothing = np.zeros((*level.shape, 3), np.uint8)
    return Cells(SHADES[level], nothing, nothing.copy(), np.zeros(level.shape, np.bool_))


def _draw(cells: Cells, view: View, layer: Layer, *, mono: bool) -> None:
    """Draw outlines as braille dots over the cells, in place."""
    rows, columns = cells.glyph.shape
    y, x, owner = dots(layer, view)
    if not len(y):
        return
    cell = (y // 4) * columns + x // 2
    bits = np.zeros(rows * columns, np.uint8)
    np.bitwise_or.at(bits, cell, BRAILLE_BITS[y % 4, x % 2])
    touched = np.flatnonzero(bits)
    owners = np.zeros(rows * columns, np.intp)
    owners[cell] = owner
    glyph, fg, bg = cells.glyph.reshape(-1), cells.fg.reshape(-1, 3), cells.bg.reshape(-1, 3)
    lined = cells.lined.reshape(-1)
    old = np.where(lined[touched], glyph[touched] - BRAILLE, 0).astype(np.uint32)
    if not mono:
        fresh = touched[~lined[touched]]
        mixed = (fg[fresh].astype(np.float32) + bg[fresh]) / 2 * UNDER_LINE
        bg[fresh] = _fewer_levels(mixed)
        fg[touched] = layer.colors[owners[touched]]
    glyph[touched] = BRAILLE + (bits[touched] | old)
    lined[touched] = True


def dots(layer: Layer, view: View) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Braille dots (y, x) inside the view that the outlines of a layer pass, and the object of each."""
    outlines = layer.outlines
    per_pixel = 2 * view.scale
    height, width = 4 * view.rows, 2 * view.columns
    lines = (outlines.segments - np.array([view.left, view.top] * 2, np.float32)) * np.float32(per_pixel)
    x_low, x_high = np.minimum(lines[:, 0], lines[:, 2]), np.maximum(lines[:, 0], lines[:, 2])
    y_low, y_high = np.minimum(lines[:, 1], lines[:, 3]), np.maximum(lines[:, 1], lines[:, 3])
    seen = (x_high >= 0) & (x_low <= width) & (y_high >= 0) & (y_low <= height) & layer.shown[outlines.owner]
    lengths = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    way = np.cumsum(lengths) - lengths
    lines, owner, way = lines[seen], outlines.owner[seen], way[seen]
    steps = np.ceil(np.maximum(np.abs(lines[:, 2] - lines[:, 0]), np.abs(lines[:, 3] - lines[:, 1]))).astype(np.intp)
    steps = np.maximum(steps, 1)
    which = np.repeat(np.arange(len(lines)), steps)
    share = (np.arange(len(which)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[which]
    x = np.floor(lines[which, 0] + share * (lines[which, 2] - lines[which, 0])).astype(np.intp)
    y = np.floor(lines[which, 1] + share * (lines[which, 3] - lines[which, 1])).astype(np.intp)
    # An outline along the right or lower border of the picture lies one dot outside: draw it on the last one.
    x, y = np.where(x == width, width - 1, x), np.where(y == height, height - 1, y)
    keep = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    position = way[which] + share * lengths[seen][which]
    keep &= ~layer.dashed[owner[which]] | (position % 5 < 3)
    return y[keep], x[keep], owner[which][keep]
