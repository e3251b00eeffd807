"""The picture as terminal cells: half, quadrant, sextant and octant blocks, shades, and plain ASCII.

A block glyph divides its cell into parts of which each has one of two colours. All painters do the same: parts brighter
than the middle of the cell's range are foreground, the others background, and both are the mean of their parts. Greys
are those of the terminal's 256-colour table (24 steps), whose codes are half as long as true colours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.widgets.canvas.cells import Cells
from mia_tui.widgets.canvas.pyramid import BRAILLE_DOTS, Array, Pyramid
from mia_tui.widgets.canvas.view import View

U8 = npt.NDArray[np.uint8]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
FLAT, FLAT_COARSE = 20, 44
"""A cell whose parts differ by less than this in brightness (of 255) is painted in one colour."""
SHADES = " ░▒▓█"
ASCII_SHADES = " .:-=o#@"
"""None of them is a sign of the overlays (+ x *) or a letter that is typed."""


class Painter(Protocol):
    """Makes cells of a picture.

    Attributes
    ----------
    name : str
        What the person chooses it by.
    dots : (int, int)
        Samples per cell that `paint` wants, high and wide.
    """

    @property
    def name(self) -> str: ...

    @property
    def dots(self) -> tuple[int, int]: ...

    def paint(self, picture: U8, *, coarse: bool) -> Cells:
        """Cells of a picture (rows * high, columns * wide, 3); `coarse` for fewer bytes."""


@dataclass(frozen=True)
class Blocks:
    """Block glyphs with two colours per cell.

    `parts` (high, wide) is how a glyph divides its cell; `glyphs` are indexed by the bits of the bright parts: bit 0 is
    the upper left one, then line by line.
    """

    name: str
    dots: tuple[int, int]
    parts: tuple[int, int]
    glyphs: "npt.NDArray[np.uint32]"

    def paint(self, picture: U8, *, coarse: bool) -> Cells:
        grey = bool((picture == picture[..., :1]).all())
        parts = split(picture[..., :1] if grey else picture, self.dots, self.parts)
        light = parts[..., 0] if grey else parts @ LUMA
        low, high = light.min(axis=2), light.max(axis=2)
        bright = light > ((low + high) / 2)[..., None]
        bright &= (high - low >= (FLAT_COARSE if coarse else FLAT))[..., None]
        count = bright.sum(axis=2)[..., None]
        total, above = parts.sum(axis=2), (parts * bright[..., None]).sum(axis=2)
        levels = _grey_levels if grey else _color_levels
        fg = levels(above / np.maximum(count, 1), coarse)
        bg = levels((total - above) / np.maximum(bright.shape[2] - count, 1), coarse)
        glyph = self.glyphs[(bright << np.arange(bright.shape[2])).sum(axis=2)]
        one_color = (count[..., 0] == 0) | (fg == bg).all(axis=2)
        glyph = np.where(one_color, np.uint32(ord(" ")), glyph)
        fg = np.where(one_color[..., None], bg, fg)
        if grey:
            fg, bg = fg.repeat(3, axis=2), bg.repeat(3, axis=2)
        return Cells(glyph, fg, bg, np.zeros(glyph.shape, np.uint8))


@dataclass(frozen=True)
class Shades:
    """Characters of growing ink, for terminals without colours or without block glyphs."""

    name: str
    characters: str
    dots: tuple[int, int] = BRAILLE_DOTS

    def paint(self, picture: U8, *, coarse: bool) -> Cells:
        light = (split(picture, self.dots, (1, 1)) @ LUMA)[..., 0]
        count = len(self.characters)
        level = np.clip((light / 256 * count).astype(np.intp), 0, count - 1)
        table = np.array([ord(character) for character in self.characters], np.uint32)
        bg = np.zeros((*level.shape, 3), np.uint8)
        return Cells(table[level], np.full_like(bg, 200), bg, np.zeros(level.shape, np.uint8))


def split(picture: U8, dots: tuple[int, int], parts: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(rows, columns, parts, channels): the means of each cell's parts, line by line."""
    high, wide = dots[0] // parts[0], dots[1] // parts[1]
    rows, columns, channels = picture.shape[0] // dots[0], picture.shape[1] // dots[1], picture.shape[2]
    grid = picture.astype(np.float32).reshape(rows, parts[0], high, columns, parts[1], wide, channels)
    means: npt.NDArray[np.float32] = grid.mean(axis=(2, 5)).transpose(0, 2, 1, 3, 4)
    return means.reshape(rows, columns, parts[0] * parts[1], channels)


def _grey_levels(values: Array, coarse: bool) -> U8:
    """Black, white and the 24 greys 8, 18 … 238 of the 256-colour table; when coarse every second one."""
    step = 20 if coarse else 10
    levels = 8 + step * np.clip(np.rint((values - 8) / step), 0, 230 // step)
    levels = np.where(values < 4, 0, np.where(values >= 247, 255, levels))
    return levels.astype(np.uint8)


def _color_levels(values: Array, coarse: bool) -> U8:
    """32 levels per channel (8 when coarse): the eye does not miss the others, and equal neighbours need no code."""
    bits = np.uint8(3 if coarse else 5)
    kept = np.clip(values + 2 ** (7 - int(bits)), 0, 255).astype(np.uint8) >> (np.uint8(8) - bits)
    whole: U8 = np.rint(kept * (255 / (2 ** int(bits) - 1))).astype(np.uint8)
    return whole


# ---- glyph tables ----------------------------------------------------------------------------------------------------


def _table(characters: str) -> "npt.NDArray[np.uint32]":
    return np.array([ord(character) for character in characters], np.uint32)


def _sextants() -> str:
    """Unicode's sextants (U+1FB00 on, in the order of their bits) leave out the four that exist elsewhere."""
    others = {0: " ", 0b010101: "▌", 0b101010: "▐", 0b111111: "█"}
    new = iter(range(0x1FB00, 0x1FB3C))
    return "".join(others[bits] if bits in others else chr(next(new)) for bits in range(64))


def _octants() -> str:
    """Unicode 16's octants (U+1CD00 on, in the order of their bits) leave out 26 that exist elsewhere."""
    halves = {0: " ", 0x0F: "▀", 0xF0: "▄", 0x55: "▌", 0xAA: "▐", 0xFF: "█"}
    quarters = {0x05: "▘", 0x0A: "▝", 0x50: "▖", 0xA0: "▗", 0xA5: "▚", 0x5A: "▞"}
    corners = {0x5F: "▛", 0xAF: "▜", 0xF5: "▙", 0xFA: "▟"}
    lines = {0x03: "\U0001fb82", 0x3F: "\U0001fb85", 0xC0: "▂", 0xFC: "▆"}
    singles = {0x01: "\U0001cea8", 0x02: "\U0001ceab", 0x40: "\U0001cea3", 0x80: "\U0001cea0"}
    middles = {0x14: "\U0001fbe6", 0x28: "\U0001fbe7"}
    others = halves | quarters | corners | lines | singles | middles
    new = iter(range(0x1CD00, 0x1CDE6))
    return "".join(others[bits] if bits in others else chr(next(new)) for bits in range(256))


PAINTERS: dict[str, Painter] = {
    "half": Blocks("half", BRAILLE_DOTS, (2, 1), _table(" ▀▄█")),
    "quadrant": Blocks("quadrant", BRAILLE_DOTS, (2, 2), _table(" ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█")),
    "sextant": Blocks("sextant", (3, 2), (3, 2), _table(_sextants())),
    "octant": Blocks("octant", BRAILLE_DOTS, (4, 2), _table(_octants())),
    "ascii": Shades("ascii", ASCII_SHADES),
}
MONO = Shades("mono", SHADES)


def painter_of(glyphs: str, *, mono: bool = False) -> Painter:
    """The painter for a set of glyphs; without colours shades take the place of blocks.

    Raises
    ------
    MiaError
        For an unknown name.
    """
    if glyphs not in PAINTERS:
        raise MiaError(f"unknown glyphs {glyphs!r}: choose one of {', '.join(PAINTERS)}")
    return MONO if mono and glyphs != "ascii" else PAINTERS[glyphs]


def paint_base(
    pyramid: Pyramid,
    view: View,
    display: Callable[[Array], U8],
    painter: Painter,
    *,
    void: tuple[int, int, int] = (0, 0, 0),
    coarse: bool = False,
) -> Cells:
    """The picture of a view without overlays.

    Parameters
    ----------
    display : function
        Maps sampled values (C, H, W) to a picture (H, W, 3) uint8.
    void : tuple
        Colour where there is no picture.
    """
    high, wide = painter.dots
    samples, inside = pyramid.sample(view, painter.dots)
    picture: Any = display(samples)
    if not inside.all():
        picture[~inside] = 0
    cells = painter.paint(picture, coarse=coarse)
    outside = ~inside.reshape(view.rows, high, view.columns, wide).any(axis=(1, 3))
    cells.glyph[outside], cells.bg[outside], cells.fg[outside] = ord(" "), void, void
    return cells
