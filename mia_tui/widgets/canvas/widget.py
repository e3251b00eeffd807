"""The image canvas: the visible part of a picture as terminal cells, with a pixel cursor, outlines and marks.

Sampling, colours and strips are made in a thread; the event loop only hands out finished lines. Of several wanted views
the newest wins. Moving the cursor repaints two cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.widgets.mosaic import Cells, Layer, Mark, Pyramid, View

MAX_SCALE = 32.0
MIN_SCALE = 1 / 256
CURSOR = "┼"
PLAIN = Style.null()
"""The widget's own style is put under it; Textual's filter for NO_COLOR does not accept a segment without a style."""


@dataclass(frozen=True)
class Scene:
    """Everything a view is painted from. `display` maps values (C, H, W) to a picture (H, W, 3) uint8."""

    pyramid: "Pyramid"
    display: Callable[[Any], Any]
    layers: tuple["Layer", ...] = ()
    marks: tuple["Mark", ...] = ()
    box: tuple[float, ...] | None = None


@dataclass(frozen=True)
class _Job:
    scene: Scene
    view: "View"
    void: tuple[int, int, int]
    mono: Style | None


class ImageCanvas(Widget, can_focus=True):
    """Shows a `Scene`; without one, its `hint`.

    Messages
    --------
    ImageCanvas.Moved
        The cursor or the view changed: read `cursor`, `values`, `scale_text`.
    """

    DEFAULT_CSS = """
    ImageCanvas { width: 1fr; height: 1fr; background: $background; color: $foreground; }
    """

    class Moved(Message):
        """The cursor or the view changed."""

    @dataclass
    class _Shown:
        view: "View | None" = None
        strips: list[Strip] = field(default_factory=list)

    def __init__(self, hint: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.hint = hint
        self.scene: Scene | None = None
        self.cursor = (0, 0)
        self.show_cursor = True
        self._scale: float | None = None  # None: fit
        self._center = (0.0, 0.0)
        self._painter = Newest(self, self._paint, self._painted)
        self._shown = self._Shown()

    # ---- what to show -----------------------------------------------------------------------------------------------

    def show(self, scene: Scene | None, *, keep_view: bool = True) -> None:
        """Show a scene. `keep_view` keeps zoom and place when the picture has the size of the one before."""
        old = self.scene
        self.scene = scene
        if scene is None:
            self._shown = self._Shown()
            self.refresh()
            return
        height, width = scene.pyramid.size
        if old is None or old.pyramid.size != (height, width) or not keep_view:
            self._scale = None
            self._center = (height / 2, width / 2)
            self.cursor = (height // 2, width // 2)
        self._want()

    def set_hint(self, text: str) -> None:
        """The sentence shown while there is no picture."""
        self.hint = text
        if self.scene is None:
            self.refresh()

    # ---- view -------------------------------------------------------------------------------------------------------

    @property
    def scale(self) -> float:
        """Dots (half cells) per image pixel."""
        return self._fit_scale() if self._scale is None else self._scale

    @property
    def scale_text(self) -> str:
        """The scale as a person reads it: `1:4` is four pixels per dot."""
        scale = self.scale
        ratio = f"{scale:.3g}:1" if scale >= 1 else f"1:{1 / scale:.3g}"
        return f"fit {ratio}" if self._scale is None else ratio

    @property
    def values(self) -> tuple[Any, ...]:
        """The image's own values at the cursor, one per channel."""
        if self.scene is None:
            return ()
        y, x = self.cursor
        return tuple(value.item() for value in self.scene.pyramid.plane[:, y, x])

    def zoom_fit(self) -> None:
        self._scale = None
        self._want()

    def zoom_one(self) -> None:
        """One image pixel per dot, around the cursor."""
        self._zoom_to(1.0)

    def zoom(self, direction: int) -> None:
        """To the next power of two above (1) or below (-1) the present scale, around the cursor."""
        from math import ceil, floor, log2

        power = log2(self.scale)
        power = floor(power + 1 + 1e-6) if direction > 0 else ceil(power - 1 - 1e-6)
        self._zoom_to(2.0**power)

    def _zoom_to(self, scale: float) -> None:
        self._scale = min(MAX_SCALE, max(MIN_SCALE, scale))
        self._center = (self.cursor[0] + 0.5, self.cursor[1] + 0.5)
        self._want()

    def pan(self, rows: float, columns: float) -> None:
        """Move the view by a share of its height and width; the cursor goes along."""
        view = self.view
        if view is None or self.scene is None:
            return
        dy, dx = rows * 2 * view.rows / view.scale, columns * view.columns / view.scale
        height, width = self.scene.pyramid.size
        y, x = self.cursor
        self.cursor = (_clamp(y + round(dy), height), _clamp(x + round(dx), width))
        top, left = view.top + view.rows / view.scale, view.left + view.columns / view.scale / 2
        self._center = (top + dy, left + dx)
        self._want()

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor; by one image pixel where pixels are visible, by one cell when zoomed out."""
        step_x, step_y = max(1, round(1 / self.scale)), max(1, round(2 / self.scale)) if self.scale < 1 else 1
        self.move_to(self.cursor[0] + rows * step_y, self.cursor[1] + columns * step_x)

    def move_to(self, y: float, x: float) -> None:
        """Put the cursor on an image pixel; the view follows when it is outside."""
        if self.scene is None:
            return
        height, width = self.scene.pyramid.size
        before, self.cursor = self._cursor_cell(), (_clamp(int(y), height), _clamp(int(x), width))
        after = self._cursor_cell()
        if after is None:
            self._center = (self.cursor[0] + 0.5, self.cursor[1] + 0.5)
            self._want()
            return
        for cell in {before, after} - {None}:
            if cell is not None:
                self.refresh(Region(cell[1], cell[0], 1, 1))
        self.post_message(self.Moved())

    def reveal(self, box: Sequence[float]) -> None:
        """Put the cursor into the middle of a box (min x, min y, max x, max y) and the view where it is seen whole."""
        middle = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        self.move_to(*middle)
        view = self.view
        if view is None:
            return
        rows, columns = zip(view.to_cell(box[1], box[0]), view.to_cell(box[3], box[2]), strict=True)
        if min(rows) < 1 or min(columns) < 1 or max(rows) > view.rows - 2 or max(columns) > view.columns - 2:
            self._center = middle
            self._want()

    def _fit_scale(self) -> float:
        from mia_tui.widgets.mosaic import fit_scale

        if self.scene is None or not self.size.area:
            return 1.0
        return min(MAX_SCALE, fit_scale(*self.scene.pyramid.size, self.size.height, self.size.width))

    @property
    def view(self) -> "View | None":
        """What is shown, or will be as soon as it is painted."""
        if self.scene is None or not self.size.area:
            return None
        from mia_tui.widgets.mosaic import place

        return place(*self.scene.pyramid.size, self.size.height, self.size.width, self.scale, *self._center)

    def _cursor_cell(self) -> tuple[int, int] | None:
        """(row, column) of the cursor in the view that is wanted, None outside."""
        view = self.view
        if view is None or not self.show_cursor:
            return None
        row, column = view.to_cell(self.cursor[0] + 0.5, self.cursor[1] + 0.5)
        return (row, column) if 0 <= row < view.rows and 0 <= column < view.columns else None

    # ---- painting ---------------------------------------------------------------------------------------------------

    def _want(self) -> None:
        """Ask for the present view to be painted."""
        view = self.view
        if view is not None and self.scene is not None:
            mono = self.rich_style if self.app.no_color else None
            self._painter.ask(_Job(self.scene, view, self.background_colors[1].rgb, mono))
            self.post_message(self.Moved())

    @staticmethod
    def _paint(job: "_Job") -> list[Strip]:
        from mia_tui.widgets.mosaic import paint

        scene = job.scene
        cells = paint(
            scene.pyramid, job.view, scene.display, scene.layers, scene.marks, scene.box,
            mono=job.mono is not None, void=job.void,
        )  # fmt: skip
        return strips(cells, mono=job.mono)

    def _painted(self, job: "_Job", lines: list[Strip]) -> None:
        if self.scene is not None:
            self._shown = self._Shown(job.view, lines)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self._shown.strips
        if self.scene is None or not lines:
            return self._hint_line(y)
        if y >= len(lines):
            return Strip.blank(width, PLAIN)
        strip = lines[y]
        cell = self._cursor_cell()
        if cell is not None and cell[0] == y and cell[1] < strip.cell_length:
            strip = self._with_cursor(strip, cell[1])
        return strip.adjust_cell_length(width, PLAIN)

    def _with_cursor(self, strip: Strip, column: int) -> Strip:
        under = strip.crop(column, column + 1)
        style = next((segment.style for segment in under if segment.style is not None), Style.null())
        look = Style(reverse=True, bold=self.has_focus) if self.app.no_color else _cursor_style(self.has_focus)
        cursor = Strip([Segment(CURSOR, style + look)], 1)
        return Strip.join([strip.crop(0, column), cursor, strip.crop(column + 1)])

    def _hint_line(self, y: int) -> Strip:
        from textwrap import wrap

        width, height = self.size
        parts = [wrap(part, max(10, width - 4), break_on_hyphens=False) or [""] for part in self.hint.splitlines()]
        lines = [line for part in parts for line in part]
        index = y - (height - len(lines)) // 2
        if not 0 <= index < len(lines):
            return Strip.blank(width, PLAIN)
        return Strip([Segment(lines[index].center(width)[:width], self.rich_style)], width)

    # ---- events -----------------------------------------------------------------------------------------------------

    def on_resize(self, _event: Resize) -> None:
        self._want()

    def on_focus(self) -> None:
        self._refresh_cursor()

    def on_blur(self) -> None:
        self._refresh_cursor()

    def _refresh_cursor(self) -> None:
        cell = self._cursor_cell()
        if cell is not None:
            self.refresh(Region(cell[1], cell[0], 1, 1))

    def on_click(self, event: Click) -> None:
        view = self.view
        if view is not None:
            self.move_to(*view.to_image(event.y + 0.5, event.x + 0.5))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.zoom(1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.zoom(-1)


def strips(cells: "Cells", *, mono: Style | None = None) -> list[Strip]:
    """One strip per row of cells; neighbours of equal colours share a segment. `mono` is the style without colours."""
    import numpy as np

    rows, columns = cells.glyph.shape
    weights = np.array([65536, 256, 1], np.int64)
    fg, bg = cells.fg @ weights, cells.bg @ weights
    result = []
    for row in range(rows):
        text = cells.glyph[row].astype("<u4").tobytes().decode("utf-32-le")
        if mono is not None:
            result.append(Strip([Segment(text, mono)], columns))
            continue
        changes = (bg[row, 1:] != bg[row, :-1]) | (fg[row, 1:] != fg[row, :-1])
        starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
        segments = [
            Segment(text[start:end], _style(int(fg[row, start]), int(bg[row, start])))
            for start, end in zip(starts, [*starts[1:], columns], strict=True)
        ]
        result.append(Strip(segments, columns))
    return result


@lru_cache(maxsize=16384)
def _style(fg: int, bg: int) -> Style:
    return Style(color=_color(fg), bgcolor=_color(bg))


@lru_cache(maxsize=16384)
def _color(rgb: int) -> Color:
    return Color.from_rgb(rgb >> 16, (rgb >> 8) & 255, rgb & 255)


@lru_cache
def _cursor_style(focused: bool) -> Style:
    return Style(color="#000000", bgcolor="#FFE066" if focused else "#8A8060", bold=True)


def _clamp(value: int, size: int) -> int:
    return min(max(value, 0), size - 1)
