"""Annotated areas of partly labelled images. Tools draw them (`r` closes a drawing as one); these do without."""

from typing import TYPE_CHECKING

import shapely

from mia_tui.labeling.desk.acts.objects import MENU
from mia_tui.labeling.desk.rows import row
from mia_tui.labeling.desk.tools.drawn import annotate

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


@row("area_view", "v", "The view is annotated", "Annotated area", context=MENU, edits=True,
     more="All in view is labelled: training learns there")  # fmt: skip
def annotate_view(desk: "Desk") -> None:
    annotate(desk, shapely.box(*desk.view_box))


def no_areas(desk: "Desk") -> str | None:
    return None if desk.labels.areas else "The whole image counts as annotated already."


@row("area_clear", "V", "All is annotated", "Annotated area", context=MENU, why=no_areas, edits=True,
     more="Forget the areas: the whole image is annotated")  # fmt: skip
def clear(desk: "Desk") -> None:
    desk.store.set_areas([], "all is annotated")
