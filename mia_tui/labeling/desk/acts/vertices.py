"""Editing the corners of an outline: hints on them, arrows move, keys insert and delete."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling import vertices
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.deciding import nothing_current
from mia_tui.labeling.desk.acts.moving import MoveMode
from mia_tui.labeling.desk.hints import Hint, Target, place_hints
from mia_tui.labeling.desk.modes import Handle, Mode, Sketch, Stroke
from mia_tui.labeling.desk.refs import Ref
from mia_tui.labeling.desk.rows import OUTLINED, row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "corners", "Corners"
MANY = 40
"""An outline with more corners than this is simplified before its corners get hints."""


@dataclass
class CornersMode(Mode):
    """Letters choose a corner of the object; every change of it is on disk at once and one undo step."""

    ref: Ref
    at: int | None = None
    typed: str = ""
    hints: list[Hint] = field(default_factory=list)
    name: ClassVar[str] = NAME
    takes_letters: ClassVar[bool] = True

    @property
    def text(self) -> str:  # type: ignore[override]
        return "corners: type the letters on one" if self.at is None else "corner: arrows move it, + inserts, - deletes"

    def entered(self, desk: "Desk") -> None:
        item = desk.find(self.ref)
        if item is None:
            return
        if len(vertices.vertices(item.geometry)) > MANY:
            simple = vertices.simplify(item.geometry, desk.opened.size)
            if simple is not None:
                self.change(desk, simple, "simplify outline")
        self.place(desk)

    def place(self, desk: "Desk") -> None:
        """Letters on the corners, as they are now."""
        item = desk.find(self.ref)
        points = [] if item is None else vertices.vertices(item.geometry).tolist()
        targets = [Target(index, (y, x), (x, y, x, y)) for index, (y, x) in enumerate(points)]
        self.hints = place_hints(targets, desk.view, (desk.cursor[0] + 0.5, desk.cursor[1] + 0.5))
        self.typed = ""

    def change(self, desk: "Desk", geometry: BaseGeometry | None, text: str) -> None:
        if geometry is None:
            desk.warn("Nothing would be left of it.")
            return
        changed = edits.change(desk, self.ref, geometry, text)
        if changed is not None:
            self.ref = changed
            desk.forget_ladder(changed)

    def key(self, desk: "Desk", key: str) -> bool:
        if len(key) != 1 or not key.isalpha():
            return False
        self.typed += key.lower()
        fitting = [hint for hint in self.hints if hint.letters.startswith(self.typed)]
        if not fitting:
            self.typed = ""
        elif fitting[0].letters == self.typed:
            self.typed, self.at = "", int(str(fitting[0].target.what))
        return True

    def sketch(self, desk: "Desk") -> Sketch:
        item = desk.find(self.ref)
        if item is None:
            return Sketch()
        points = vertices.vertices(item.geometry).tolist()
        rings = shapely.get_rings(shapely.get_parts(item.geometry))
        strokes = tuple(Stroke(shapely.get_coordinates(ring)) for ring in rings)
        chosen = (Handle(tuple(points[self.at]), "◆"),) if self.at is not None and self.at < len(points) else ()
        return Sketch(strokes, chosen, tuple(hint for hint in self.hints if hint.letters.startswith(self.typed)))


@row("corners", "e", "Edit corners", "Edit", more="Move, insert, delete corners of the chosen object; move a point",
     why=nothing_current, edits=True)  # fmt: skip
def corners(desk: "Desk") -> None:
    item = desk.find(desk.current)
    if item is not None and desk.current is not None:
        point = item.geometry.geom_type == "Point"
        desk.enter(MoveMode(desk.current) if point else CornersMode(desk.current))


def held(desk: "Desk") -> CornersMode:
    """The mode in progress."""
    return next(mode for mode in reversed(desk.modes) if isinstance(mode, CornersMode))


def no_corner(desk: "Desk") -> str | None:
    return None if held(desk).at is not None else "No corner is chosen: type its letters."


def nudge(desk: "Desk", rows: float, columns: float) -> None:
    """Move the chosen corner by pixels."""
    mode = held(desk)
    item = desk.find(mode.ref)
    if item is None or mode.at is None:
        return
    y, x = vertices.vertices(item.geometry)[mode.at].tolist()
    moved = vertices.move_vertex(item.geometry, mode.at, (y + rows, x + columns), desk.opened.size)
    mode.change(desk, moved, "move corner")


for _name, _y, _x in (("up", -1, 0), ("down", 1, 0), ("left", 0, -1), ("right", 0, 1)):
    for _far, _keys in ((1, _name), (5, f"shift+{_name}")):
        row(f"corner_{_name}_{_far}", _keys, f"{_far} {_name}", GROUP, context=NAME, args=(_far * _y, _far * _x),
            why=no_corner, tasks=OUTLINED, edits=True, repeats=True)(nudge)  # fmt: skip


def change_ring(desk: "Desk", text: str, insert: bool) -> None:
    """Insert a corner after the chosen one, or delete it."""
    mode = held(desk)
    item = desk.find(mode.ref)
    if item is None or mode.at is None:
        return
    act = vertices.insert_vertex if insert else vertices.delete_vertex
    mode.change(desk, act(item.geometry, mode.at, desk.opened.size), text)
    mode.at = mode.at + 1 if insert else None
    mode.place(desk)


row("corner_insert", "plus,insert,equals_sign", "Insert", GROUP, context=NAME, show=True, args=("insert corner", True),
    why=no_corner, tasks=OUTLINED, edits=True)(change_ring)  # fmt: skip
row("corner_delete", "minus,delete", "Delete", GROUP, context=NAME, show=True, args=("delete corner", False),
    why=no_corner, tasks=OUTLINED, edits=True)(change_ring)  # fmt: skip
