"""Polygon: places are its corners. It becomes a new object, or is added to, taken from or cut through others."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import Handle, Sketch, Stroke
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME = "polygon"


@tool(NAME, "p", "Polygon", tasks=OUTLINED, more="Places are corners; space closes it")
@dataclass
class PolygonTool(Tool):
    """Collects corners, (y, x) each."""

    corners: list[tuple[float, float]] = field(default_factory=list)

    def put(self, desk: "Desk", y: float, x: float) -> None:
        if not self.corners:
            desk.enter(self)
        self.corners.append((y, x))
        desk.say(f"{len(self.corners)} corners. space closes, backspace takes the last one back.")

    def left(self, desk: "Desk") -> None:
        self.corners = []

    def sketch(self, desk: "Desk") -> Sketch:
        y, x = desk.cursor
        line = np.array([(corner[1], corner[0]) for corner in [*self.corners, (y + 0.5, x + 0.5)]], float)
        closing = np.array([line[-1], line[0]])
        return Sketch((Stroke(line), Stroke(closing, dashed=True)), tuple(Handle(c, "•") for c in self.corners))


def held(desk: "Desk") -> PolygonTool:
    """The polygon in progress."""
    return next(mode for mode in reversed(desk.modes) if isinstance(mode, PolygonTool))


def too_few(desk: "Desk") -> str | None:
    return None if len(held(desk).corners) >= 3 else "A polygon needs three corners."


@row("polygon_close", "space", "Close", "Polygon", context=NAME, more="Close it: a new object", why=too_few, edits=True)
def close(desk: "Desk") -> None:
    corners = held(desk).corners
    desk.leave()
    edits.add(desk, shapely.Polygon([(x, y) for y, x in corners]), "polygon")


@row("polygon_back", "backspace", "Last corner back", "Polygon", context=NAME)
def back(desk: "Desk") -> None:
    tool = held(desk)
    tool.corners.pop()
    if not tool.corners:
        desk.leave()
