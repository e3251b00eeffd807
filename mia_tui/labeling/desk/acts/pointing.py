"""Ways to point: hints on objects, the grid, the cursor."""

from typing import TYPE_CHECKING, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from mia_tui.labeling import outline
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.hints import Target
from mia_tui.labeling.desk.modes import GridMode, HintMode
from mia_tui.labeling.desk.refs import Ref, label
from mia_tui.labeling.desk.rows import OUTLINED, row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Point at"


def no_objects(desk: "Desk") -> str | None:
    return None if desk.labels.objects or desk.pending else "There are no objects yet. space proposes some, a adds one."


def no_labels(desk: "Desk") -> str | None:
    return None if desk.labels.objects else "There are no labels yet. A accepts what is proposed, a adds one."


def ref_of(target: Target) -> Ref:
    return cast(Ref, target.what)


def everything(desk: "Desk") -> list[Target]:
    return desk.targets()


def labels_only(desk: "Desk") -> list[Target]:
    return desk.targets(candidates=False)


@row(
    "choose",
    "apostrophe",
    "Choose",
    GROUP,
    more="Choose an object by hint: the letters that appear on it",
    why=no_objects,
)
def choose(desk: "Desk") -> None:
    desk.enter(
        HintMode(
            "choose: type the letters on an object",
            everything,
            lambda d, target: d.choose(ref_of(target), reveal=False),
        )
    )


@row("delete_hints", "d", "Delete by hint", GROUP, more="Delete or reject objects by hint, until escape",
     why=no_objects, edits=True)  # fmt: skip
def delete_hints(desk: "Desk") -> None:
    def act(desk: "Desk", target: Target) -> None:
        ref = ref_of(target)
        edits.remove(desk, [ref], f"delete {ref.number}")

    desk.enter(HintMode("delete: type the letters on objects, esc ends", everything, act, sticky=True))


@row("class_hints", "r", "Re-class by hint", GROUP, more="Give objects the class in hand by hint, until escape",
     why=no_objects, edits=True)  # fmt: skip
def class_hints(desk: "Desk") -> None:
    desk.enter(HintMode(
        f"class {desk.class_name}: type the letters on objects, esc ends", everything,
        lambda d, target: edits.set_class(d, ref_of(target), d.class_name), sticky=True,
    ))  # fmt: skip


@row("merge_hints", "m", "Merge by hints", GROUP, more="Merge two labels by their hints", tasks=OUTLINED, why=no_labels,
     edits=True)  # fmt: skip
def merge_hints(desk: "Desk") -> None:
    def outlines(desk: "Desk") -> list[Target]:
        return [t for t in labels_only(desk) if desk.labels.objects[ref_of(t).number].geometry.geom_type != "Point"]

    def first(desk: "Desk", target: Target) -> None:
        one = ref_of(target)
        others = lambda d: [t for t in outlines(d) if t.what != one]  # noqa: E731
        desk.choose(one, reveal=False)
        desk.enter(
            HintMode(
                f"merge {one.number}: type the letters on the object that belongs to it",
                others,
                lambda d, t: merge(d, one, ref_of(t)),
            )
        )

    desk.enter(HintMode("merge: type the letters on the first of the two", outlines, first))


def merge(desk: "Desk", one: Ref, other: Ref) -> None:
    """Join two labels to one object with the id and class of the first, as one undo step."""
    from dataclasses import replace

    a, b = desk.labels.objects[one.number], desk.labels.objects[other.number]
    source = "manual" if a.source == "manual" else "corrected"
    shapes = [outline.valid(item.geometry, desk.opened.size) for item in (a, b)]
    whole = edits.outlines_of(shapely.union_all([shape for shape in shapes if shape is not None]))
    if whole is None:
        desk.warn("Nothing was merged: neither of them lies on the image.")
        return
    joined = replace(a, geometry=whole, source=source)
    came_from = None if desk.candidates is None else desk.candidates.number_of(b)
    if desk.candidates is not None and came_from is not None:
        desk.candidates.reject([came_from], desk.labels)  # as an object of its own it is no more wanted
    desk.store.edit(f"merge {a.id} and {b.id}", add=[joined], remove=[a.id, b.id])
    desk.ladders.pop(one, None)
    desk.ladders.pop(label(b.id), None)
    desk.choose(one, reveal=False)


def all_lettered(desk: "Desk") -> str | None:
    mode = desk.mode
    return None if isinstance(mode, HintMode) and mode.has_more else "All objects in view have letters."


@row("hints_further", "tab", "Further hints", GROUP, context=HintMode.name, more="Letters for the objects without one",
     why=all_lettered)  # fmt: skip
def further(desk: "Desk") -> None:
    mode = desk.mode
    if isinstance(mode, HintMode):
        mode.further(desk)


@row("hints_back", "backspace", "Last letter back", GROUP, context=HintMode.name)
def letter_back(desk: "Desk") -> None:
    mode = desk.mode
    if isinstance(mode, HintMode):
        mode.typed = mode.typed[:-1]


@row("grid_take", "enter", "Here", GROUP, context=GridMode.name, more="Take the place that the grid stands on")
def grid_take(desk: "Desk") -> None:
    mode = desk.mode
    if isinstance(mode, GridMode):
        mode.take(desk)


@row("grid_restart", "backspace", "Whole view", GROUP, context=GridMode.name, more="The grid over the whole view again")
def grid_restart(desk: "Desk") -> None:
    mode = desk.mode
    if isinstance(mode, GridMode):
        mode.restart(desk)


# ---- places ----------------------------------------------------------------------------------------------------------


@row("add_grid", "a", "Add", GROUP, more="Add objects by a grid of letters, until escape", edits=True)
def add_grid(desk: "Desk") -> None:
    desk.enter(GridMode("add: letter by letter, in capitals exactly there; a digit: its class", put, places_to_add))


def put(desk: "Desk", y: float, x: float) -> None:
    """Give a place to the tool in hand."""
    from mia_tui.labeling.desk.tools import tool_in_hand

    tool_in_hand(desk).put(desk, y, x)


def places_to_add(desk: "Desk") -> NDArray[np.float64]:
    """(N, 2) of (y, x): where the grid snaps to, without what is labelled or proposed already."""
    from mia_tui.labeling.desk.tools import tool_in_hand

    return tool_in_hand(desk).snaps(desk)


@row("put_snapped", "grave_accent", "Add near the cursor", GROUP, edits=True,
     more="Add what may be an object nearest to the cursor")  # fmt: skip
def put_snapped(desk: "Desk") -> None:
    from mia_tui.labeling.desk.tools import tool_in_hand

    y, x = desk.cursor
    put(desk, *tool_in_hand(desk).snapped(desk, y + 0.5, x + 0.5))


@row("put_cursor", "enter", "Add at the cursor", GROUP, edits=True)
def put_cursor(desk: "Desk") -> None:
    y, x = desk.cursor
    desk.put(y + 0.5, x + 0.5)
