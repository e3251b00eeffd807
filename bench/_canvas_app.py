"""The app that bench/canvas.py measures: the canvas with a read-out, and a key for each thing.

python bench/_canvas_app.py PAINTER OBJECTS
"""

import sys
from typing import Any

import numpy as np
import shapely
from textual.app import App, ComposeResult
from textual.screen import Screen

from mia_tui.widgets.canvas.compositor import write_only_changes
from mia_tui.widgets.canvas.overlay import trace
from mia_tui.widgets.canvas.painter import PAINTERS
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.scene import Layer, Mark, Scene, Stroke
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.canvas.wire import Wired
from mia_tui.widgets.line import Line

SIDE = 1024
LETTERS = [a + b for a in "asdfghjk" for b in "lqwertyui"][:60]
RNG = np.random.default_rng(1)


def picture() -> Pyramid:
    """300 noisy nuclei, 8 bits."""
    image = RNG.normal(25, 9, (SIDE, SIDE))
    for y, x in RNG.uniform(20, SIDE - 20, (300, 2)).astype(int):
        distance = np.hypot(*np.mgrid[-20:20, -20:20])
        image[y - 20 : y + 20, x - 20 : x + 20] += 150 / (1 + np.exp((distance - 12) / 1.5))
    return Pyramid(np.clip(image, 0, 255).astype(np.uint8)[None])


def layer(places: Any, *, accepted: bool) -> Layer:
    """Circles around places (y, x): proposals are dashed and orange, what is accepted solid and blue."""
    radius = min(12.0, 200 / np.sqrt(len(places)))
    count = len(places)
    return Layer(
        trace([shapely.Point(x, y).buffer(radius) for y, x in places]),
        np.full((count, 3), (86, 180, 233) if accepted else (230, 159, 0), np.uint8),
        np.full(count, not accepted),
        np.ones(count, np.bool_),
    )


def display(values: Any) -> Any:
    return np.repeat(values[0][..., None], 3, axis=2)


class Desk(Screen[None]):
    DEFAULT_CSS = "Desk Line { padding: 0 1; color: $text-muted; }"

    def __init__(self, glyphs: str) -> None:
        super().__init__()
        self.glyphs = glyphs
        write_only_changes(self)

    def compose(self) -> ComposeResult:
        yield ImageCanvas(glyphs=self.glyphs)
        yield Line(id="readout")


class Bench(Wired, App[None]):
    BINDINGS = [
        ("right", "move(0, 1)"), ("left", "move(0, -1)"), ("down", "move(2, 0)"), ("up", "move(-2, 0)"),
        ("L", "pan(0.5)"), ("H", "pan(-0.5)"), ("v", "vertex"), ("i", "hints"), ("a", "accept"), ("z", "one"),
        ("f", "fit"), ("plus", "zoom(1)"), ("minus", "zoom(-1)"), ("n", "next"), ("b", "big"), ("m", "map"),
        ("o", "objects"),
    ]  # fmt: skip

    def __init__(self, painter: str, objects: int) -> None:
        super().__init__()
        self.painter = painter
        self.drawing = _drawing(painter)
        self.pictures = [picture(), picture()]
        self.pictures.append(Pyramid(np.tile(self.pictures[0].plane, (1, 4, 4))))
        places = RNG.uniform(0, SIDE, (objects, 2))
        self.layers = [layer(places, accepted=accepted) for accepted in (False, True)]
        self.hints = tuple(Mark(y, x, text, kind="hint") for (y, x), text in zip(places, LETTERS, strict=False))
        self.image = self.accepted = 0
        self.hinted, self.covered = False, True
        self.points: list[tuple[float, float]] = []

    @property
    def canvas(self) -> ImageCanvas:
        return self.screen.query_one(ImageCanvas)

    def on_mount(self) -> None:
        self.push_screen(Desk(self.painter if self.painter in PAINTERS else "quadrant"))
        self.call_after_refresh(self.begin)

    def begin(self) -> None:
        self.canvas.focus()
        self.show()

    def show(self) -> None:
        strokes = (Stroke(np.array(self.points)),) if self.points else ()
        hints = self.hints if self.hinted else ()
        layers = (self.layers[self.accepted],) if self.covered else ()
        scene = Scene(self.pictures[self.image], display, layers, hints, strokes=strokes)
        self.canvas.show(scene)

    def on_image_canvas_moved(self) -> None:
        y, x = self.canvas.cursor
        value = self.canvas.values[0]
        text = f"x {x:<4}  y {y:<4}  value {value:<3}   zoom {self.canvas.scale_text}"
        self.screen.query_one(Line).update(text)

    def action_move(self, y: int, x: int) -> None:
        self.canvas.move_to(self.canvas.cursor[0] + y, self.canvas.cursor[1] + x)
        self.on_image_canvas_moved()

    def action_vertex(self) -> None:
        y, x = self.canvas.cursor
        turn = len(self.points) * 0.4
        self.points.append((x + 12 * np.cos(turn), y + 12 * np.sin(turn)))
        self.show()

    def action_hints(self) -> None:
        self.hinted = not self.hinted
        self.show()

    def action_accept(self) -> None:
        self.accepted = 1 - self.accepted
        self.show()

    def action_next(self) -> None:
        self.image = 1 - self.image
        self.show()

    def action_objects(self) -> None:
        self.covered = not self.covered
        self.show()

    def action_big(self) -> None:
        """A picture whose border is not reached in two seconds."""
        self.image = 2
        self.show()

    def action_pan(self, share: float) -> None:
        self.canvas.pan(0, share)

    def action_zoom(self, way: int) -> None:
        self.canvas.zoom(way)

    def action_one(self) -> None:
        self.canvas.zoom_one()

    def action_fit(self) -> None:
        self.canvas.zoom_fit()

    def action_map(self) -> None:
        self.canvas.toggle_map()


def _drawing(painter: str) -> Any:
    """What makes a canvas draw in pixels; None for cells."""
    if painter in PAINTERS:
        return None
    from mia_tui.terminal.record import Capabilities
    from mia_tui.widgets.canvas.drawing import Drawing

    return Drawing(Capabilities(painter, "the bench", edits_pictures=True))


Bench(sys.argv[1], int(sys.argv[2])).run()
