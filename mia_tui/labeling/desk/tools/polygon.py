"""Polygon: places are its corners; or, not closed, the line along which objects are cut."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling import outline
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import Handle, Sketch, Stroke
from mia_tui.labeling.desk.refs import label
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.desk.tools.drawn import under, ways

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "polygon", "Polygon"


@tool(NAME, "p", "Polygon", more="Corners of an outline, a cut, or an annotated area")
@dataclass
class PolygonTool(Tool):
    """Collects corners, (y, x) each."""

    follows: ClassVar[bool] = True
    how: ClassVar[str] = "enter or a letter of the grid (a) sets a corner"

    corners: list[tuple[float, float]] = field(default_factory=list)

    def put(self, desk: "Desk", y: float, x: float) -> None:
        if not self.corners:
            desk.enter(self)
        self.corners.append((y, x))
        count = len(self.corners)
        closes = "space closes" if desk.project.task in OUTLINED else "r closes the annotated area"
        desk.say(f"{count} corner{'s' if count > 1 else ''}. {closes}, backspace takes the last one back.")

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


def close(desk: "Desk") -> BaseGeometry | None:
    """The polygon; it is done."""
    corners = np.array(held(desk).corners)[:, ::-1]
    desk.leave()
    return outline.polygon(corners)


ways(NAME, GROUP, close, too_few)


def no_line(desk: "Desk") -> str | None:
    return None if len(held(desk).corners) >= 2 else "A cut needs two places."


@row("polygon_cut", "s", "Cut", GROUP, context=NAME, more="Cut objects along the line", why=no_line, edits=True,
     tasks=OUTLINED)  # fmt: skip
def cut(desk: "Desk") -> None:
    line = held(desk).corners
    desk.leave()
    met = under(desk, _line(line))
    pieces = {item.id: outline.cut(item.geometry, line, desk.opened.size) for item in met}
    done = [number for number, found in pieces.items() if len(found) > 1]
    for number in done:
        edits.replace_by(desk, label(number), pieces[number], "cut")
    desk.say(f"{len(done)} object{'s' if len(done) != 1 else ''} cut." if done else "The line crosses no object.")


def _line(corners: list[tuple[float, float]]) -> BaseGeometry:
    from shapely import LineString

    return LineString([(x, y) for y, x in corners])


@row("polygon_back", "backspace", "Last corner back", GROUP, context=NAME)
def back(desk: "Desk") -> None:
    tool = held(desk)
    tool.corners.pop()
    if not tool.corners:
        desk.leave()
