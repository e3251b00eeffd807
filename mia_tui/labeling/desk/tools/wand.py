"""Wand: what is as bright as a place and connected with it. Its ladder goes over the tolerance."""

from typing import TYPE_CHECKING, ClassVar

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.rows import OUTLINED
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.wand import outline_of_flood

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


@tool("wand", "w", "Wand", tasks=OUTLINED, more="All that is as bright as a place")
class WandTool(Tool):
    """Adds what a flood reaches."""

    how: ClassVar[str] = "enter takes all that is as bright as what is under the cursor"

    def put(self, desk: "Desk", y: float, x: float) -> None:
        ladder = outline_of_flood(desk.image, (y, x))
        edits.add(desk, ladder.proposal, "wand", ladder=ladder)
