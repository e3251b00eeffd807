"""Livewire: the outline follows the edge from anchor to anchor (intelligent scissors)."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.desk.modes import Handle, Sketch, Stroke
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.desk.tools.drawn import ways
from mia_tui.labeling.livewire import Livewire

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "livewire", "Livewire"


@tool(NAME, "l", "Livewire", tasks=OUTLINED, more="The line follows the edge from place to place")
class LivewireTool(Tool):
    """The wire in progress."""

    follows: ClassVar[bool] = True
    how: ClassVar[str] = "enter begins on an edge, enter again holds the line, space closes"

    def __init__(self) -> None:
        self.wire: Livewire | None = None

    def put(self, desk: "Desk", y: float, x: float) -> None:
        if self.wire is None:
            self.wire = Livewire(desk.image)
            self.wire.start(y, x)
            desk.enter(self)
        else:
            self.wire.anchor(y, x)
        count = len(self.wire.anchors)
        desk.say(f"{count} anchor{'s' if count != 1 else ''}. space closes, backspace takes the last one back.")

    def left(self, desk: "Desk") -> None:
        self.wire = None

    def sketch(self, desk: "Desk") -> Sketch:
        if self.wire is None:
            return Sketch()
        y, x = desk.cursor
        lines = [part[:, ::-1] for part in (self.wire.path, self.wire.path_to(y + 0.5, x + 0.5)) if len(part) > 1]
        strokes = tuple(Stroke(np.ascontiguousarray(line), dashed=i > 0) for i, line in enumerate(lines))
        return Sketch(strokes, tuple(Handle(anchor, "•") for anchor in self.wire.anchors))


def held(desk: "Desk") -> Livewire:
    """The wire in progress."""
    tool = next(mode for mode in reversed(desk.modes) if isinstance(mode, LivewireTool))
    assert tool.wire is not None
    return tool.wire


def too_few(desk: "Desk") -> str | None:
    return None if len(held(desk).anchors) >= 2 else "A wire needs two anchors."


def close(desk: "Desk") -> BaseGeometry | None:
    """The outline; the wire is done."""
    geometry = held(desk).close()
    desk.leave()
    return geometry


ways(NAME, GROUP, close, too_few)


@row("livewire_back", "backspace", "Last anchor back", GROUP, context=NAME)
def back(desk: "Desk") -> None:
    wire = held(desk)
    wire.back()
    if not wire.anchors:
        desk.leave()
