"""Brush: a disc along the way of cursor or mouse adds to the chosen object or takes from it."""

from typing import TYPE_CHECKING, ClassVar

import shapely

from mia_tui.labeling import outline
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import Sketch, Stroke
from mia_tui.labeling.desk.refs import label
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.desk.tools.drawn import under

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "brush", "Brush"
RADIUS, LARGEST = 10.0, 40.0


@tool(NAME, "b", "Brush", tasks=OUTLINED, more="A disc adds to the object or erases from it")
class BrushTool(Tool):
    """Stays in hand with keys of its own: enter dabs, a drag of the mouse is one stroke."""

    at_once: ClassVar[bool] = True
    follows: ClassVar[bool] = True
    how: ClassVar[str] = "enter paints, space erases instead, [ ] its size"

    def __init__(self) -> None:
        self.erase = False

    @property
    def text(self) -> str:  # type: ignore[override]
        does, other = ("erases", "adds") if self.erase else ("adds", "erases")
        return f"Brush {does}: enter paints, space {other} instead, [ ] its size"

    def put(self, desk: "Desk", y: float, x: float) -> None:
        if self not in desk.modes:
            desk.enter(self)
        self.stroke(desk, [(y, x)])

    def stroke(self, desk: "Desk", path: list[tuple[float, float]]) -> None:
        """Paint along a path of (y, x), as one undo step."""
        radius, size = radius_of(desk), desk.opened.size
        chosen = desk.find(desk.current)
        dab = shapely.LineString([(x, y) for y, x in (path if len(path) > 1 else path * 2)]).buffer(radius)
        if chosen is None:
            met = [item for item in under(desk, dab) if item.label_class == desk.class_name]
            if met:
                desk.choose(label(met[0].id), reveal=False)
                chosen = met[0]
        if chosen is None and self.erase:
            desk.warn("No object is chosen, and none of the class in hand is there.")
        elif chosen is None:
            painted = outline.brush(None, path, radius, size)
            if painted is not None:
                edits.add(desk, painted, "brush")
        elif desk.current is not None:
            changed = outline.brush(chosen.geometry, path, radius, size, erase=self.erase)
            if changed is None:
                edits.remove(desk, [desk.current], "erase")
            else:
                ref = edits.change(desk, desk.current, changed, "erase" if self.erase else "brush")
                desk.forget_ladder(ref or desk.current)

    def sketch(self, desk: "Desk") -> Sketch:
        y, x = desk.cursor
        ring = shapely.Point(x + 0.5, y + 0.5).buffer(radius_of(desk)).exterior
        return Sketch((Stroke(shapely.get_coordinates(ring), dashed=self.erase),))


def radius_of(desk: "Desk") -> float:
    """The radius of the brush in pixels."""
    return float(desk.memory.get("brush", RADIUS))


def change_radius(desk: "Desk", step: float) -> None:
    desk.memory["brush"] = min(max(radius_of(desk) + step, 1.0), LARGEST)
    desk.say(f"Radius {radius_of(desk):.0f} pixels.")


for _name, _key, _step, _text in (
    ("larger", "right_square_bracket", 1.0, "Larger"),
    ("smaller", "left_square_bracket", -1.0, "Smaller"),
):
    row(f"brush_{_name}", _key, _text, GROUP, context=NAME, args=(_step,), tasks=OUTLINED, repeats=True)(change_radius)


@row("brush_erase", "space", "Adds or erases", GROUP, context=NAME, tasks=OUTLINED)
def erase(desk: "Desk") -> None:
    tool = next(mode for mode in reversed(desk.modes) if isinstance(mode, BrushTool))
    tool.erase = not tool.erase
