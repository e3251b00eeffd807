"""Sixel: pictures as six-pixel bands of characters, for terminals without kitty graphics; never inside tmux.

The whole frame is sent for each view, so few levels count: 16 greys at rest, 6 of a blurred picture while a key is
held, a palette of the picture's own for colours; fewer still when the frame would be large. It is sent in stripes of
whole rows of cells, each a picture of its own: nothing is large, and a stripe that something else interrupts harms no
other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt
from rich.style import Style
from textual.geometry import Region

from mia_tui.widgets.canvas.commands import joined
from mia_tui.widgets.canvas.graphics import CLEAR, MAX_STRING, BasePicture
from mia_tui.widgets.canvas.view import View

U8 = npt.NDArray[np.uint8]

BAND = 6
FINE = ((1, 16, 32), (1, 8, 16), (1, 4, 8))
COARSE = ((4, 6, 12), (8, 6, 12), (16, 4, 8))
"""Blur (pixels each way that are one), greys and colours, from the best; the first that is small enough is sent."""
MOST, COARSE_MOST = 2**20, 250_000
"""Characters that a frame may have. What makes a frame large is noise."""
LARGE_PIXELS = 0.75
"""Dots per image pixel from which on pixels are seen as squares: these compress better than a blur."""
KEEP, RESTORE = "\x1b7", "\x1b8"
"""Keep and restore the text cursor."""


@dataclass(frozen=True)
class Indexed:
    """A picture of palette entries: `index` (H, W) uint8, `palette` (K, 3) uint8."""

    index: U8
    palette: U8

    def part(self, top: int, bottom: int, left: int, right: int) -> "Indexed":
        return Indexed(self.index[top:bottom, left:right], self.palette)


# ---- levels ---------------------------------------------------------------------------------------------------------


def grey_levels(picture: U8, count: int) -> Indexed:
    """(H, W) in `count` levels at equal distances from black to white."""
    table = np.rint(np.arange(256) * (count - 1) / 255).astype(np.uint8)
    ramp = np.rint(np.arange(count) * 255 / (count - 1)).astype(np.uint8)
    return Indexed(table[picture], np.repeat(ramp[:, None], 3, axis=1))


def color_levels(picture: U8, count: int, palette: U8 | None = None) -> Indexed:
    """(H, W, 3) in at most `count` colours: those of `palette`, or chosen by median cut from every third pixel."""
    from PIL import Image

    if palette is None:
        sample = Image.fromarray(np.ascontiguousarray(picture[::3, ::3]))
        few = sample.quantize(count, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        palette = np.asarray(few.getpalette(), np.uint8).reshape(-1, 3)[:count]
    holder = Image.new("P", (1, 1))
    holder.putpalette(palette.reshape(-1).tolist())
    index = np.asarray(Image.fromarray(picture).quantize(palette=holder, dither=Image.Dither.NONE))
    return Indexed(np.minimum(index, len(palette) - 1).astype(np.uint8), palette)


# ---- encoding -------------------------------------------------------------------------------------------------------


def encode(picture: Indexed) -> str:
    """One sixel picture. Pixels of a last band that is not full are left as they are on the screen."""
    height, width = picture.index.shape
    used = np.flatnonzero(np.bincount(picture.index.ravel(), minlength=len(picture.palette)))
    colors = "".join(
        f"#{number};2;{';'.join(str(round(int(value) * 100 / 255)) for value in picture.palette[number])}"
        for number in used
    )
    return f'\x1bP0;1q"1;1;{width};{height}{colors}{_bands(picture.index, used)}\x1b\\'


def _bands(index: U8, used: npt.NDArray[np.intp]) -> str:
    """The bands: for each level that occurs in one, a line of characters whose six bits are the pixels of a column."""
    height, width = index.shape
    bands = -(-height // BAND)
    padded = np.full((bands * BAND, width), 255, np.uint8)
    padded[:height] = index
    stacked = padded.reshape(bands, BAND, width)
    bits = (1 << np.arange(BAND, dtype=np.uint8))[None, :, None]
    masks = np.stack([((stacked == level) * bits).sum(axis=1, dtype=np.uint8) for level in used], axis=1)
    filled: npt.NDArray[np.bool_] = np.asarray(masks.any(axis=2))
    text = _runs(masks[filled])
    lines = iter(text)
    parts = []
    for band in range(bands):
        levels = used[filled[band]]
        parts.append("$".join(f"#{level}{next(lines)}" for level in levels))
    return "-".join(parts)


def _runs(masks: U8) -> list[str]:
    """Each line of six-bit masks (N, W) as sixel characters, equal neighbours counted, nothing at the end left out."""
    count, width = masks.shape
    new = np.ones((count, width), np.bool_)
    new[:, 1:] = masks[:, 1:] != masks[:, :-1]
    starts = np.flatnonzero(new)
    lengths = np.diff(np.append(starts, count * width))
    values = masks.ravel()[starts]
    rows = starts // width
    last = np.append(rows[1:] != rows[:-1], True)
    keep = ~(last & (values == 0))
    lengths, values, rows = lengths[keep], values[keep], rows[keep]
    digits = np.searchsorted(np.array([10, 100, 1000, 10_000]), lengths, side="right") + 1
    short = lengths <= 3
    sizes = np.where(short, lengths, digits + 2)
    ends = np.cumsum(sizes)
    out = np.repeat((values + 63).astype(np.uint8), sizes)
    heads = (ends - sizes)[~short]
    out[heads] = ord("!")
    long, many = lengths[~short], digits[~short]
    for place in range(int(many.max(initial=0))):
        has = many > place
        out[heads[has] + many[has] - place] = 48 + long[has] // 10**place % 10
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rows, weights=sizes, minlength=count))]).astype(np.intp)
    whole = out.tobytes().decode("ascii")
    return [whole[a:b] for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


def at(row: int, column: int) -> str:
    """Move the text cursor to a cell of the terminal."""
    return f"\x1b[{row + 1};{column + 1}H"


def stripes(picture: Indexed, cell: tuple[int, int], region: Region) -> list[str]:
    """A picture of whole cells as pictures of a few rows each, at their places, every string below `MAX_STRING`."""
    height = cell[1]
    step = BAND // math.gcd(BAND, height)  # so many rows are whole bands
    parts = []
    for row in range(0, picture.index.shape[0] // height, step):
        parts += _stripe(picture, row, min(row + step, picture.index.shape[0] // height), height, region)
    return joined(parts)


def _stripe(picture: Indexed, first: int, end: int, height: int, region: Region) -> list[str]:
    text = encode(picture.part(first * height, end * height, 0, picture.index.shape[1]))
    if len(text) >= MAX_STRING - 64 and end - first > 1:
        return [part for row in range(first, end) for part in _stripe(picture, row, row + 1, height, region)]
    return [KEEP + at(region.y + first, region.x) + text + RESTORE]


def patches(picture: Indexed, cell: tuple[int, int], region: Region, cells: Sequence[tuple[int, int]]) -> list[str]:
    """Some cells (row, column) of a picture; neighbours in a row are one patch."""
    width, height = cell
    parts = []
    for row, first, end in _neighbours(cells):
        part = picture.part(row * height, (row + 1) * height, first * width, end * width)
        if part.index.size:
            parts.append(KEEP + at(region.y + row, region.x + first) + encode(part) + RESTORE)
    return joined(parts)


def _neighbours(cells: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    for row, column in sorted(set(cells)):
        if found and found[-1][0] == row and found[-1][2] == column:
            found[-1] = (row, found[-1][1], column + 1)
        else:
            found.append((row, column, column + 1))
    return found


def drawn(picture: BasePicture, view: View, cell: tuple[int, int], blur: int) -> U8:
    """What a view shows in the pixels of the terminal, black where there is no image.

    With a `blur` above 1 it is drawn out smoothly from fewer pixels, each the mean of what it stands for.
    """
    from PIL import Image

    width, height = cell
    shown, inside = picture.sample(view, (max(1, height // blur), max(1, width // blur)))
    framed: U8 = np.where(inside if shown.ndim == 2 else inside[..., None], shown, 0).astype(np.uint8)
    if blur == 1:
        return framed
    full = view.columns * width, view.rows * height
    return np.asarray(Image.fromarray(framed).resize(full, Image.Resampling.BILINEAR))


# ---- back end -------------------------------------------------------------------------------------------------------


class SixelGraphics:
    """The back end for sixel terminals (`Graphics` says what its methods do). `cell` is a cell's size in pixels."""

    name = "sixel"
    repairs = True

    def __init__(self, cell: tuple[int, int]) -> None:
        self._cell = cell
        self._lock = Lock()
        self._frame: tuple[BasePicture, View, Indexed] | None = None

    def base_cell(self, row: int, column: int) -> tuple[str, Style]:
        return CLEAR

    def show(self, picture: BasePicture, view: View, region: Region, *, coarse: bool) -> list[str]:
        with self._lock:
            most = COARSE_MOST if coarse else MOST
            ways = FINE
            if coarse:
                ways = ((1, *COARSE[0][1:]), *COARSE[1:]) if view.scale >= LARGE_PIXELS else COARSE
            for blur, greys, colors in ways:
                shown = drawn(picture, view, self._cell, blur)
                indexed = grey_levels(shown, greys) if shown.ndim == 2 else color_levels(shown, colors)
                strings = stripes(indexed, self._cell, region)
                if sum(map(len, strings)) < most:
                    break
            self._frame = (picture, view, indexed)
            return strings

    def repair(self, picture: BasePicture, view: View, region: Region, cells: Sequence[tuple[int, int]]) -> list[str]:
        with self._lock:
            if self._frame is None or self._frame[0] is not picture or self._frame[1] != view:
                return []
            return patches(self._frame[2], self._cell, region, cells)

    def clear(self) -> list[str]:
        with self._lock:
            self._frame = None
            return []
