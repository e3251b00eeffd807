"""Extreme points: the topmost, lowest, leftmost and rightmost point of an object, in any order, give its outline."""

from typing import TYPE_CHECKING, ClassVar

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import Handle, Sketch
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.grabcut import outline_of_extremes

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME = "extremes"
POINTS = 4


@tool(NAME, "x", "Extreme points", tasks=OUTLINED, more="Its top, bottom, left and right end, in any order")
class ExtremesTool(Tool):
    """Collects four points, (y, x) each."""

    how: ClassVar[str] = "enter (or a) on its top, bottom, left and right end, in any order"

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []

    def put(self, desk: "Desk", y: float, x: float) -> None:
        if not self.points:
            desk.enter(self)
        self.points.append((y, x))
        if len(self.points) < POINTS:
            desk.say(f"{POINTS - len(self.points)} more. backspace takes the last one back.")
            return
        ladder = outline_of_extremes(desk.image, self.points)
        desk.leave()
        if ladder is None:
            desk.warn("These points enclose nothing.")
        else:
            edits.add(desk, ladder.proposal, "extreme points", ladder=ladder)

    def left(self, desk: "Desk") -> None:
        self.points = []

    def sketch(self, desk: "Desk") -> Sketch:
        return Sketch(handles=tuple(Handle(point, "×") for point in self.points))


@row("extremes_back", "backspace", "Last point back", "Extreme points", context=NAME, tasks=OUTLINED)
def back(desk: "Desk") -> None:
    tool = next(mode for mode in reversed(desk.modes) if isinstance(mode, ExtremesTool))
    tool.points.pop()
    if not tool.points:
        desk.leave()
