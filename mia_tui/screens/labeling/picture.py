"""What is drawn over the image while labelling. Made in a thread: no widgets here."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.desk.modes import GRID, GRID_LETTERS
from mia_tui.labeling.desk.refs import Ref, candidate, label
from mia_tui.screens.frames import UNKNOWN_CLASS, class_colors
from mia_tui.widgets.canvas.overlay import trace
from mia_tui.widgets.canvas.scene import Grid, Layer, Mark, Outlines, Scene, Stroke

if TYPE_CHECKING:
    from mia_tui.labeling.desk.candidates import Candidate
    from mia_tui.labeling.desk.desk import Desk

WHITE = (255, 255, 255)
HANDLE = (255, 224, 102)
LETTER_ROWS = tuple(GRID_LETTERS[row * GRID : (row + 1) * GRID] for row in range(GRID))
POINT_SIGNS = {"label": "●", "candidate": "○"}


@dataclass(frozen=True)
class Shown:
    """One object as it is drawn."""

    ref: Ref
    geometry: BaseGeometry
    label_class: str


@dataclass
class Tracer:
    """Outlines of many objects, of which each is traced once as long as it stays the same."""

    _pieces: dict[int, tuple[BaseGeometry, Outlines]] = field(default_factory=dict)

    def outlines(self, shown: list[Shown]) -> Outlines:
        """Outlines of all objects, in their order."""
        pieces: dict[int, tuple[BaseGeometry, Outlines]] = {}
        for item in shown:
            key = id(item.geometry)
            pieces[key] = self._pieces.get(key) or (item.geometry, trace([item.geometry]))
        self._pieces = pieces
        found = [pieces[id(item.geometry)][1] for item in shown]
        if not found:
            return trace([])
        counts = [len(part.segments) for part in found]
        return Outlines(
            np.concatenate([part.segments for part in found]),
            np.repeat(np.arange(len(found)), counts),
            np.concatenate([part.boxes for part in found]),
        )


@dataclass(frozen=True)
class Overlays:
    """What lies over the image: outlines, marks, and the box of the current object."""

    layers: tuple[Layer, ...] = ()
    marks: tuple[Mark, ...] = ()
    box: tuple[float, ...] | None = None


def objects_layer(desk: "Desk", tracer: Tracer, *, labels: bool = True, scores: bool = False) -> Overlays:
    """Labels solid, candidates dashed, in the colours of their classes; the current object white and in brackets.

    With `scores` each candidate wears its score.
    """
    shown = [Shown(candidate(c.number), c.geometry, c.label_class or desk.class_name) for c in desk.pending]
    if labels:
        shown += [Shown(label(item.id), item.geometry, item.label_class) for item in desk.labels.objects.values()]
    colors = class_colors(desk.project)
    current = desk.find(desk.current)
    box = None if current is None else tuple(current.geometry.bounds)
    points = [item for item in shown if item.geometry.geom_type == "Point"]
    lines = [item for item in shown if item.geometry.geom_type != "Point"]
    marks = tuple(_point_mark(item, colors, desk.current) for item in points)
    if scores:
        marks += tuple(_score_mark(item) for item in desk.pending if item.score is not None)
    table = [WHITE if item.ref == desk.current else colors.get(item.label_class, UNKNOWN_CLASS) for item in lines]
    dashed = np.array([item.ref.kind == "candidate" and item.ref != desk.current for item in lines], np.bool_)
    layer = Layer(
        tracer.outlines(lines), np.array(table, np.uint8).reshape(len(lines), 3), dashed, np.ones(len(lines), np.bool_)
    )
    return Overlays((layer, *_areas(desk)), marks, box)


def _point_mark(item: Shown, colors: dict[str, tuple[int, int, int]], current: Ref | None) -> Mark:
    color = WHITE if item.ref == current else colors.get(item.label_class, UNKNOWN_CLASS)
    x, y = item.geometry.bounds[:2]
    return Mark(y, x, POINT_SIGNS[item.ref.kind], color)


def _score_mark(item: "Candidate") -> Mark:
    left, top, right, bottom = item.geometry.bounds
    return Mark((top + bottom) / 2, (left + right) / 2, f"{item.score:.2f}".removeprefix("0"), WHITE)


def _areas(desk: "Desk") -> tuple[Layer, ...]:
    """The annotated areas, dashed and grey."""
    areas = desk.labels.areas
    if not areas:
        return ()
    colors = np.full((len(areas), 3), 200, np.uint8)
    return (Layer(trace(areas), colors, np.ones(len(areas), np.bool_), np.ones(len(areas), np.bool_)),)


def with_sketch(desk: "Desk", scene: Scene, dragged: tuple[tuple[float, float], ...] = ()) -> Scene:
    """The scene with the handles, hints, lines and grid of the desk's modes, and the way of the mouse."""
    sketch = desk.sketch()
    handles = [Mark(*handle.place, handle.text, HANDLE, "handle") for handle in sketch.handles]
    hints = [Mark(*hint.place, hint.letters, HANDLE, "hint") for hint in sketch.hints]
    strokes = tuple(Stroke(stroke.points, HANDLE, stroke.dashed) for stroke in sketch.strokes)
    if len(dragged) > 1:
        strokes += (Stroke(np.array(dragged)[:, ::-1], HANDLE),)
    grid = None if sketch.grid is None else Grid(sketch.grid, LETTER_ROWS)
    return replace(scene, marks=(*scene.marks, *handles, *hints), strokes=strokes, grid=grid)
