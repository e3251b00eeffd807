"""What is drawn over an image whose class is being decided."""

import numpy as np
import shapely

from mia_tui.labeling.objects import LabelObject
from mia_tui.project import Project
from mia_tui.screens.frames import UNKNOWN_CLASS, ShownFrame, class_colors
from mia_tui.widgets.mosaic import Layer, trace


def border(shown: ShownFrame, project: Project, label: str | None, predicted: LabelObject | None) -> tuple[Layer, ...]:
    """The border of the image in the colour of its class; dashed in that of the prediction while it has none."""
    name = label if label is not None else predicted.label_class if predicted is not None else None
    if name is None:
        return ()
    height, width = shown.pyramid.size
    color = class_colors(project).get(name, UNKNOWN_CLASS)
    outline = trace([shapely.box(0, 0, width, height)])
    return (Layer(outline, np.array([color], np.uint8), np.array([label is None]), np.array([True])),)
