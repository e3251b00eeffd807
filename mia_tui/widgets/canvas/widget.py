"""The canvas as a Textual widget: view, cursor, mouse, and the frames that a thread makes.

Sampling, colours and lines are made in a thread; the event loop only hands out finished lines. Of several wanted frames
the newest wins. Moving the cursor repaints two cells; a changed overlay repaints the cells that differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from rich.style import Style
from textual.events import Hide, MouseDown, MouseEvent, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp, Resize, Show
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from mia_tui.widgets.canvas.camera import Camera
from mia_tui.widgets.canvas.cells import TABLE, TRUECOLOR, CellStrip
from mia_tui.widgets.canvas.corner import Corner, corner_of
from mia_tui.widgets.canvas.graphics import Graphics
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.view import View
from mia_tui.widgets.canvas.wire import Wire, Wired
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.widgets.canvas.drawing import Drawing
    from mia_tui.widgets.canvas.frame import Frame, Job, Palette, Studio

CURSOR, ASCII_CURSOR = "┼", "+"
PLAIN = Style.null()
HELD_S, QUIET_S = 0.1, 0.15
"""Two changes of the view closer than the first are a held key; so long after it the picture is refined."""
HEAVY = 8_000
"""Bytes from which on a frame is waited for before the next one is sent."""

Place = tuple[int, int]


class ImageCanvas(Widget, can_focus=True):
    """Shows a `Scene`; without one, its `hint`.

    Parameters
    ----------
    hint : str
        The sentence shown while there is no picture.
    glyphs : str
        How cells show the picture: "half", "quadrant", "sextant", "octant" or "ascii".
    graphics : Graphics, optional
        A back end that draws the picture in real pixels; cells then carry only what lies over it.
    depth : str, optional
        "truecolor" or "256"; otherwise what Textual has found out.

    Messages
    --------
    ImageCanvas.Moved
        The cursor or the view changed: read `cursor`, `values`, `scale_text`.
    ImageCanvas.Pointed
        A mouse button was pressed and released on one place.
    ImageCanvas.Dragged
        The mouse moves with a button pressed.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    ImageCanvas { width: 1fr; height: 1fr; background: $background; color: $foreground; }
    """

    class Moved(Message):
        """The cursor or the view changed."""

    @dataclass
    class Pointed(Message):
        """A click at an image point (pixels, as fine as the terminal tells). The cursor is there already."""

        y: float
        x: float
        button: int
        shift: bool
        ctrl: bool

    @dataclass
    class Dragged(Message):
        """The way of the mouse so far, `(y, x)` in image pixels; `done` when the button was released."""

        points: tuple[tuple[float, float], ...]
        done: bool
        button: int = 1
        shift: bool = False
        ctrl: bool = False

    def __init__(
        self,
        hint: str = "",
        *,
        glyphs: str = "quadrant",
        graphics: Graphics | None = None,
        depth: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.hint = hint
        self.glyphs = glyphs
        self.depth = depth
        self.graphics = graphics
        self.scene: Scene | None = None
        self.show_cursor = True
        self.show_map = True
        self._camera = Camera.whole((1, 1), 0, 0)
        self._painter: Newest[Job, Frame] = Newest(self, _make, self._painted)
        self._studio: Studio | None = None
        self._frame: Frame | None = None
        self._frame_view: View | None = None
        self._drawn_cursor: Place | None = None
        self._asked: Job | None = None
        self._held = False
        self._last_change = 0.0
        self._refine: Timer | None = None
        self._drag: list[tuple[float, float]] | None = None
        self._spots: set[Place] = set()
        self._drawing: Drawing | None = None

    def on_mount(self) -> None:
        """Draw as the app's terminal can, where the maker of the canvas has not said otherwise."""
        drawing: Drawing | None = getattr(self.app, "drawing", None)
        if drawing is not None and self.graphics is None:
            self._drawing = drawing
            self.glyphs, self.depth = drawing.record.glyphs, self.depth or drawing.depth
            drawing.canvases.add(self)
            if drawing.record.painter == "placeholders":
                self.styles.margin = (0, 1, 0, 0)  # tmux gives marks in its last column to the column before

    # ---- what to show -----------------------------------------------------------------------------------------------

    def show(self, scene: Scene | None, *, keep_view: bool = True) -> None:
        """Show a scene. `keep_view` keeps zoom and place when the picture has the size of the one before.

        What is the same object as in the scene before is not painted again.
        """
        old = self.scene
        self.scene = scene
        if scene is None:
            self._forget()
            return
        height, width = scene.pyramid.size
        if old is None or old.pyramid.size != (height, width) or not keep_view:
            self._camera = Camera.whole((height, width), self.size.height, self.size.width)
        self._want()

    def set_hint(self, text: str) -> None:
        """The sentence shown while there is no picture."""
        self.hint = text
        if self.scene is None:
            self.refresh()

    def repaint(self) -> None:
        """Show everything anew: the terminal has lost the picture, or shows other things now."""
        self._forget()
        self._want()

    def _forget(self) -> None:
        """Take the picture away."""
        if self._studio is not None:
            self._send(self._studio.clear(), heavy=False)
        self._studio = self._frame = self._frame_view = self._asked = self._drawn_cursor = None
        self.refresh()

    # ---- view -------------------------------------------------------------------------------------------------------

    @property
    def camera(self) -> Camera:
        """Where one looks now. Without a picture it looks at nothing."""
        rows, columns = self.size.height, self.size.width
        if (self._camera.rows, self._camera.columns) != (rows, columns):
            self._camera = replace(self._camera, rows=rows, columns=columns)
        return self._camera

    @property
    def cursor(self) -> Place:
        """The image pixel (y, x) under the cursor."""
        return self._camera.cursor

    @property
    def scale(self) -> float:
        """Dots (half cells) per image pixel."""
        return self.camera.scale if self.scene is not None else 1.0

    @property
    def scale_text(self) -> str:
        """The scale as a person reads it: `1:4` is four pixels per dot."""
        scale = self.scale
        ratio = f"{scale:.3g}:1" if scale >= 1 else f"1:{1 / scale:.3g}"
        return f"fit {ratio}" if self._camera.fixed_scale is None else ratio

    @property
    def values(self) -> tuple[Any, ...]:
        """The image's own values at the cursor, one per channel."""
        if self.scene is None:
            return ()
        y, x = self.cursor
        return tuple(value.item() for value in self.scene.pyramid.plane[:, y, x])

    @property
    def view(self) -> View | None:
        """What is shown, or will be as soon as it is painted."""
        return self.camera.view if self.scene is not None and self.size.area else None

    def zoom_fit(self) -> None:
        self._look(replace(self.camera, fixed_scale=None))

    def zoom_one(self) -> None:
        """One image pixel per dot, around the cursor."""
        self._look(self.camera.scaled(1.0))

    def zoom(self, direction: int, around: tuple[float, float] | None = None) -> None:
        """To the next power of two above (1) or below (-1) the present scale.

        The cursor comes into the middle; or the image point `around` (y, x) stays where it is on the screen.
        """
        self._look(self.camera.zoomed(direction, around if self.view is not None else None))

    def zoom_to(self, box: Sequence[float]) -> None:
        """Zoom until a box (min x, min y, max x, max y) fills most of the view; the cursor goes into its middle."""
        if self.view is not None:
            self._look(self.camera.zoomed_to(box))

    def pan(self, rows: float, columns: float) -> None:
        """Move the view by a share of its height and width; the cursor goes along."""
        if self.view is not None:
            self._look(self.camera.panned(rows, columns))

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor; by one image pixel where pixels are visible, by one cell when zoomed out."""
        self.move_to(*self.camera.stepped(rows, columns).cursor)

    def move_to(self, y: float, x: float) -> None:
        """Put the cursor on an image pixel; the view follows when it is outside."""
        if self.scene is None:
            return
        corner, camera = self._corner(), self.camera.pointed(y, x)
        if self.show_cursor and self.size.area and camera.cell_in(camera.view) is None:
            self._look(camera.on_cursor())
            return
        self._camera = camera
        self._place_cursor()
        if corner != self._corner():
            self._want()
        else:
            self.post_message(self.Moved())

    def reveal(self, box: Sequence[float]) -> None:
        """Put the cursor into the middle of a box (min x, min y, max x, max y) and the view where it is seen whole."""
        if self.scene is None:
            return
        camera = self.camera.revealing(box) if self.size.area else self.camera
        if camera.center != self.camera.center:
            self._look(camera)
        else:
            self.move_to((box[1] + box[3]) / 2, (box[0] + box[2]) / 2)

    def toggle_map(self) -> None:
        """Show or hide the small map of the whole picture; it is only there when not all of it is in view."""
        self.show_map = not self.show_map
        self._want()

    def _look(self, camera: Camera) -> None:
        self._camera = camera
        self._want()

    def _cursor_cell(self) -> Place | None:
        """(row, column) of the cursor in the view that is wanted, None outside."""
        view = self.view
        return None if view is None else self._cell_in(view)

    def _cell_in(self, view: View) -> Place | None:
        return self._camera.cell_in(view) if self.show_cursor else None

    def _corner(self) -> Corner | None:
        """Where the map is, when there is one."""
        if not self.show_map or self.view is None or self.camera.all_in_view:
            return None
        return corner_of(self.camera, self._cursor_cell())

    # ---- painting ---------------------------------------------------------------------------------------------------

    @property
    def _wire(self) -> Wire | None:
        app: Any = self.app
        return app.wire if isinstance(app, Wired) else None

    def _want(self, *, refined: bool = False) -> None:
        """Ask for the present view to be painted, when what is on its way to the terminal has arrived."""
        wire = self._wire
        view = self.view
        if view is None or self.scene is None:
            return
        if not refined:
            self.post_message(self.Moved())
        if wire is not None and wire.busy and self._is_heavy(view):
            self._note_change(refined)
            wire.when_free(self, self._ask)
            return
        if self._is_heavy(view):
            self._note_change(refined)
        self._ask()

    def _is_heavy(self, view: View) -> bool:
        """Whether more than overlays differ from what was asked for last."""
        asked = self._asked
        return asked is None or asked.view != view or not asked.scene.same_picture(self.scene)

    def _note_change(self, refined: bool) -> None:
        """A key that is held brings coarse pictures; the good one comes when it is released."""
        now = monotonic()
        self._held = not refined and now - self._last_change < HELD_S
        self._last_change = now
        if self._refine is not None:
            self._refine.stop()
            self._refine = None
        if self._held:
            self._refine = self.set_timer(QUIET_S, self._refined)

    def _refined(self) -> None:
        self._held, self._refine = False, None
        wire = self._wire
        if wire is not None and wire.busy:
            wire.when_free(self, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        view = self.view
        if view is None or self.scene is None or (self._draws_pixels and not self.screen.is_current):
            return
        from mia_tui.widgets.canvas.frame import Job, Studio

        if self._studio is None:
            if self.graphics is None and self._drawing is not None:
                self.graphics = self._drawing.back_end()
            self._studio = Studio(self.graphics)
        spots, self._spots = tuple(self._spots - {self._drawn_cursor}), set()
        self._asked = Job(
            self.scene, view, self._palette(), self.region, self._held, self._corner(), spots, self._studio
        )
        self._painter.ask(self._asked)

    @property
    def _draws_pixels(self) -> bool:
        return self.graphics is not None or (self._drawing is not None and self._drawing.pixels)

    def _palette(self) -> "Palette":
        from mia_tui.widgets.canvas.frame import Palette

        depth = self.depth or (TRUECOLOR if self.app.console.color_system == "truecolor" else TABLE)
        mono = self.rich_style if self.app.no_color else None
        return Palette(self.glyphs, depth, mono, self.background_colors[1].rgb)

    def _painted(self, job: "Job", frame: "Frame") -> None:
        if self.scene is None or job.studio is not self._studio:
            self._send(job.studio.clear(), heavy=False)  # what it has made is not sent: it starts anew
            return
        self._frame, self._frame_view = frame, job.view
        if frame.changed is None:
            self.refresh()
        else:
            self._refresh_spans(frame.changed)
        self._place_cursor()
        heavy, wire = frame.size + sum(map(len, frame.pixels)) > HEAVY, self._wire
        if heavy and wire is not None:
            wire.reserve()
        if heavy or frame.pixels:
            self.call_after_refresh(self._send, frame.pixels, heavy=heavy)
            if self.graphics is not None and self.graphics.repairs:
                self.call_after_refresh(self._write_over, frame)

    def _place_cursor(self) -> None:
        """Draw the cursor where it is on the picture that is shown."""
        before, self._drawn_cursor = (
            self._drawn_cursor,
            None if self._frame_view is None else self._cell_in(self._frame_view),
        )
        if before != self._drawn_cursor:
            self._write_again(cell for cell in (before, self._drawn_cursor) if cell is not None)

    def _refresh_spans(self, spans: Iterable[tuple[int, int, int]]) -> None:
        """Write stretches (row, first column, end column) again."""
        regions = [Region(start, row, end - start, 1) for row, start, end in spans]
        if regions:
            self.refresh(*regions)

    def _write_again(self, cells: Iterable[Place]) -> None:
        places = list(cells)
        self._refresh_spans((row, column, column + 1) for row, column in places)
        if self.graphics is not None and self.graphics.repairs:
            self._spots.update(places)
            self._ask()

    def _write_over(self, frame: "Frame") -> None:
        """Write what lies over the picture again: pixels that came behind it have covered it (sixel)."""

        def write() -> None:
            cursor = self._drawn_cursor
            if frame is self._frame:
                self._refresh_spans([*frame.covered, *([] if cursor is None else [(*cursor, cursor[1] + 1)])])

        wire = self._wire
        if wire is not None:
            wire.when_free(("over", id(self)), write)

    def _send(self, strings: Sequence[str], *, heavy: bool) -> None:
        wire = self._wire
        if wire is not None and (strings or heavy):
            wire.send(strings, heavy=heavy)

    @property
    def lines(self) -> "Sequence[Strip]":
        """The picture as it was painted last, without the cursor; empty while there is none."""
        return self._frame.lines if self._frame is not None and self.scene is not None else ()

    @property
    def settled(self) -> bool:
        """Whether nothing more will change on its own: what is wanted is shown, and as well as it can be."""
        coarse = self._asked is not None and self._asked.coarse
        return not (self._painter.busy or coarse or self._refine is not None)

    # ---- lines ------------------------------------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        """The finished lines. They need none of the styles that Textual would lay over them: no border, no opacity."""
        filters = self.get_line_filters()
        background = self.background_colors[1]
        found: list[Strip] = []
        for y in crop.line_range:
            line = self.render_line(y)
            if not isinstance(line, CellStrip) or self.app.no_color:
                for one in filters:
                    line = line.apply_filter(one, background)
            found.append(line if crop.column_span == (0, line.cell_length) else line.crop(*crop.column_span))
        return found

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self.lines
        if self.scene is None or not lines:
            return self._hint_line(y)
        if y >= len(lines):
            return Strip.blank(width, self.rich_style)
        line: Strip = lines[y]
        cell = self._drawn_cursor
        if cell is not None and cell[0] == y and cell[1] < line.cell_length:
            line = self._with_cursor(line, cell[1])
        return line if line.cell_length == width else line.adjust_cell_length(width, self.rich_style)

    def _with_cursor(self, line: Strip, column: int) -> Strip:
        under = line.crop(column, column + 1)
        style = next((segment.style for segment in under if segment.style is not None), PLAIN)
        look = Style(reverse=True, bold=self.has_focus) if self.app.no_color else _cursor_style(self.has_focus)
        sign = ASCII_CURSOR if self.glyphs == "ascii" else CURSOR
        sign = under.text if under.text.isalnum() else sign  # a letter to type is not covered
        cursor = Strip([Segment(sign, style + look)], 1)
        return CellStrip.join([line.crop(0, column), cursor, line.crop(column + 1)])

    def _hint_line(self, y: int) -> Strip:
        from textwrap import wrap

        width, height = self.size
        if self.scene is not None:  # not painted yet
            return Strip.blank(width, self.rich_style)
        parts = [wrap(part, max(10, width - 4), break_on_hyphens=False) or [""] for part in self.hint.splitlines()]
        lines = [line for part in parts for line in part]
        index = y - (height - len(lines)) // 2
        if not 0 <= index < len(lines):
            return Strip.blank(width, self.rich_style)
        return Strip([Segment(lines[index].center(width)[:width], self.rich_style)], width)

    # ---- events -----------------------------------------------------------------------------------------------------

    def on_resize(self, _event: Resize) -> None:
        """Blank until the new frame is there: one of another size would only cost its bytes twice."""
        if self._frame_view is not None and (self._frame_view.rows, self._frame_view.columns) != tuple(self.size)[::-1]:
            self._frame = self._frame_view = self._drawn_cursor = None
        self._want()

    def on_show(self, _event: Show) -> None:
        if self.graphics is not None:
            self.repaint()

    def on_hide(self, _event: Hide) -> None:
        if self.graphics is not None:
            self._forget()

    def on_unmount(self) -> None:
        if self.graphics is not None:
            self._forget()

    def screen_changed(self) -> None:
        """Another screen is on top: the picture goes with its own screen, and shines through around a dialogue."""
        if not self.screen.is_current:
            self._forget()
        elif self._studio is None or (self.graphics is not None and self.graphics.repairs):
            self.repaint()

    def on_focus(self) -> None:
        self._refresh_cursor()

    def on_blur(self) -> None:
        self._refresh_cursor()

    def _refresh_cursor(self) -> None:
        if self._drawn_cursor is not None:
            self._write_again([self._drawn_cursor])

    # ---- mouse ------------------------------------------------------------------------------------------------------

    def _point(self, event: MouseEvent) -> tuple[float, float] | None:
        """(y, x) in image pixels of the mouse; in the middle of its cell where the terminal tells no more."""
        view = self.view
        if view is None:
            return None
        row, column = event.pointer_y, event.pointer_x
        if row == int(row) and column == int(column):
            row, column = row + 0.5, column + 0.5
        return view.to_image(row, column)

    def on_mouse_down(self, event: MouseDown) -> None:
        point = self._point(event)
        if point is not None:
            event.stop()
            self._drag = [point]
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        point = self._point(event)
        if self._drag is None or point is None or point == self._drag[-1]:
            return
        event.stop()
        self._drag.append(point)
        self._tell_drag(event, done=False)

    def on_mouse_up(self, event: MouseUp) -> None:
        drag, self._drag = self._drag, None
        self.release_mouse()
        if drag is None:
            return
        event.stop()
        if len(drag) > 1:
            self._drag = drag
            self._tell_drag(event, done=True)
            self._drag = None
        else:
            self.move_to(*drag[0])
            self.post_message(self.Pointed(*drag[0], event.button, event.shift, event.ctrl))

    def _tell_drag(self, event: MouseEvent, *, done: bool) -> None:
        self.post_message(self.Dragged(tuple(self._drag or ()), done, event.button, event.shift, event.ctrl))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.zoom(1, around=self._point(event))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.zoom(-1, around=self._point(event))


def _make(job: "Job") -> "Frame":
    return job.studio.make(job)


def _cursor_style(focused: bool) -> Style:
    return Style(color="#000000", bgcolor="#FFE066" if focused else "#8A8060", bold=True)
