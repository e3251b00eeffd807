"""Seed: one place inside an object gives its outline, with a ladder of larger and smaller ones."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.proposing import places
from mia_tui.labeling.desk.rows import OUTLINED
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.ladder import Ladder
from mia_tui.labeling.seed import outline_at

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


def seeded(desk: "Desk", y: float, x: float) -> Ladder:
    """The outlines of what is at a place, the best one chosen; its size is guessed from what is labelled."""
    return outline_at(desk.image, (y, x), desk.diameter)


@tool("seed", "o", "Outline", tasks=OUTLINED, more="A place in an object gives its outline")
class SeedTool(Tool):
    """Adds the object at a place."""

    how: ClassVar[str] = "enter outlines what is under the cursor, a points by letters"

    def snaps(self, desk: "Desk") -> NDArray[np.float64]:
        return places(desk)

    def put(self, desk: "Desk", y: float, x: float) -> None:
        ladder = seeded(desk, y, x)
        edits.add(desk, ladder.proposal, "outline", ladder=ladder)
