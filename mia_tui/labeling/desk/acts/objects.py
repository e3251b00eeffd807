"""What can be done with the outline of an object: grow, shrink, split, and the menu of forms."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling import outline
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.deciding import nothing_current
from mia_tui.labeling.desk.acts.pointing import everything, no_labels, no_objects, ref_of
from mia_tui.labeling.desk.hints import Target
from mia_tui.labeling.desk.modes import GridMode, HintMode
from mia_tui.labeling.desk.refs import Ref, label
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.objects import LabelObject

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Outline"
MENU = "object"
SECOND = 0.5


def outline_missing(desk: "Desk") -> str | None:
    """Why the outline of the chosen object cannot be changed."""
    reason = nothing_current(desk)
    if reason is not None:
        return reason
    item = desk.find(desk.current)
    return "A point has no outline." if item is not None and item.geometry.geom_type == "Point" else None


# ---- larger and smaller ----------------------------------------------------------------------------------------------


def rung(desk: "Desk", ref: Ref, step: int) -> None:
    """Take an object one rung up (1) or down (-1) its ladder; one without a ladder grows or shrinks by a pixel."""
    item = desk.find(ref)
    if item is None:
        return
    ladder = desk.ladder_of(ref)
    if ladder is None:
        grown = outline.grow(item.geometry, step, desk.opened.size)
        if grown is None:
            desk.warn("Smaller it would be gone. x deletes it.")
            return
        edits.change(desk, ref, grown, "grow" if step > 0 else "shrink")
        return
    other = ladder.step(step)
    if other is None:
        desk.ladders[ref] = ladder  # past its end go on pixel by pixel
        desk.forget_ladder(ref)
        rung(desk, ref, step)
        return
    changed = edits.change(desk, ref, other.proposal, "grow" if step > 0 else "shrink")
    if changed is not None:
        desk.stand_on(changed, other)


def change_size(desk: "Desk", step: int) -> None:
    """Grow or shrink the chosen object."""
    if desk.current is not None:
        rung(desk, desk.current, step)


for _name, _key, _step, _text in (("grow", "w", 1, "Larger"), ("shrink", "s", -1, "Smaller")):
    row(_name, _key, _text, GROUP, args=(_step,), more=f"{_text}: the next outline of its ladder", tasks=OUTLINED,
        why=outline_missing, repeats=True, edits=True)(change_size)  # fmt: skip


def no_shapes(desk: "Desk") -> str | None:
    """Why the chosen object has no other shapes."""
    reason = outline_missing(desk)
    if reason is None and desk.current is not None and desk.shapes_of(desk.current) is None:
        return "Only what was proposed (space) or found by a tool has other shapes. comma and p lay a spline over it."
    return reason


def shape(desk: "Desk", way: int) -> None:
    """Give the chosen object the next likely shape (1), or the one before (-1)."""
    shapes = None if desk.current is None else desk.shapes_of(desk.current)
    if desk.current is None or shapes is None:
        return
    ladder = shapes.step(way)
    if ladder is None:
        desk.warn("No other shape is likely there.")
        return
    changed = edits.change(desk, desk.current, ladder.proposal, "other shape")
    if changed is not None:
        desk.stand_on(changed, ladder)
        desk.say(f"Shape {shapes.at + 1}. w and s change its size, u takes it back.")


for _name, _key, _step, _text in (("shape", "v", 1, "Other shape"), ("shape_before", "V", -1, "Shape before")):
    row(_name, _key, _text, GROUP, args=(_step,), tasks=OUTLINED, why=no_shapes, repeats=True, edits=True,
        more="The next likely shape of what is there" if _step > 0 else "")(shape)  # fmt: skip


for _context, _group in ((HintMode.name, "Point at"), (GridMode.name, "Point at")):
    for _key, _text, _step, _change in (
        ("up", "Last one larger", 1, change_size), ("down", "Last one smaller", -1, change_size),
        ("right", "Last one: other shape", 1, shape), ("left", "Last one: shape before", -1, shape),
    ):  # fmt: skip
        row(f"{_context}_{_key}", _key, _text, _group, context=_context, args=(_step,), tasks=OUTLINED, edits=True,
            why=outline_missing if _change is change_size else no_shapes)(_change)  # fmt: skip


def size_hints(desk: "Desk", step: int) -> None:
    """Grow or shrink objects by hint, until escape."""

    def act(desk: "Desk", target: Target) -> None:
        desk.choose(ref_of(target), reveal=False)
        rung(desk, ref_of(target), step)

    word = "larger" if step > 0 else "smaller"
    desk.enter(HintMode(f"{word}: type letters, ↑ ↓ change the last one, esc ends", everything, act, sticky=True))


for _name, _key, _step, _text in (("grow_hints", "W", 1, "Larger"), ("shrink_hints", "S", -1, "Smaller")):
    row(_name, _key, f"{_text} by hint", GROUP, args=(_step,), more=f"{_text} by hint, until escape", tasks=OUTLINED,
        why=no_objects, edits=True)(size_hints)  # fmt: skip


# ---- split -----------------------------------------------------------------------------------------------------------


@row("split_hints", "slash", "Split by hint", GROUP, more="Split objects at their waist by hint, until escape",
     tasks=OUTLINED, why=no_objects, edits=True)  # fmt: skip
def split_hints(desk: "Desk") -> None:
    def act(desk: "Desk", target: Target) -> None:
        split(desk, ref_of(target))

    desk.enter(HintMode("split: type the letters on objects, esc ends", everything, act, sticky=True))


def split(desk: "Desk", ref: Ref, points: list[tuple[float, float]] | None = None) -> None:
    """Split an object in two, between points or between its two widest places, as one undo step."""
    item = desk.find(ref)
    if item is None:
        return
    size = desk.opened.size
    pieces = outline.split(item.geometry, points or widest_places(item.geometry, size), size)
    if len(pieces) < 2:
        desk.warn("It cannot be split there.")
        return
    edits.replace_by(desk, ref, pieces, "split")


def widest_places(geometry: BaseGeometry, shape: tuple[int, int]) -> list[tuple[float, float]]:
    """The two places (y, x) in an object that are widest and far from each other; else two along its longer side.

    The first is the pixel deepest inside. The second is the one that is deepest when what is nearer to the first than
    the first's own depth (and half as much again) is left out. It has to be `SECOND` as deep, or it is only a corner.
    """
    from scipy.ndimage import distance_transform_edt

    from mia_tui.labeling.window import window_over

    window = window_over(geometry, shape)
    mask = window.pixels(geometry)
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    rows, columns = np.nonzero(mask)
    distance = np.hypot(rows - y, columns - x)
    far = np.flatnonzero(distance > 1.5 * depth[y, x])
    other = far[np.argmax(depth[rows[far], columns[far]])] if len(far) else None
    if other is not None and depth[rows[other], columns[other]] >= SECOND * depth[y, x]:
        places = np.array([(y, x), (rows[other], columns[other])], float)
    else:
        pixels = np.stack([rows, columns], axis=1).astype(float)
        middle = pixels.mean(axis=0)
        _, spread, axes = np.linalg.svd(pixels - middle, full_matrices=False)
        step = axes[0] * spread[0] / np.sqrt(len(pixels))
        places = np.array([middle - step, middle + step])
    return [(float(row) + window.top + 0.5, float(column) + window.left + 0.5) for row, column in places]


# ---- form ------------------------------------------------------------------------------------------------------------

Form = Callable[[BaseGeometry, tuple[int, int]], BaseGeometry | None]


def form(desk: "Desk", text: str, change: Form) -> None:
    """Change the outline of the chosen object."""
    item = desk.find(desk.current)
    if item is None or desk.current is None:
        return
    changed = change(item.geometry, desk.opened.size)
    if changed is None:
        desk.warn("Nothing would be left of it.")
    elif edits.change(desk, desk.current, changed, text) is not None:
        desk.say(f"{text}. u takes it back.")


FORMS: tuple[tuple[str, str, str, Form], ...] = (
    ("fill", "f", "Fill its holes", outline.fill_holes),
    ("smooth", "s", "Smooth", outline.smooth),
    ("convex", "c", "Convex hull", outline.convex),
    ("expand", "plus,equals_sign", "One pixel larger", lambda geometry, shape: outline.grow(geometry, 1, shape)),
    ("erode", "minus", "One pixel smaller", lambda geometry, shape: outline.grow(geometry, -1, shape)),
)
for _name, _key, _text, _form in FORMS:
    row(f"object_{_name}", _key, _text, "Object", context=MENU, args=(_text.lower(), _form), tasks=OUTLINED,
        why=outline_missing, edits=True, repeats=True)(form)  # fmt: skip


@row("fill_all", "F", "Fill the holes of all", "Object", context=MENU, tasks=OUTLINED, why=no_labels, edits=True)
def fill_all(desk: "Desk") -> None:
    change_all(desk, "fill holes", lambda item: outline.fill_holes(item.geometry, desk.opened.size))


@row("drop_small", "m", "Drop small ones", "Object", context=MENU, tasks=OUTLINED, why=no_labels, edits=True,
     more="Delete labels below a size: ;50,m below 50 px")  # fmt: skip
def drop_small(desk: "Desk") -> None:
    pixels = desk.memory["min_size"] = desk.asked or desk.memory.get("min_size", 10)
    small = [item.id for item in desk.labels.objects.values() if 0 < item.geometry.area < pixels]
    if not small:
        desk.say(f"No label is smaller than {pixels} pixels.")
        return
    edits.remove(desk, [label(number) for number in small], f"delete {len(small)} below {pixels} px")
    desk.say(f"{len(small)} labels below {pixels} pixels deleted. u takes it back.")


def change_all(desk: "Desk", text: str, change: Callable[[LabelObject], BaseGeometry | None]) -> None:
    """Change the outlines of all labels, as one undo step."""
    new = []
    for item in desk.labels.objects.values():
        changed = change(item) if item.geometry.geom_type != "Point" else None
        if changed is not None and not changed.equals(item.geometry):
            source = "manual" if item.source == "manual" else "corrected"
            new.append(replace(item, geometry=changed, source=source))
    if not new:
        desk.say("Nothing has changed.")
        return
    desk.store.edit(f"{text} of {len(new)}", add=new, remove=[item.id for item in new])
    desk.say(f"{len(new)} labels changed. u takes it back.")
