"""What a drawn outline is for: a new object, more of one, less of some, or where the frame is annotated."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling import outline
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.refs import label
from mia_tui.labeling.desk.rows import BOTH, OUTLINED, Why, row
from mia_tui.labeling.objects import LabelObject

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

Close = Callable[["Desk"], BaseGeometry | None]


def new_object(desk: "Desk", geometry: BaseGeometry) -> None:
    """A new object of the class in hand."""
    edits.add(desk, geometry, "draw")


def join(desk: "Desk", geometry: BaseGeometry) -> None:
    """Add to the labels of the class in hand that it meets; several become one. Meeting none it is a new object."""
    shape = edits.clipped(desk, geometry)
    met = [] if shape is None else [item for item in under(desk, shape) if item.label_class == desk.class_name]
    if shape is None or not met:
        new_object(desk, geometry)
        return
    own = [item.id for item in met]
    rest = edits.without_others(desk, shape, own)
    joined = None if rest is None else edits.outlines_of(shapely.union_all([rest, *(item.geometry for item in met)]))
    if joined is None:
        return
    source = "manual" if met[0].source == "manual" else "corrected"
    desk.store.edit("add to object", add=[replace(met[0], geometry=joined, source=source)], remove=own)
    desk.choose(label(met[0].id), reveal=False)
    desk.forget_ladder(label(met[0].id))


def take_away(desk: "Desk", geometry: BaseGeometry) -> None:
    """Take the drawn area from the chosen label, or without one from all labels of the class in hand."""
    chosen = desk.find(desk.current)
    if isinstance(chosen, LabelObject):
        met = [chosen]
    else:
        met = [item for item in under(desk, geometry) if item.label_class == desk.class_name]
    new = []
    for item in met:
        left = outline.subtract(item.geometry, geometry, desk.opened.size)
        if left is not None:
            new.append(replace(item, geometry=left, source="manual" if item.source == "manual" else "corrected"))
        desk.forget_ladder(label(item.id))
    if not met:
        desk.warn(f"No object of the class {desk.class_name} is there.")
        return
    desk.store.edit("take away", add=new, remove=[item.id for item in met])


def annotate(desk: "Desk", geometry: BaseGeometry) -> None:
    """The drawn area is annotated: all objects in it are labelled. Outside of all such areas nothing is learnt."""
    shape = edits.clipped(desk, geometry)
    if shape is None:
        desk.warn("It lies outside the image.")
        return
    joined = shapely.union_all([*desk.labels.areas, shape])
    desk.store.set_areas(shapely.get_parts(joined).tolist(), "annotated area")
    desk.say("Area added. Outside of the areas nothing is learnt.")


def under(desk: "Desk", geometry: BaseGeometry) -> list[LabelObject]:
    """The labels with an area that a geometry meets or touches along an edge."""
    return [
        item
        for item in desk.labels.objects.values()
        if item.geometry.geom_type != "Point" and shapely.intersects(item.geometry, geometry)
    ]


def ways(context: str, group: str, close: Close, why: Why) -> None:
    """Register the keys with which a drawn outline is closed: `close` gives it and ends the drawing."""
    for name, key, text, more, use, tasks in (
        ("new", "space", "New object", "Close it: a new object", new_object, OUTLINED),
        ("join", "m", "Add to object", "Close it: add it to the object that it meets", join, OUTLINED),
        ("take", "d", "Take away", "Close it: take it away from what is there", take_away, OUTLINED),
        ("area", "r", "Annotated", "Close it: here everything is annotated", annotate, BOTH),
    ):
        _register(context, group, close, why, (name, key, text, more, tasks), use)


def _register(
    context: str,
    group: str,
    close: Close,
    why: Why,
    entry: tuple[str, str, str, str, tuple[str, ...]],
    use: Callable[["Desk", BaseGeometry], None],
) -> None:
    name, key, text, more, tasks = entry

    def do(desk: "Desk") -> None:
        geometry = close(desk)
        if geometry is None:
            desk.warn("That has no area.")
        else:
            use(desk, geometry)

    row(f"{context}_{name}", key, text, group, context=context, more=more, why=why, tasks=tasks, edits=True)(do)
