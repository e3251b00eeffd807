"""Smart strokes: marks inside and outside of an object, from which GrabCut finds its outline."""

from typing import TYPE_CHECKING, ClassVar

import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import Sketch, Stroke
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.desk.tools.brush import change_radius, radius_of
from mia_tui.labeling.grabcut import Strokes

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "smart", "Smart strokes"


@tool(NAME, "g", "Smart strokes", tasks=OUTLINED, more="Marks inside, then outside; space makes it an object")
class SmartTool(Tool):
    """The marks so far and what follows from them."""

    how: ClassVar[str] = "enter marks inside of the object; o, then outside of it"

    def __init__(self) -> None:
        self.strokes: Strokes | None = None
        self.found: BaseGeometry | None = None
        self.inside = True

    @property
    def text(self) -> str:  # type: ignore[override]
        side, other = ("inside", "outside") if self.inside else ("outside", "inside")
        return f"Marks {side}: enter marks, o goes on {other}, space makes it an object"

    def put(self, desk: "Desk", y: float, x: float) -> None:
        self.stroke(desk, [(y, x)])

    def stroke(self, desk: "Desk", path: list[tuple[float, float]]) -> None:
        """Mark what a disc covers along a path of (y, x)."""
        if self.strokes is None:
            self.strokes = Strokes(desk.image)
            desk.enter(self)
        line = shapely.LineString([(x, y) for y, x in (path if len(path) > 1 else path * 2)])
        self.found = self.strokes.stroke(line.buffer(max(1.0, radius_of(desk) / 3)), inside=self.inside)
        desk.say(
            "Nothing is found yet: mark more of the inside."
            if self.found is None
            else f"{self.found.area:.0f} pixels found. o marks the other side, space takes it."
        )

    def left(self, desk: "Desk") -> None:
        self.strokes = self.found = None
        self.inside = True

    def sketch(self, desk: "Desk") -> Sketch:
        if self.found is None:
            return Sketch()
        rings = shapely.get_rings(shapely.get_parts(self.found))
        return Sketch(tuple(Stroke(shapely.get_coordinates(ring)) for ring in rings))


def held(desk: "Desk") -> SmartTool:
    """The strokes in progress."""
    return next(mode for mode in reversed(desk.modes) if isinstance(mode, SmartTool))


@row("smart_side", "o", "Inside or outside", GROUP, context=NAME, tasks=OUTLINED)
def side(desk: "Desk") -> None:
    held(desk).inside = not held(desk).inside


@row("smart_done", "space", "Done", GROUP, context=NAME, tasks=OUTLINED, edits=True)
def done(desk: "Desk") -> None:
    found = held(desk).found
    desk.leave()
    if found is None:
        desk.warn("Nothing was found. Mark the inside first.")
    else:
        edits.add(desk, found, "smart strokes")


for _name, _key, _step in (("larger", "right_square_bracket", 3.0), ("smaller", "left_square_bracket", -3.0)):
    row(f"smart_{_name}", _key, f"{_name.capitalize()} marks", GROUP, context=NAME, args=(_step,), tasks=OUTLINED)(
        change_radius
    )
