"""Points of a detection project: one place is one object."""

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.proposing import places
from mia_tui.labeling.desk.rows import POINTED
from mia_tui.labeling.desk.tools import Tool, tool

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

TOO_NEAR_PX = 3.0
"""A point nearer than this to another one of the frame is refused: it is the same object."""


@tool("point", "d", "Point", tasks=POINTED, more="A place is an object")
class PointTool(Tool):
    """Adds a point where it is told."""

    def put(self, desk: "Desk", y: float, x: float) -> None:
        points = np.array(
            [shapely.get_coordinates(item.geometry).mean(axis=0) for item in desk.labels.objects.values()]
        )
        if len(points) and np.hypot(points[:, 0] - x, points[:, 1] - y).min() < TOO_NEAR_PX:
            desk.warn(f"There is a point within {TOO_NEAR_PX:.0f} pixels already.")
            return
        edits.add(desk, shapely.Point(x, y), "add point")

    def snaps(self, desk: "Desk") -> NDArray[np.float64]:
        return places(desk)
