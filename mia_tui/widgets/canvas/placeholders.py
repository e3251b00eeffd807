"""Kitty pictures as text: each cell is a placeholder character that says which part of which picture it stands for.

Inside tmux a picture cannot be placed at the cursor, which tmux moves as it likes. Placeholders are text, so tmux
keeps, scrolls and repaints them; only the pixels are passed on to the terminal in front. The picture of a canvas has
always the same number and the same placeholders; a new view is new pixels.
"""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.style import Style
from textual.geometry import Region

from mia_tui.widgets.canvas.commands import Numbers, delete, png, upload
from mia_tui.widgets.canvas.graphics import CLEAR, BasePicture
from mia_tui.widgets.canvas.view import View

U8 = npt.NDArray[np.uint8]

PLACEHOLDER = "\U0010eeee"
FINE, COARSE = (8, 4), (4, 2)
"""Pixels per cell, high and wide, at rest and while a key is held."""
_RANGES = (
    "305 30D-30E 310 312 33D-33F 346 34A-34C 350-352 357 35B 363-36F 483-487 592-595 597-599 59C-5A1 5A8-5A9 5AB-5AC "
    "5AF 5C4 610-617 657-65B 65D-65E 6D6-6DC 6DF-6E2 6E4 6E7-6E8 6EB-6EC 730 732-733 735-736 73A 73D 73F-741 743 745 "
    "747 749-74A 7EB-7F1 7F3 816-819 81B-823 825-827 829-82D 951 953-954 F82-F83 F86-F87 135D-135F 17DD 193A 1A17 "
    "1A75-1A7C 1B6B 1B6D-1B73 1CD0-1CD2 1CDA-1CDB 1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC 1DD1-1DE6 1DFE 20D0-20D1 "
    "20D4-20D7 20DB-20DC 20E1 20E7 20E9 20F0 2CEF-2CF1 2DE0-2DFF A66F A67C-A67D A6F0-A6F1 A8E0-A8F1 AAB0 AAB2-AAB3 "
    "AAB7-AAB8 AABE-AABF AAC1 FE20-FE26 10A0F 10A38 1D185-1D189 1D1AA-1D1AD 1D242-1D244"
)


def _characters(ranges: str) -> str:
    pairs = [part.split("-") for part in ranges.split()]
    return "".join(chr(code) for pair in pairs for code in range(int(pair[0], 16), int(pair[-1], 16) + 1))


MARKS = _characters(_RANGES)
"""The n-th character says row or column n: marks above that no Unicode normalization touches, by the protocol."""


def cell_text(row: int, column: int) -> str:
    """A placeholder with its row and column; a blank where there is no mark for them."""
    if row >= len(MARKS) or column >= len(MARKS):
        return " "
    return PLACEHOLDER + MARKS[row] + MARKS[column]


def number_style(number: int) -> Style:
    """The foreground that carries the number of a picture, below 2^24."""
    return Style(color=Color.from_rgb(number >> 16, (number >> 8) & 255, number & 255))


def pixels(picture: BasePicture, view: View, dots: tuple[int, int], cell: tuple[int, int]) -> U8:
    """What a view shows, black (seen through) where there is no image, in the proportions of the canvas.

    The terminal keeps a picture's proportions when it fits it into its cells, which are rarely 1 to 2 exactly.
    """
    shown, inside = picture.sample(view, dots)
    shown = np.where(inside if shown.ndim == 2 else inside[..., None], np.maximum(shown, 1), 0).astype(np.uint8)
    height, width = shown.shape[:2]
    wanted = max(1, round(width * view.rows * cell[1] / (view.columns * cell[0])))
    lines = ((np.arange(wanted) + 0.5) * height / wanted).astype(np.intp)
    result: U8 = shown if wanted == height else shown[lines]
    return result


class PlaceholderGraphics:
    """The back end for kitty and Ghostty behind tmux (`Graphics` says what its methods do).

    Parameters
    ----------
    cell : (int, int)
        Width and height of a cell in pixels.
    edits : bool
        Whether the terminal can change a picture in place. Otherwise it is blank while a new one arrives.
    tmux : bool
        Whether commands must be passed through tmux.
    """

    name = "placeholders"
    repairs = False

    def __init__(self, numbers: Numbers, cell: tuple[int, int], *, edits: bool = False, tmux: bool = True) -> None:
        self._numbers, self._cell, self._edits, self._tmux = numbers, cell, edits, tmux
        self._number = numbers.take()
        self._style = number_style(self._number)
        self._sent: tuple[int, ...] | None = None
        self._lock = Lock()

    def base_cell(self, row: int, column: int) -> tuple[str, Style]:
        text = cell_text(row, column)
        return (text, self._style) if text != " " else CLEAR

    def show(self, picture: BasePicture, view: View, region: Region, *, coarse: bool) -> list[str]:
        with self._lock:
            shown = pixels(picture, view, COARSE if coarse else FINE, self._cell)
            if self._edits and coarse:
                full = pixels_size(view, self._cell)
                shown = shown.repeat(2, axis=0)[: full[0]].repeat(2, axis=1)
                shown = np.pad(shown, [(0, full[0] - len(shown)), (0, 0)] + [(0, 0)] * (shown.ndim - 2), mode="edge")
            here = (view.rows, view.columns, *shown.shape)
            in_place = self._edits and self._sent == here
            self._sent = here
            self._numbers.kept.add(self._number)
            if in_place:
                return upload(
                    png(shown, transparent=True), f"a=f,i={self._number},r=1,X=1", more="a=f", tmux=self._tmux
                )
            keys = f"a=T,U=1,i={self._number},c={view.columns},r={view.rows}"
            return upload(png(shown, transparent=True), keys, tmux=self._tmux)

    def repair(self, picture: BasePicture, view: View, region: Region, cells: Sequence[tuple[int, int]]) -> list[str]:
        return []

    def clear(self) -> list[str]:
        with self._lock:
            sent, self._sent = self._sent, None
            return [delete(self._number, tmux=self._tmux)] if sent is not None else []


def pixels_size(view: View, cell: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of `pixels` at rest."""
    width = view.columns * FINE[1]
    return max(1, round(width * view.rows * cell[1] / (view.columns * cell[0]))), width
