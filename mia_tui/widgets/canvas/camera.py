"""Where one looks: the pixel cursor, and which part of the picture the canvas shows. No Textual, no NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log2

from mia_tui.widgets.canvas.view import View, fit_scale, place

MAX_SCALE = 32.0
MIN_SCALE = 1 / 256
ROOM = 1.4
"""How much larger than a box the view is that is zoomed to it."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Camera:
    """A place to look at. Each method returns the next one.

    Attributes
    ----------
    picture : (int, int)
        Height and width of the picture in pixels.
    rows, columns : int
        Size of the canvas in cells.
    cursor : (int, int)
        The pixel (y, x) of the cursor, always inside the picture.
    center : (float, float)
        The image point (y, x) in the middle of the view, as far as the borders of the picture allow.
    fixed_scale : float, optional
        Dots (half cells) per image pixel; None while the whole picture is shown.
    """

    picture: tuple[int, int]
    rows: int
    columns: int
    cursor: tuple[int, int]
    center: Point
    fixed_scale: float | None = None

    @classmethod
    def whole(cls, picture: tuple[int, int], rows: int, columns: int) -> "Camera":
        """The whole picture with the cursor in its middle."""
        height, width = picture
        return cls(picture, rows, columns, (height // 2, width // 2), (height / 2, width / 2))

    @property
    def fitting(self) -> float:
        """The scale at which the whole picture is seen."""
        return min(MAX_SCALE, fit_scale(*self.picture, self.rows, self.columns)) if self.rows and self.columns else 1.0

    @property
    def scale(self) -> float:
        return self.fitting if self.fixed_scale is None else self.fixed_scale

    @property
    def view(self) -> View:
        return place(*self.picture, self.rows, self.columns, self.scale, *self.center)

    @property
    def all_in_view(self) -> bool:
        view = self.view
        return view.height >= self.picture[0] and view.width >= self.picture[1]

    def cell_in(self, view: View) -> tuple[int, int] | None:
        """(row, column) of the cursor in a view, None outside."""
        row, column = view.to_cell(self.cursor[0] + 0.5, self.cursor[1] + 0.5)
        return (row, column) if view.holds(row, column) else None

    # ---- cursor -----------------------------------------------------------------------------------------------------

    def pointed(self, y: float, x: float) -> "Camera":
        """The cursor on the pixel of (y, x), or the nearest one of the picture."""
        height, width = self.picture
        return replace(self, cursor=(_clamp(int(y), height), _clamp(int(x), width)))

    def stepped(self, rows: int, columns: int) -> "Camera":
        """The cursor moved by image pixels where pixels are visible, by cells when zoomed out."""
        step_x = max(1, round(1 / self.scale))
        step_y = max(1, round(2 / self.scale)) if self.scale < 1 else 1
        return self.pointed(self.cursor[0] + rows * step_y, self.cursor[1] + columns * step_x)

    def on_cursor(self) -> "Camera":
        """The view with the cursor in its middle."""
        return replace(self, center=(self.cursor[0] + 0.5, self.cursor[1] + 0.5))

    # ---- view -------------------------------------------------------------------------------------------------------

    def scaled(self, scale: float, around: Point | None = None) -> "Camera":
        """At another scale, with the cursor in the middle, or with the image point `around` where it is now."""
        fixed = min(MAX_SCALE, max(MIN_SCALE, scale))
        if around is None:
            return replace(self.on_cursor(), fixed_scale=fixed)
        view, share = self.view, self.scale / fixed
        middle = view.top + view.height / 2, view.left + view.width / 2
        center = around[0] + (middle[0] - around[0]) * share, around[1] + (middle[1] - around[1]) * share
        return replace(self, fixed_scale=fixed, center=center)

    def zoomed(self, direction: int, around: Point | None = None) -> "Camera":
        """At the next power of two above (1) or below (-1) the present scale."""
        power = log2(self.scale)
        return self.scaled(2.0 ** (floor(power + 1 + 1e-6) if direction > 0 else ceil(power - 1 - 1e-6)), around)

    def panned(self, rows: float, columns: float) -> "Camera":
        """Moved by a share of the view's height and width, the cursor with it."""
        view = self.view
        dy, dx = rows * view.height, columns * view.width
        moved = self.pointed(self.cursor[0] + round(dy), self.cursor[1] + round(dx))
        return replace(moved, center=(view.top + view.height / 2 + dy, view.left + view.width / 2 + dx))

    def zoomed_to(self, box: Sequence[float]) -> "Camera":
        """A box (min x, min y, max x, max y) fills most of the view, the cursor is in its middle."""
        middle = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        high, wide = max(1.0, box[3] - box[1]) * ROOM, max(1.0, box[2] - box[0]) * ROOM
        scale = min(MAX_SCALE, max(self.fitting, min(self.columns / wide, 2 * self.rows / high)))
        return replace(self.pointed(*middle), fixed_scale=scale, center=middle)

    def revealing(self, box: Sequence[float]) -> "Camera":
        """The cursor in the middle of a box, and the view moved to it when it is not seen whole."""
        middle = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        moved, view = self.pointed(*middle), self.view
        rows, columns = zip(view.to_cell(box[1], box[0]), view.to_cell(box[3], box[2]), strict=True)
        if min(rows) < 1 or min(columns) < 1 or max(rows) > view.rows - 2 or max(columns) > view.columns - 2:
            return replace(moved, center=middle)
        return moved


def _clamp(value: int, size: int) -> int:
    return min(max(value, 0), size - 1)
