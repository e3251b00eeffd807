"""A frame of the canvas, made in a thread: picture, overlay, finished lines, and what differs from the last frame."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.style import Style
from textual.geometry import Region

from mia_tui.widgets.canvas.cells import Cells, CellStrip, Span, bare, differences, strips
from mia_tui.widgets.canvas.corner import Corner
from mia_tui.widgets.canvas.graphics import BasePicture, Graphics
from mia_tui.widgets.canvas.minimap import draw_map
from mia_tui.widgets.canvas.overlay import ASCII_SIGNS, Memory, Signs, compose, draw
from mia_tui.widgets.canvas.painter import paint_base, painter_of
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.view import View


@dataclass(frozen=True)
class Palette:
    """What the terminal can show.

    Attributes
    ----------
    glyphs : str
        "half", "quadrant", "sextant", "octant" or "ascii".
    depth : str
        "truecolor" or "256".
    mono : Style, optional
        The style of everything where there are no colours.
    void : tuple
        Colour beside the picture.
    """

    glyphs: str
    depth: str
    mono: Style | None
    void: tuple[int, int, int]


@dataclass(frozen=True)
class Job:
    """What is wanted of the thread."""

    scene: Scene
    view: View
    palette: Palette
    region: Region
    coarse: bool
    corner: Corner | None
    spots: tuple[tuple[int, int], ...]
    studio: "Studio"


@dataclass(frozen=True)
class Frame:
    """What the thread made: lines to show, stretches that differ from the frame before (None: all), control strings.

    `covered` are the stretches with something over the picture, when the control strings draw over them.
    """

    lines: list[CellStrip]
    cells: Cells
    changed: list[Span] | None
    pixels: list[str] = field(default_factory=list)
    covered: list[Span] = field(default_factory=list)

    @property
    def size(self) -> int:
        """About how many bytes showing it takes."""
        if self.changed is None:
            return sum(len(line.written) for line in self.lines)
        return 30 * sum(end - start for _, start, end in self.changed)


class Studio:
    """Makes frames, keeping what the next one may use again. Used by one thread at a time; forget it to start anew."""

    def __init__(self, graphics: Graphics | None = None) -> None:
        self._graphics = graphics
        self._base: tuple[tuple[Any, ...], Cells] | None = None
        self._memory = Memory()
        self._frame: Frame | None = None
        self._look: tuple[Any, ...] = ()
        self._picture: BasePicture | None = None
        self._pixels: tuple[Any, ...] = ()
        self._base_cells: dict[tuple[int, int], tuple[str, Style]] = {}

    def make(self, job: Job) -> Frame:
        """A frame; the base picture is sampled again only when picture, view or look have changed."""
        mono = job.palette.mono is not None
        overlay = draw(job.scene, job.view, signs=_signs(job.palette), memory=self._memory)
        cells = compose(self._base_of(job), overlay, mono=mono)
        if job.corner is not None:
            draw_map(cells, job.scene, job.view, job.corner, painter_of(job.palette.glyphs, mono=mono), mono=mono)
        return self._finish(job, cells)

    def _base_of(self, job: Job) -> Cells:
        if self._graphics is not None:
            return bare(job.view.rows, job.view.columns)
        scene, palette = job.scene, job.palette
        painter = painter_of(palette.glyphs, mono=palette.mono is not None)
        key = (scene.pyramid, scene.display, job.view, painter, palette.void, job.coarse)
        if self._base is None or not _same(self._base[0], key):
            base = paint_base(scene.pyramid, job.view, scene.display, painter, void=palette.void, coarse=job.coarse)
            self._base = key, base
        return self._base[1]

    def _finish(self, job: Job, cells: Cells) -> Frame:
        before = self._frame
        look = (job.palette.depth, job.palette.mono)
        changed = differences(before.cells, cells) if before is not None and look == self._look else None
        make_lines: Callable[..., list[CellStrip]] = self._lines_of(job)
        if before is None or changed is None:
            lines = make_lines(cells)
        else:
            rows = sorted({row for row, _, _ in changed})
            lines = list(before.lines)
            for row, line in zip(rows, make_lines(cells, rows), strict=True):
                lines[row] = line
        self._look = look
        before_pixels = self._pixels
        strings = self._pixels_of(job, cells, changed)
        redrawn = self._graphics is not None and self._graphics.repairs and self._pixels is not before_pixels
        covered = (differences(bare(*cells.glyph.shape), cells, most=1.0) or []) if redrawn else []
        self._frame = Frame(lines, cells, changed, strings, covered)
        return self._frame

    def _lines_of(self, job: Job) -> Callable[..., list[CellStrip]]:
        def make(cells: Cells, rows: Any = None) -> list[CellStrip]:
            base_cell = self._base_cell if self._graphics is not None else None
            return strips(cells, rows, depth=job.palette.depth, mono=job.palette.mono, base_cell=base_cell)

        return make

    def _base_cell(self, row: int, column: int) -> tuple[str, Style]:
        found = self._base_cells.get((row, column))
        if found is None:
            assert self._graphics is not None
            found = self._base_cells[(row, column)] = self._graphics.base_cell(row, column)
        return found

    def _pixels_of(self, job: Job, cells: Cells, changed: list[Span] | None) -> list[str]:
        """Control strings of the back end: the picture when it is another one, else what overlays have left bare."""
        if self._graphics is None:
            return []
        if self._picture is None or not _same(
            (self._picture.pyramid, self._picture.display), (job.scene.pyramid, job.scene.display)
        ):
            self._picture = BasePicture(job.scene.pyramid, job.scene.display)
        key = (self._picture, job.view, job.region, job.coarse)
        if self._pixels and _same(self._pixels, key) and not (self._graphics.repairs and changed is None):
            written = [(row, column) for row, a, b in changed or () for column in range(a, b)]
            return self._repair([*written, *job.spots], cells)
        self._pixels = key
        return self._graphics.show(self._picture, job.view, job.region, coarse=job.coarse)

    def _repair(self, places: list[tuple[int, int]], cells: Cells) -> list[str]:
        """Control strings for places whose text has been written over the picture, where nothing lies over it."""
        if self._graphics is None or not self._graphics.repairs or not self._pixels:
            return []
        bare_places = [(row, column) for row, column in places if cells.glyph[row, column] == 0]
        picture, view, region, _ = self._pixels
        return self._graphics.repair(picture, view, region, bare_places) if bare_places else []

    def clear(self) -> list[str]:
        """Control strings that take the picture from the terminal."""
        self._pixels, self._frame = (), None
        return self._graphics.clear() if self._graphics is not None else []


def _signs(palette: Palette) -> Signs:
    return ASCII_SIGNS if palette.glyphs == "ascii" else Signs()


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two keys are the same: pictures by identity, views and other values by value."""
    return all(
        a is b or (isinstance(a, View | Region | tuple | bool) and a == b) for a, b in zip(one, other, strict=True)
    )
