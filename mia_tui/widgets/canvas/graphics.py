"""What a back end for real pixels (kitty, kitty placeholders, sixel) implements.

The back end draws the picture; overlays stay text. The canvas writes every cell: where an overlay is, its glyph, and
elsewhere what `base_cell` says (a blank with the terminal's default background, through which a picture below the text
is seen, or a placeholder character). The strings that `show`, `repair` and `clear` return go to the terminal through
Textual's own writer, after the cells, inside one synchronized update; each is shorter than `MAX_STRING` bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rich.style import Style
from textual.geometry import Region

from mia_tui.widgets.canvas.view import View

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mia_tui.widgets.canvas.pyramid import Pyramid

MAX_STRING = 64_000
"""Longest control string in bytes: Textual's writer takes 30 writes before it blocks, so none may be large."""

CLEAR = (" ", Style.null())
"""A blank with the terminal's own background, through which a picture below the text is seen."""


@dataclass(frozen=True, eq=False)
class BasePicture:
    """The picture without overlays. Another picture (frame, contrast, channels) is another object.

    A back end may keep what it has sent as long as it is given the same object (`is`).
    """

    pyramid: "Pyramid"
    display: Callable[[Any], Any]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in image pixels."""
        return self.pyramid.size

    def level(self, number: int) -> "npt.NDArray[np.uint8]":
        """The whole picture halved `number` times: (H, W) when it is grey, else (H, W, 3)."""
        picture: npt.NDArray[np.uint8] = _grey_if_it_is(self.display(self.pyramid.level(number)))
        return picture

    def part(self, number: int, rows: slice, columns: slice) -> "npt.NDArray[np.uint8]":
        """Some rows and columns of the picture halved `number` times: (H, W) when it is grey, else (H, W, 3)."""
        picture: npt.NDArray[np.uint8] = _grey_if_it_is(self.display(self.pyramid.level(number)[:, rows, columns]))
        return picture

    def sample(self, view: View, dots: tuple[int, int]) -> "tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]":
        """What a view shows in `dots` (high, wide) pixels per cell, from the fitting level.

        Returns the picture, (rows * high, columns * wide) or the same with a last axis of 3, and where it is (bool):
        outside the picture's border there is nothing to show.
        """
        values, inside = self.pyramid.sample(view, dots)
        return _grey_if_it_is(self.display(values)), inside


class Graphics(Protocol):
    """A back end. `show` and `repair` run in a thread, one at a time; everything else in the event loop.

    Attributes
    ----------
    name : str
        "kitty", "placeholders" or "sixel".
    repairs : bool
        Whether a character written over the picture leaves a hole when it is gone (sixel). Then the canvas calls
        `repair` for the cells it has just written blank.
    """

    name: str
    repairs: bool

    def base_cell(self, row: int, column: int) -> tuple[str, Style]:
        """Text and style of a cell of the canvas without overlay, one column wide.

        It depends on nothing but the place; the canvas keeps the answer.
        """

    def show(self, picture: BasePicture, view: View, region: Region, *, coarse: bool) -> list[str]:
        """Control strings that show `view` of `picture` in `region`, in place of what this back end showed before.

        Parameters
        ----------
        picture : BasePicture
            What to show. The view may reach past its borders: there nothing is drawn.
        view : View
            Which part, `view.rows` x `view.columns` cells.
        region : Region
            Where the canvas is on the terminal, in cells from the top-left corner (0, 0).
        coarse : bool
            A key is held: fewer bytes matter more than a good picture; the good one follows.
        """

    def repair(self, picture: BasePicture, view: View, region: Region, cells: Sequence[tuple[int, int]]) -> list[str]:
        """Control strings that draw the picture again in some cells (row, column) of the canvas."""

    def clear(self) -> list[str]:
        """Control strings that take the picture away and free what the terminal keeps; `show` starts anew."""


def _grey_if_it_is(picture: Any) -> Any:
    """(H, W) of a picture (H, W, 3) whose channels are all the same."""
    first = picture[..., 0]
    return first if (picture == first[..., None]).all() else picture
