"""Terminal cells as arrays, what differs between two sets of them, and the lines that Textual writes of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console

BOLD, REVERSE, CLEAR = 1, 2, 4
"""Bits of a cell's attributes; CLEAR is the terminal's own background, through which a picture is seen."""
BARE = 0
"""The "glyph" of a cell without overlay over a picture that a graphics back end draws."""
TRUECOLOR, TABLE = "truecolor", "256"
DEFAULT = -1
MAX_SPANS = 400
"""Above this number of changed stretches, neighbours are joined: each costs Textual time and a cursor move."""

BaseCell = Callable[[int, int], tuple[str, Style]]
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Cells:
    """A painted view, (rows, columns) each: glyphs (code points), colours (…, 3) uint8 and attributes."""

    glyph: "npt.NDArray[np.uint32]"
    fg: "npt.NDArray[np.uint8]"
    bg: "npt.NDArray[np.uint8]"
    attr: "npt.NDArray[np.uint8]"

    def copy(self) -> "Cells":
        return Cells(self.glyph.copy(), self.fg.copy(), self.bg.copy(), self.attr.copy())


def bare(rows: int, columns: int) -> Cells:
    """Cells through which a picture is seen."""
    import numpy as np

    color = np.zeros((rows, columns, 3), np.uint8)
    return Cells(np.full((rows, columns), BARE, np.uint32), color, color, np.full((rows, columns), CLEAR, np.uint8))


def differences(old: Cells | None, new: Cells, most: float = 0.5) -> list[Span] | None:
    """Stretches (row, first column, end column) that differ; None when more than a share of `most` does."""
    import numpy as np

    if old is None or old.glyph.shape != new.glyph.shape:
        return None
    other = (old.glyph != new.glyph) | (old.attr != new.attr)
    other |= (old.fg != new.fg).any(axis=2) | (old.bg != new.bg).any(axis=2)
    if other.mean() > most:
        return None
    spans: list[Span] = []
    for gap in (1, 4, 16, 10_000):
        spans = [span for row in np.flatnonzero(other.any(axis=1)) for span in _stretches(other[row], int(row), gap)]
        if len(spans) <= MAX_SPANS:
            break
    return spans


def _stretches(line: "npt.NDArray[np.bool_]", row: int, gap: int) -> Iterable[Span]:
    """Stretches of True; those at most `gap` apart are one."""
    import numpy as np

    columns = np.flatnonzero(line)
    breaks = np.flatnonzero(np.diff(columns) > gap + 1)
    firsts, lasts = np.r_[0, breaks + 1], np.r_[breaks, len(columns) - 1]
    return [(row, int(columns[a]), int(columns[b]) + 1) for a, b in zip(firsts, lasts, strict=True)]


# ---- lines -----------------------------------------------------------------------------------------------------------


class CellStrip(Strip):
    """A line that is written with as few codes as it needs: only the colour that changes is named."""

    __slots__ = ("_written",)

    def __init__(self, segments: Iterable[Segment], cell_length: int | None = None) -> None:
        super().__init__(segments, cell_length)
        self._written: str | None = None

    def crop(self, start: int, end: int | None = None) -> Strip:
        return _cell_strip(super().crop(start, end))

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        return [_cell_strip(strip) for strip in super().divide(cuts)]

    def render(self, console: "Console") -> str:
        """The line as the terminal gets it; the console's colour depth was minded when the cells were made."""
        return self.written

    @property
    def written(self) -> str:
        if self._written is None:
            self._written = _write(self)
        return self._written


def _cell_strip(strip: Strip) -> CellStrip:
    return strip if isinstance(strip, CellStrip) else CellStrip(strip, strip.cell_length)


def _write(segments: Iterable[Segment]) -> str:
    parts: list[str] = []
    attributes, fg, bg = "", "", ""
    for text, style, _control in segments:
        now_attributes, now_fg, now_bg = ("", "", "") if style is None else _codes(style)
        if text.isspace() and not now_attributes:
            now_fg = fg if fg else now_fg  # a blank shows no foreground
        codes = []
        if now_attributes != attributes or (fg and not now_fg) or (bg and not now_bg):
            codes, fg, bg = ["0", now_attributes] if now_attributes else ["0"], "", ""
        if now_fg != fg:
            codes.append(now_fg)
        if now_bg != bg:
            codes.append(now_bg)
        attributes, fg, bg = now_attributes, now_fg, now_bg
        parts.append(f"\x1b[{';'.join(codes)}m{text}" if codes else text)
    if attributes or fg or bg:
        parts.append("\x1b[0m")
    return "".join(parts)


@lru_cache(maxsize=16384)
def _codes(style: Style) -> tuple[str, str, str]:
    """SGR codes of a style: attributes, foreground, background."""
    attributes = ";".join(code for code, on in (("1", style.bold), ("7", style.reverse)) if on)
    fg = "" if style.color is None or style.color.is_default else ";".join(style.color.get_ansi_codes(True))
    back = style.bgcolor
    bg = "" if back is None or back.is_default else ";".join(back.get_ansi_codes(False))
    return attributes, fg, bg


def strips(
    cells: Cells,
    rows: Iterable[int] | None = None,
    *,
    depth: str = TRUECOLOR,
    mono: Style | None = None,
    base_cell: BaseCell | None = None,
) -> list[CellStrip]:
    """One line per row of cells (or of the `rows` wanted); neighbours of equal looks share a segment.

    Parameters
    ----------
    depth : str
        "truecolor", or "256" for the colours of the table.
    mono : Style, optional
        The style of everything where there are no colours; bold and reverse are kept.
    base_cell : function, optional
        Text and style of `BARE` cells.
    """
    fg, bg = _packed(cells.fg, depth), _packed(cells.bg, depth)
    if mono is not None:
        fg[...], bg[...] = DEFAULT, DEFAULT
    bg[(cells.attr & CLEAR) > 0] = DEFAULT
    wanted = range(len(cells.glyph)) if rows is None else rows
    return [_line(cells, fg, bg, row, mono, base_cell) for row in wanted]


def _line(cells: Cells, fg: Any, bg: Any, row: int, mono: Style | None, base_cell: BaseCell | None) -> CellStrip:
    import numpy as np

    glyph, attr = cells.glyph[row], cells.attr[row]
    columns = len(glyph)
    front = _last_seen(fg[row], glyph != ord(" "))
    changes = (bg[row, 1:] != bg[row, :-1]) | (front[1:] != front[:-1]) | (attr[1:] != attr[:-1])
    is_bare = glyph == BARE
    changes |= is_bare[1:] != is_bare[:-1]
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    text = np.where(is_bare, ord(" "), glyph).astype("<u4").tobytes().decode("utf-32-le")
    looks = zip(front[starts].tolist(), bg[row, starts].tolist(), attr[starts].tolist(), strict=True)
    segments: list[Segment] = []
    for start, end, (f, b, a) in zip(starts, [*starts[1:], columns], looks, strict=True):
        if is_bare[start] and base_cell is not None:
            segments += _bare_segments(base_cell, row, start, end)
        else:
            style = _style(f, b, a & ~CLEAR)
            segments.append(Segment(text[start:end], style if mono is None else mono + style))
    return CellStrip(segments, columns)


def _last_seen(fg: Any, seen: Any) -> Any:
    """The foregrounds, where a blank takes that of the glyph before it: it shows none."""
    import numpy as np

    last = np.maximum.accumulate(np.where(seen, np.arange(len(fg)), 0))
    return fg[last]


def _bare_segments(base_cell: BaseCell, row: int, start: int, end: int) -> list[Segment]:
    segments: list[Segment] = []
    texts: list[str] = []
    before: Style | None = None
    for column in range(start, end):
        text, style = base_cell(row, column)
        if before is not None and style != before:
            segments.append(Segment("".join(texts), before))
            texts = []
        before = style
        texts.append(text)
    segments.append(Segment("".join(texts), before))
    return segments


def _packed(colors: "npt.NDArray[np.uint8]", depth: str) -> "npt.NDArray[np.int64]":
    """One number per colour: index of the 256-colour table, or 256 + RGB."""
    import numpy as np

    red, green, blue = (colors[..., i].astype(np.int64) for i in range(3))
    grey = (red == green) & (green == blue)
    on_ramp = grey & ((red % 10 == 8) & (red <= 238))
    packed = 256 + (red << 16) + (green << 8) + blue
    packed = np.where(on_ramp, 232 + (red - 8) // 10, packed)
    packed = np.where(grey & (red == 0), 16, np.where(grey & (red == 255), 231, packed))
    if depth == TABLE:
        packed = np.where(packed < 256, packed, _nearest_in_table(red, green, blue))
    return packed


def _nearest_in_table(red: Any, green: Any, blue: Any) -> Any:
    """The nearest of the 6 x 6 x 6 cube (levels 0, 95, 135 … 255) and the 24 greys."""
    import numpy as np

    color = np.stack([red, green, blue])
    steps = np.where(color < 48, 0, np.where(color < 115, 1, (color - 35) // 40))
    cube = np.where(steps == 0, 0, 55 + 40 * steps)
    ramp = np.clip(np.rint((color.mean(axis=0) - 8) / 10), 0, 23).astype(np.int64)
    far_cube, far_grey = ((color - cube) ** 2).sum(axis=0), ((color - (8 + 10 * ramp)) ** 2).sum(axis=0)
    return np.where(far_grey <= far_cube, 232 + ramp, 16 + 36 * steps[0] + 6 * steps[1] + steps[2])


@lru_cache(maxsize=16384)
def _style(fg: int, bg: int, attr: int) -> Style:
    return Style(
        color=_color(fg),
        bgcolor=_color(bg),
        bold=True if attr & BOLD else None,
        reverse=True if attr & REVERSE else None,
    )


@lru_cache(maxsize=16384)
def _color(packed: int) -> Color | None:
    if packed == DEFAULT:
        return None
    if packed < 256:
        return Color.from_ansi(packed)
    rgb = packed - 256
    return Color.from_rgb(rgb >> 16, (rgb >> 8) & 255, rgb & 255)
