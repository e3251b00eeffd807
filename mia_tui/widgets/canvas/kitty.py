"""Kitty graphics: a picture is sent once, and then shown, moved and scaled by commands of some eighty bytes.

The picture lies below the text, also below coloured backgrounds: a dialogue over the canvas hides it, a blank with the
terminal's own background lets it through. Protocol: https://sw.kovidgoyal.net/kitty/graphics-protocol/ .

What is sent is a *sheet*: the whole image or a window of it, at a density (pixels of the sheet per pixel of the image)
that is a power of two, from the pyramid below 1 and with repeated pixels above. Two to four pixels fall on a dot: of a
noisy image the averages look better than all its pixels, and cost a tenth of the bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt
from rich.style import Style
from textual.geometry import Region

from mia_tui.widgets.canvas.commands import Numbers, command, delete, joined, png, upload
from mia_tui.widgets.canvas.graphics import CLEAR, BasePicture
from mia_tui.widgets.canvas.view import View

U8 = npt.NDArray[np.uint8]

BELOW_BACKGROUNDS = -(2**30) - 1
"""The highest z at which cells with a background of their own hide the picture."""
PLACEMENT = 1
BORDER = 16
"""Transparent pixels around a sheet: the view's last cells may reach past the image."""
WHOLE = 1 << 18
"""An image of so many pixels (at the density wanted) is sent whole."""
WINDOW = 300_000
"""About how many pixels a window of an image has that is larger."""
KEPT = 6
"""Sheets of one picture that the terminal keeps."""
FINE, COARSE = 2.0, 1.0
"""At least so many pixels of a sheet per dot; at most twice as many."""


# ---- sheets ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A part of an image at a density, before or after it was sent.

    Attributes
    ----------
    top, left, bottom, right : int
        In image pixels.
    power : int
        The density is 2 ** power.
    """

    top: int
    left: int
    bottom: int
    right: int
    power: int

    @property
    def density(self) -> float:
        return 2.0**self.power

    def covers(self, view: View, size: tuple[int, int]) -> bool:
        """Whether all of the image (height, width) that the view shows lies in the window."""
        return (
            self.top <= max(0.0, view.top)
            and self.left <= max(0.0, view.left)
            and self.bottom >= min(size[0], view.top + view.height)
            and self.right >= min(size[1], view.left + view.width)
        )


def power_for(scale: float, samples: float) -> int:
    """The power of two of the least density with `samples` pixels per dot."""
    return math.ceil(math.log2(samples * scale) - 1e-9)


def window_for(view: View, size: tuple[int, int], samples: float) -> Window:
    """The window to send for a view: the whole image if it is small, else the view with a margin for panning."""
    power = power_for(view.scale, samples)
    density = 2.0**power
    height, width = size
    if height * width * density**2 <= WHOLE:
        return Window(0, 0, height, width, power)
    shown = view.height * view.width * density**2
    margin = min(1.0, max(0.1, (math.sqrt(WINDOW / shown) - 1) / 2))
    step = max(1, round(1 / density))
    dy, dx = margin * view.height, margin * view.width
    top, left = _down(max(0, view.top - dy), step), _down(max(0, view.left - dx), step)
    bottom = min(height, _down(view.top + view.height + dy, step) + step)
    right = min(width, _down(view.left + view.width + dx, step) + step)
    return Window(top, left, max(top + 1, bottom), max(left + 1, right), power)


def _down(value: float, step: int) -> int:
    return int(value // step) * step


def sheet(picture: BasePicture, window: Window, greys: int = 256) -> U8:
    """The pixels of a window with its transparent border, (H, W) or (H, W, 3).

    No pixel of the image is black, as black is what is seen through; `greys` levels are kept.
    """
    number = max(0, -window.power)
    step = 2**number
    rows = slice(window.top // step, -(-window.bottom // step))
    columns = slice(window.left // step, -(-window.right // step))
    part = picture.part(number, rows, columns)
    if greys < 256:
        part = (part // (256 // greys) * (256 // greys) + 128 // greys).astype(np.uint8)
    part = np.maximum(part, 1)
    if window.power > 0:
        part = part.repeat(2**window.power, axis=0).repeat(2**window.power, axis=1)
    border = [(BORDER, BORDER)] * 2 + [(0, 0)] * (part.ndim - 2)
    return np.pad(part, border)


def place(number: int, window: Window, view: View, size: tuple[int, int], region: Region, *, tmux: bool = False) -> str:
    """Show the part of a sheet that a view shows, in a region of the terminal; "" when the view shows nothing.

    A placement of the same picture that was there before moves.
    """
    rows = _cells(view.top, view.scale / 2, view.rows, size[0])
    columns = _cells(view.left, view.scale, view.columns, size[1])
    if rows is None or columns is None:
        return ""
    y, high = _source(view.top + 2 * rows[0] / view.scale, 2 * (rows[1] - rows[0]) / view.scale, window.top, window)
    x, wide = _source(view.left + columns[0] / view.scale, (columns[1] - columns[0]) / view.scale, window.left, window)
    full_y, full_x = _extent(window.bottom - window.top, window), _extent(window.right - window.left, window)
    y, x = max(0, y), max(0, x)
    at = f"\x1b[{region.y + rows[0] + 1};{region.x + columns[0] + 1}H"
    keys = (
        f"a=p,i={number},p={PLACEMENT},x={x},y={y},w={max(1, min(wide, full_x - x))},h={max(1, min(high, full_y - y))},"
        f"c={columns[1] - columns[0]},r={rows[1] - rows[0]},z={BELOW_BACKGROUNDS},C=1,q=2"
    )
    return at + command(keys, tmux=tmux)


def _cells(start: float, per_pixel: float, count: int, size: int) -> tuple[int, int] | None:
    """First and end cell of a view's axis where the image is; a part of a cell counts."""
    first = max(0, math.floor(-start * per_pixel + 1e-6))
    end = min(count, math.ceil((size - start) * per_pixel - 1e-6))
    return (first, end) if first < end else None


def _source(start: float, length: float, origin: int, window: Window) -> tuple[int, int]:
    """Start and length in pixels of the sheet."""
    return round((start - origin) * window.density) + BORDER, round(length * window.density)


def _extent(length: int, window: Window) -> int:
    step = max(1, round(1 / window.density))
    return -(-length // step) * round(max(1.0, window.density)) + 2 * BORDER


# ---- back end -------------------------------------------------------------------------------------------------------


class KittyGraphics:
    """The back end for terminals with kitty graphics (`Graphics` says what its methods do).

    Sheets of the present picture are kept in the terminal: a view that one of them covers costs a placement. While a
    key is held, any sheet that covers the view will do, and a missing one is sent with a quarter of the pixels.
    """

    name = "kitty"
    repairs = False

    def __init__(self, numbers: Numbers, *, tmux: bool = False) -> None:
        self._numbers, self._tmux = numbers, tmux
        self._lock = Lock()
        self._picture: BasePicture | None = None
        self._sheets: dict[int, Window] = {}
        self._shown: int | None = None

    def base_cell(self, row: int, column: int) -> tuple[str, Style]:
        return CLEAR

    def show(self, picture: BasePicture, view: View, region: Region, *, coarse: bool) -> list[str]:
        with self._lock:
            old = [] if picture is self._picture else list(self._sheets)
            if old or picture is not self._picture:
                self._sheets, self._picture = {}, picture
            number = self._covering(view, picture.size, coarse=coarse)
            strings: list[str] = []
            if number is None:
                number, strings = self._send(picture, view, coarse=coarse)
            strings.append(self._swap(number, place(
                number, self._sheets[number], view, picture.size, region, tmux=self._tmux
            )))  # fmt: skip
            return joined([*strings, *self._forget([*old, *self._surplus()])])

    def _covering(self, view: View, size: tuple[int, int], *, coarse: bool) -> int | None:
        """The sheet to show a view with; None when one must be sent."""
        wanted = power_for(view.scale, FINE)
        good = [number for number, window in self._sheets.items() if window.covers(view, size)]
        exact = [number for number in good if self._sheets[number].power == wanted]
        if exact or not coarse:
            return exact[0] if exact else None
        near = [number for number in good if abs(self._sheets[number].power - wanted) <= 2]
        return min(near, key=lambda number: abs(self._sheets[number].power - wanted), default=None)

    def _send(self, picture: BasePicture, view: View, *, coarse: bool) -> tuple[int, list[str]]:
        window = window_for(view, picture.size, COARSE if coarse else FINE)
        number = self._numbers.take()
        self._sheets[number] = window
        pixels = sheet(picture, window, greys=32 if coarse else 64)
        return number, upload(png(pixels, transparent=True), f"a=t,i={number}", tmux=self._tmux)

    def _swap(self, number: int, placed: str) -> str:
        """Show one sheet, then take the one away that was shown before."""
        before, self._shown = self._shown, number
        if before is None or before == number or before not in self._sheets:
            return placed
        return placed + command(f"a=d,d=i,i={before},p={PLACEMENT},q=2", tmux=self._tmux)

    def _surplus(self) -> list[int]:
        """The oldest sheets above the number that is kept."""
        others = [number for number in self._sheets if number != self._shown]
        return others[: max(0, len(self._sheets) - KEPT)]

    def _forget(self, numbers: Sequence[int]) -> list[str]:
        for number in numbers:
            self._sheets.pop(number, None)
            self._numbers.kept.discard(number)
        return [delete(number, tmux=self._tmux) for number in numbers]

    def repair(self, picture: BasePicture, view: View, region: Region, cells: Sequence[tuple[int, int]]) -> list[str]:
        return []

    def clear(self) -> list[str]:
        with self._lock:
            self._picture, self._shown = None, None
            return joined(self._forget(list(self._sheets)))
