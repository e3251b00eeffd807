"""Points of a detection project: one place is one object."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.proposing import places
from mia_tui.labeling.desk.refs import Ref
from mia_tui.labeling.desk.rows import POINTED
from mia_tui.labeling.desk.tools import Tool, tool

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


def is_taken(desk: "Desk", y: float, x: float, but: Ref | None = None) -> bool:
    """Whether another point than `but` is nearer than `edits.TOO_NEAR_PX`."""
    own = but.number if but is not None and but.kind == "label" else None
    others = [item.geometry for item in desk.labels.objects.values() if item.id != own]
    if not others:
        return False
    x_y = shapely.get_coordinates(shapely.centroid(np.array(others, dtype=object)))
    return bool(np.hypot(x_y[:, 0] - x, x_y[:, 1] - y).min() < edits.TOO_NEAR_PX)


@tool("point", "d", "Point", tasks=POINTED, more="A place is an object")
class PointTool(Tool):
    """Adds a point where it is told."""

    how: ClassVar[str] = "enter or a click adds one, a adds them by letters"

    snaps_clicks: ClassVar[bool] = True

    def put(self, desk: "Desk", y: float, x: float) -> None:
        if is_taken(desk, y, x):
            desk.warn(f"There is a point within {edits.TOO_NEAR_PX:.0f} pixels already.")
            return
        edits.add(desk, shapely.Point(x, y), "add point")

    def snaps(self, desk: "Desk") -> NDArray[np.float64]:
        return places(desk)
