"""Freehand: what the mouse draws with its button pressed is an outline."""

from typing import TYPE_CHECKING

import numpy as np

from mia_tui.labeling import outline
from mia_tui.labeling.desk.tools.brush import BrushTool
from mia_tui.labeling.desk.tools.drawn import annotate, join, new_object, take_away
from mia_tui.labeling.desk.tools.smart import SmartTool

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


def drag(desk: "Desk", path: list[tuple[float, float]], *, shift: bool, ctrl: bool) -> None:
    """A finished drag along (y, x): a stroke of the brush when that is in hand, else a drawn outline.

    Plain it is a new object, with shift added to the object it meets, with control taken away. Among points, a drag
    that begins on one moves it, and any other one is an annotated area.
    """
    mode = desk.mode
    if isinstance(mode, BrushTool | SmartTool):
        mode.stroke(desk, path)
        return
    if desk.project.task != "segmentation" and _moved_point(desk, path):
        return
    geometry = outline.polygon(np.array(path)[:, ::-1])
    if geometry is None:
        return
    if desk.project.task != "segmentation":
        annotate(desk, geometry)
    else:
        use = take_away if ctrl else join if shift else new_object
        use(desk, geometry)


def _moved_point(desk: "Desk", path: list[tuple[float, float]]) -> bool:
    """Move the point on which a drag began to where it ended; False when it began on none."""
    from mia_tui.labeling.desk.acts.moving import move_to

    ref = desk.at(*path[0])
    if ref is None:
        return False
    desk.current = move_to(desk, ref, *path[-1]) or desk.current
    return True
