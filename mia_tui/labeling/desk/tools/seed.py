"""Seed: one place inside an object gives its outline, with a ladder of larger and smaller ones."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.proposing import places, shapes_at
from mia_tui.labeling.desk.refs import label
from mia_tui.labeling.desk.rows import OUTLINED
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.ladder import Ladder, Shapes
from mia_tui.labeling.seed import outline_at

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


def shapes_of(desk: "Desk", y: float, x: float) -> Shapes:
    """The outlines of what is at a place, in several shapes, none over labels; the likeliest one is chosen."""
    try:
        found = shapes_at(desk, y, x)
        if found.first is not None:
            return found
    except MiaError:  # where no proposals are made
        pass
    found = Shapes(lambda: iter((outline_at(desk.image, (y, x), desk.diameter),)))
    assert found.first is not None
    return found


def seeded(desk: "Desk", y: float, x: float) -> Ladder:
    """The outlines of the likeliest shape of what is at a place."""
    return shapes_of(desk, y, x).known[0]


@tool("seed", "o", "Outline", tasks=OUTLINED, more="A place in an object gives its outline")
class SeedTool(Tool):
    """Adds the object at a place."""

    how: ClassVar[str] = "enter outlines what is under the cursor, a points by letters"

    def snaps(self, desk: "Desk") -> NDArray[np.float64]:
        return places(desk)

    def put(self, desk: "Desk", y: float, x: float) -> None:
        shapes = shapes_of(desk, y, x)
        number = edits.add(desk, shapes.known[0].proposal, "outline", ladder=shapes.known[0])
        if number is not None:
            desk.shapes[label(number)] = shapes
