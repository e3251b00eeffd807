"""How labels change at the desk: every function here is one undo step, on disk when it returns."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling import outline
from mia_tui.labeling.desk.candidates import Candidate
from mia_tui.labeling.desk.refs import Ref, candidate, label
from mia_tui.labeling.ladder import Ladder, Shapes
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.raster import fill
from mia_tui.labeling.review import check_classes

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

LARGE = 0.25
"""A new object that takes more of the image than this is pointed out."""
TOO_NEAR_PX = 3.0
"""A point nearer than this to another one of the frame is refused: it is the same object."""


def add(desk: "Desk", geometry: BaseGeometry, text: str, *, ladder: Ladder | None = None) -> int | None:
    """A new object of the class in hand, as one undo step; its id.

    Its outline is clipped to the image, and leaves what belongs to other labels to them.
    """
    shape = clipped(desk, geometry)
    if shape is not None:
        shape = without_others(desk, shape, ())
    if shape is None:
        desk.warn("Nothing was added: that place is labelled already, outside the image, or smaller than a pixel.")
        return None
    new = LabelObject(desk.store.new_id(), shape, desk.class_name)
    desk.store.edit(text, add=[new])
    desk.tally.objects += 1
    desk.current = label(new.id)
    if ladder is not None:
        desk.ladders[desk.current] = ladder
    share = shape.area / (desk.opened.size[0] * desk.opened.size[1])
    if share > LARGE:  # a place beside the objects outlines the ground
        desk.say(f"That object takes {share:.0%} of the image. u takes it back.")
    return new.id


def change(desk: "Desk", ref: Ref, geometry: BaseGeometry, text: str) -> Ref | None:
    """Give an object another outline, as one undo step. A candidate becomes a (corrected) label by it."""
    item = desk.find(ref)
    own = (ref.number,) if ref.kind == "label" else ()
    shape = clipped(desk, geometry)
    if shape is not None:
        shape = without_others(desk, shape, own)
    if item is None or shape is None:
        desk.warn("Nothing was changed: nothing would be left of the object.")
        return None
    if isinstance(item, LabelObject):
        source = "manual" if item.source == "manual" else "corrected"
        desk.store.edit(text, add=[replace(item, geometry=shape, source=source)], remove=[item.id])
        return ref
    return _take_corrected(desk, replace(item, geometry=shape), text)


def replace_by(desk: "Desk", ref: Ref, pieces: Sequence[BaseGeometry], text: str) -> None:
    """Put several objects of the same class in the place of one, as one undo step. The first keeps its id."""
    item = desk.find(ref)
    if item is None:
        return
    if not isinstance(item, LabelObject):
        ref = _take_corrected(desk, replace(item, geometry=pieces[0]), text)
        item = desk.labels.objects[ref.number]
        new = [LabelObject(desk.store.new_id(), piece, item.label_class, item.source) for piece in pieces[1:]]
        desk.store.edit(text, add=new)
        return
    source = "manual" if item.source == "manual" else "corrected"
    first = replace(item, geometry=pieces[0], source=source)
    rest = [replace(first, id=desk.store.new_id(), geometry=piece, origin=None) for piece in pieces[1:]]
    desk.store.edit(text, add=[first, *rest], remove=[item.id])
    desk.tally.objects += len(rest)
    desk.forget_ladder(ref)


def _take_corrected(desk: "Desk", item: Candidate, text: str) -> Ref:
    assert desk.candidates is not None
    new = label(desk.candidates.take(desk.store, [item], text, "corrected", desk.class_name)[0])
    desk.tally.objects += 1
    ladder = desk.ladders.pop(candidate(item.number), item.ladder)
    if ladder is not None:
        desk.ladders[new] = ladder
    _carry_shapes(desk, item, new)
    if desk.current == candidate(item.number):
        desk.current = new
    return new


def set_class(desk: "Desk", ref: Ref, name: str) -> None:
    """Give an object another class, as one undo step."""
    item = desk.find(ref)
    if item is None or item.label_class == name:
        return
    text = f"class {name}"
    if isinstance(item, LabelObject):
        source = "manual" if item.source == "manual" else "corrected"
        desk.store.edit(text, add=[replace(item, label_class=name, source=source)], remove=[item.id])
        return
    shape = clipped(desk, item.geometry)
    if shape is not None:
        shape = without_others(desk, shape, ())
    if shape is None:
        desk.warn("Its place is labelled already. x rejects it.")
        return
    _take_corrected(desk, replace(item, label_class=name, geometry=shape), text)


def remove(desk: "Desk", refs: Sequence[Ref], text: str) -> None:
    """Delete labels and reject candidates; the candidate that a deleted label came from is rejected, too."""
    labels = [ref.number for ref in refs if ref.kind == "label" and ref.number in desk.labels.objects]
    numbers = [ref.number for ref in refs if ref.kind == "candidate"]
    if desk.candidates is not None:
        came_from = (desk.candidates.number_of(desk.labels.objects[number]) for number in labels)
        numbers += [number for number in came_from if number is not None]
    if numbers and desk.candidates is not None:
        desk.candidates.reject(numbers, desk.labels)
    if labels:
        desk.store.edit(text, remove=labels)
    if desk.current in refs:
        desk.current = None


def accept(desk: "Desk", chosen: Sequence[Candidate], text: str) -> int:
    """Make candidates labels, as one undo step, but for those that would cover labels; how many were made."""
    assert desk.candidates is not None
    check_classes(desk.project, desk.candidates.origin, {item.label_class for item in chosen} - {""})
    fitting = _fitting(desk, chosen)
    if not fitting:
        return 0
    ids = desk.candidates.take(desk.store, fitting, text, "accepted", desk.class_name)
    desk.tally.objects += len(ids)
    for item, number in zip(fitting, ids, strict=True):
        ladder = desk.ladders.pop(candidate(item.number), item.ladder)
        if ladder is not None:
            desk.ladders[label(number)] = ladder
        _carry_shapes(desk, item, label(number))
    desk.forget_gone()
    return len(ids)


def _carry_shapes(desk: "Desk", item: Candidate, new: Ref) -> None:
    """A label keeps the other shapes of the candidate it came from, also when that is no more on the desk."""
    assert desk.candidates is not None
    shapes = desk.shapes.pop(candidate(item.number), None)
    desk.shapes[new] = shapes or Shapes(partial(desk.candidates.ladders, item.number, new.number))


def _fitting(desk: "Desk", chosen: Sequence[Candidate]) -> list[Candidate]:
    """The candidates as they can be labels: in the image, without what belongs to labels or to the ones before.

    One of which half or less would be left is left out, and a point that is nearer than `TOO_NEAR_PX` to another one.
    """
    places = [shapely.get_coordinates(shapely.centroid(item.geometry))[0] for item in desk.labels.objects.values()]
    shapes = [clipped(desk, item.geometry) for item in chosen]
    labelled = [item.geometry for item in desk.labels.objects.values() if item.geometry.geom_type != "Point"]
    labels, others = shapely.STRtree(labelled), shapely.STRtree([shape or shapely.Polygon() for shape in shapes])
    taken: dict[int, BaseGeometry] = {}
    fitting = []
    for index, (item, shape) in enumerate(zip(chosen, shapes, strict=True)):
        rest = shape
        if shape is not None and shape.geom_type != "Point":
            near = [labelled[i] for i in labels.query(shape)]
            near += [taken[i] for i in others.query(shape).tolist() if i in taken]
            rest = without(desk, shape, near)
        if rest is None or rest.area < item.geometry.area / 2:
            continue
        if rest.geom_type != "Point":
            taken[index] = rest
        else:
            at = shapely.get_coordinates(rest)[0]
            if places and np.hypot(*(np.array(places) - at).T).min() < TOO_NEAR_PX:
                continue
            places.append(at)
        fitting.append(item if rest is item.geometry else replace(item, geometry=rest))
    return fitting


def clipped(desk: "Desk", geometry: BaseGeometry) -> BaseGeometry | None:
    """The part of a geometry that lies on the image, made valid; None when it covers no pixel there."""
    height, width = desk.opened.size
    if geometry.geom_type == "Point":
        if geometry.is_empty:
            return None
        x, y = shapely.get_coordinates(geometry)[0]
        return geometry if 0 <= x < width and 0 <= y < height else None
    return on_pixels(desk, outline.valid(geometry, (height, width)))


def on_pixels(desk: "Desk", geometry: BaseGeometry | None) -> BaseGeometry | None:
    """A geometry without the parts that cover no pixel; None when nothing is left."""
    if geometry is None or geometry.geom_type == "Point":
        return geometry
    parts = outline.polygons(geometry)
    kept = [part for part in parts if fill(part, desk.opened.size)[2].any()]
    if len(kept) == len(parts):
        return geometry
    return (kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept)) if kept else None


def without_others(desk: "Desk", geometry: BaseGeometry, own: Sequence[int]) -> BaseGeometry | None:
    """What is left of a geometry when labels keep what they have."""
    if geometry.geom_type == "Point":
        return geometry
    return without(desk, geometry, [item.geometry for item in desk.overlapping(geometry, own)])


def without(desk: "Desk", geometry: BaseGeometry, others: Sequence[BaseGeometry]) -> BaseGeometry | None:
    """What is left of an outline without the areas of others, which may cross themselves; None without a pixel."""
    size = desk.opened.size
    areas = [area for area in (outline.valid(other, size) for other in others) if area is not None]
    meeting = [area for area in areas if geometry.intersects(area) and not geometry.touches(area)]
    if not meeting:
        return geometry
    return on_pixels(desk, outlines_of(geometry.difference(shapely.union_all(meeting))))


def outlines_of(geometry: BaseGeometry) -> BaseGeometry | None:
    """The polygons of a geometry (an intersection may leave lines and points too); None without any."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return None if geometry.is_empty or geometry.area == 0 else geometry
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type in ("Polygon", "MultiPolygon")]
    polygons = [polygon for part in parts for polygon in shapely.get_parts(part) if polygon.area > 0]
    if not polygons:
        return None
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
