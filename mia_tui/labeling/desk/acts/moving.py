"""Moving points: by arrows, to the cursor, or with the mouse."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import shapely

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import Handle, Mode, Sketch
from mia_tui.labeling.desk.refs import Ref
from mia_tui.labeling.desk.rows import POINTED, row
from mia_tui.labeling.desk.tools.points import is_taken

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "move", "Move a point"


@dataclass
class MoveMode(Mode):
    """One point follows the arrows; each step is on disk at once and one undo step."""

    ref: Ref
    name: ClassVar[str] = NAME

    @property
    def text(self) -> str:  # type: ignore[override]
        return "move: arrows, enter to the cursor, esc ends"

    def sketch(self, desk: "Desk") -> Sketch:
        item = desk.find(self.ref)
        if item is None:
            return Sketch()
        x, y = item.geometry.bounds[:2]
        return Sketch(handles=(Handle((y, x), "◆"),))


def move_to(desk: "Desk", ref: Ref, y: float, x: float) -> Ref | None:
    """Put a point elsewhere, as one undo step; refused where another point is."""
    item = desk.find(ref)
    if item is None:
        return None
    if is_taken(desk, y, x, but=ref):
        desk.warn("There is another point already.")
        return None
    return edits.change(desk, ref, shapely.Point(x, y), "move point")


def held(desk: "Desk") -> MoveMode:
    """The mode in progress."""
    return next(mode for mode in reversed(desk.modes) if isinstance(mode, MoveMode))


def nudge(desk: "Desk", rows: float, columns: float) -> None:
    """Move the point by pixels."""
    mode = held(desk)
    item = desk.find(mode.ref)
    if item is None:
        return
    x, y = item.geometry.bounds[:2]
    mode.ref = move_to(desk, mode.ref, y + rows, x + columns) or mode.ref


for _name, _y, _x in (("up", -1, 0), ("down", 1, 0), ("left", 0, -1), ("right", 0, 1)):
    for _far, _keys in ((1, _name), (5, f"shift+{_name}")):
        row(f"move_{_name}_{_far}", _keys, f"{_far} {_name}", GROUP, context=NAME, args=(_far * _y, _far * _x),
            tasks=POINTED, edits=True, repeats=True)(nudge)  # fmt: skip


@row("move_cursor", "enter", "To the cursor", GROUP, context=NAME, tasks=POINTED, edits=True)
def to_cursor(desk: "Desk") -> None:
    mode = held(desk)
    mode.ref = move_to(desk, mode.ref, desk.cursor[0] + 0.5, desk.cursor[1] + 0.5) or mode.ref
