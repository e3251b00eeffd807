"""What is drawn over an image whose class is being decided."""

import numpy as np
import shapely

from mia_tui.project import Project
from mia_tui.screens.frames import UNKNOWN_CLASS, class_colors
from mia_tui.widgets.canvas.overlay import trace
from mia_tui.widgets.canvas.scene import Layer


def border(size: tuple[int, int], project: Project, name: str | None, *, dashed: bool) -> tuple[Layer, ...]:
    """The border of an image of `size` (height, width) in the colour of a class; nothing without one."""
    if name is None:
        return ()
    height, width = size
    color = class_colors(project).get(name, UNKNOWN_CLASS)
    outline = trace([shapely.box(0, 0, width, height)])
    return (Layer(outline, np.array([color], np.uint8), np.array([dashed]), np.array([True])),)
