"""Seed: one place inside an object gives its outline, with a ladder of larger and smaller ones."""

from typing import TYPE_CHECKING

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.candidates import Ladder
from mia_tui.labeling.desk.rows import OUTLINED
from mia_tui.labeling.desk.tools import Tool, tool

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


def seeded(desk: "Desk", y: float, x: float) -> Ladder | None:
    """The outlines of what is at a place, the best one chosen."""
    return None


@tool(
    "seed",
    "o",
    "Outline",
    tasks=OUTLINED,
    more="One place in an object gives its outline; w and s make it larger or smaller",
)
class SeedTool(Tool):
    """Adds the object at a place."""

    def put(self, desk: "Desk", y: float, x: float) -> None:
        ladder = seeded(desk, y, x)
        if ladder is None:
            desk.warn("Nothing stands out there. Draw it: t p polygon, t s spline.")
        else:
            edits.add(desk, ladder.geometry, "outline", ladder=ladder)
