"""A small still picture in terminal cells: the prediction preview of a training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.strip import Strip
from textual.widget import Widget

from mia_tui.errors import MiaError
from mia_tui.widgets.canvas.cells import strips
from mia_tui.widgets.canvas.view import fit_scale, place
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.widgets.canvas.pyramid import Pyramid


@dataclass(frozen=True)
class _Job:
    path: Path
    stamp: int
    rows: int
    columns: int
    mono: Style | None
    void: tuple[int, int, int]


class Picture(Widget):
    """Shows an image file as large as it fits, read and drawn in a thread; without one, a hint."""

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; background: $background; color: $text-muted; }
    """

    def __init__(self, hint: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._hint = hint
        self._path: Path | None = None
        self._lines: Sequence[Strip] = ()
        self._loaded: tuple[Path, int, Pyramid] | None = None
        self._painter = Newest(self, self._paint, self._painted, self._failed)

    def show(self, path: Path | None, hint: str = "") -> None:
        """Show the file at `path`; None shows `hint`."""
        self._path, self._hint = path, hint or self._hint
        if path is None:
            self._lines = ()
            self.refresh()
        self._want()

    def on_resize(self, _event: Resize) -> None:
        self._want()

    def _want(self) -> None:
        if self._path is None or not self.size.area:
            return
        try:
            stamp = self._path.stat().st_mtime_ns
        except OSError:
            stamp = 0
        mono = self.rich_style if self.app.no_color else None
        void = self.background_colors[1].rgb
        self._painter.ask(_Job(self._path, stamp, self.size.height, self.size.width, mono, void))

    def _paint(self, job: _Job) -> Sequence[Strip]:
        from mia_tui.widgets.canvas.painter import paint_base, painter_of

        if self._loaded is None or self._loaded[:2] != (job.path, job.stamp):
            self._loaded = (job.path, job.stamp, _read(job.path))
        pyramid = self._loaded[2]
        height, width = pyramid.size
        scale = fit_scale(height, width, job.rows, job.columns)
        rows = min(job.rows, max(1, math.ceil(height * scale / 2)))
        columns = min(job.columns, max(1, math.ceil(width * scale)))
        view = place(height, width, rows, columns, scale, height / 2, width / 2)
        painter = painter_of("quadrant", mono=job.mono is not None)
        return strips(paint_base(pyramid, view, _as_picture, painter, void=job.void), mono=job.mono)

    def _painted(self, _job: _Job, lines: Sequence[Strip]) -> None:
        self._lines = lines if self._path is not None else ()
        self.refresh()

    def _failed(self, _job: _Job, error: MiaError) -> None:
        self._lines, self._hint = (), str(error)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        line = y - (height - len(self._lines)) // 2
        if 0 <= line < len(self._lines):
            strip = self._lines[line]
            left = Strip.blank((width - strip.cell_length) // 2, self.rich_style)
            return Strip.join([left, strip]).adjust_cell_length(width, self.rich_style)
        if not self._lines and y == height // 2:
            return Strip([Segment(self._hint[:width].center(width), self.rich_style)], width)
        return Strip.blank(width, self.rich_style)


def _read(path: Path) -> "Pyramid":
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from mia_tui.widgets.canvas.pyramid import Pyramid

    try:
        with Image.open(path) as image:
            plane = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, UnidentifiedImageError) as error:
        raise MiaError(f"{path.name} cannot be shown: {error}") from None
    return Pyramid(plane)


def _as_picture(values: Any) -> Any:
    """(3, H, W) values as a picture (H, W, 3) that may be written to."""
    return values.transpose(1, 2, 0).copy()
