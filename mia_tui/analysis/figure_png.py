"""A figure as PNG: the marks of the SVG file, painted by Pillow at twice the size, without jagged edges."""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mia_tui.analysis.figure import Area, Disc, Figure, Line, Point, Words, layout
from mia_tui.storage import atomic_writer

ZOOM = 2
"""Pixels of the file per pixel of the page."""
_SMOOTH = 2
"""Painted that many times larger, then made smaller."""
_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "Helvetica.ttc")
"""Searched where the system keeps its fonts; the one in Pillow has no letters beyond plain Latin."""
_PLAIN = str.maketrans({"µ": "u", "μ": "u", "²": "2", "–": "-", "−": "-", "α": "a", "σ": "s", "×": "x"})


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    with atomic_writer(path) as stream:
        paint(figure).save(stream, format="PNG")


def paint(figure: Figure) -> Image.Image:
    """The picture, `ZOOM` times the size of the page."""
    width, height = figure.size
    scale = ZOOM * _SMOOTH
    picture = Image.new("RGB", (width * scale, height * scale), "#FFFFFF")
    brush = ImageDraw.Draw(picture, "RGBA")
    words = []
    for mark in layout(figure):
        if isinstance(mark, Line):
            _line(brush, mark, scale)
        elif isinstance(mark, Area):
            brush.polygon([_big(point, scale) for point in mark.points], fill=_color(mark.color, mark.opacity))
        elif isinstance(mark, Disc):
            (x, y), radius = _big(mark.centre, scale), mark.radius * scale
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_color(mark.color, mark.opacity))
        else:
            words.append(mark)
    picture = picture.resize((width * ZOOM, height * ZOOM), Image.Resampling.BOX)
    for mark in words:  # painted at their size: the font is smooth by itself
        _write(picture, mark)
    return picture


def _line(brush: Any, mark: Line, scale: int) -> None:
    points = [_big(point, scale) for point in mark.points]
    width, color = max(1, round(mark.width * scale)), _color(mark.color, mark.opacity)
    if not mark.dashed:
        brush.line(points, fill=color, width=width, joint="curve")
        return
    for dash in _dashes(points, 5.0 * scale, 4.0 * scale):
        brush.line(dash, fill=color, width=width)


def _dashes(points: list[Point], on: float, off: float) -> list[list[Point]]:
    """Pieces of a line, `on` long with `off` between them, along all of its length."""
    corners = np.array(points)
    reached = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    pieces = []
    for start in np.arange(0, reached[-1], on + off):
        end = min(start + on, reached[-1])
        inner = reached[(reached > start) & (reached < end)]
        at = np.array([start, *inner, end])
        pieces.append([(float(np.interp(s, reached, corners[:, 0])), float(np.interp(s, reached, corners[:, 1])))
                       for s in at])  # fmt: skip
    return [piece for piece in pieces if any(a != b for a, b in pairwise(piece))]


def _write(picture: Image.Image, mark: Words) -> None:
    font, complete = _font(round(mark.size * ZOOM))
    text = mark.text if complete else mark.text.translate(_PLAIN)
    x, y = _big(mark.place, ZOOM)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
    if not mark.turned:
        ImageDraw.Draw(picture).text((x, y), text, fill=mark.color, font=font, anchor=anchor)
        return
    length, rise = round(font.getlength(text)) + 2, round(1.4 * mark.size * ZOOM)
    slip = Image.new("L", (length, rise))
    base = round(0.7 * rise)
    ImageDraw.Draw(slip).text((length / 2, base), text, fill=255, font=font, anchor="ms")
    turned = slip.transpose(Image.Transpose.ROTATE_90)
    picture.paste(mark.color, (round(x) - base, round(y - length / 2)), turned)


@lru_cache
def _font(size: int) -> tuple[Any, bool]:
    """A font, and whether it has letters beyond plain Latin."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False


def _big(point: Point, scale: int) -> Point:
    return point[0] * scale, point[1] * scale


def _color(color: str, opacity: float) -> tuple[int, int, int, int]:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, round(255 * opacity)
