"""The lines around the image while labelling: classes, what is in hand, what was done, and how fast it goes."""

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual.content import Content

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


def classes_text(desk: "Desk") -> Content:
    """Key, name and count of each class; the one in hand is marked. Then what is pending."""
    if desk.frame is None:
        return Content("")
    counts: dict[str, int] = {}
    for item in desk.labels.objects.values():
        counts[item.label_class] = counts.get(item.label_class, 0) + 1
    parts: list[Any] = []
    for entry in desk.project.classes:
        held = entry.name == desk.class_name
        parts += [("▸" if held else " "), (f"{entry.key or '·'} ", entry.color)]
        parts += [(entry.name, "bold $text" if held else ""), f" {counts.pop(entry.name, 0)}   "]
    parts += [(f"{name}? {count}   ", "dim") for name, count in counts.items()]
    if desk.candidates is not None:
        parts += [f"┅ {len(desk.pending)} pending of {desk.candidates.origin}"]
    if desk.labels.areas:
        parts += ["   partly annotated"]
    return Content.assemble(*parts)


def state_text(desk: "Desk", width: int, busy: str) -> Content:
    """The mode or the last message at the left; at the right *saved* and the speed of this session."""
    from mia_tui.labeling.desk.tools import tool_in_hand

    if desk.frame is None:
        return Content("")
    mode = desk.mode
    left: Any = (object_text(desk) or f"tool {tool_in_hand(desk).title}", "")
    if mode is not None:
        left = (mode.text, "bold $accent")
    if desk.message:
        left = (desk.message, "$warning" if desk.warning else "$text")
    saved = busy or ("viewing only" if desk.read_only else "saved")
    right = f"{desk.tally.text}   {saved}" if desk.tally.text else saved
    space = width - cell_len(left[0]) - cell_len(right)
    if space < 2:
        left = (left[0][: max(0, width - cell_len(right) - 3)] + "…", left[1])
        space = width - cell_len(left[0]) - cell_len(right)
    return Content.assemble(left, " " * max(1, space), (right, "dim"))


def object_text(desk: "Desk") -> str:
    """The chosen object: id, state, class, score and size; empty when none is chosen."""
    item = desk.find(desk.current)
    if item is None or desk.current is None:
        return ""
    points = item.geometry.geom_type == "Point"
    facts = [
        f"object {desk.current.number}",
        "pending" if desk.current.kind == "candidate" else "label",
        item.label_class or desk.class_name,
        "" if item.score is None else f"score {item.score:.2f}",
        "a point" if points else f"{item.geometry.area:.0f} px",
    ]
    return "   ".join(filter(None, facts))


def menu_text(desk: "Desk") -> Content | None:
    """What a menu offers, one line each; None outside menus."""
    from mia_tui.labeling.desk.modes import MenuMode

    if not isinstance(desk.mode, MenuMode):
        return None
    rows = []
    for action in desk.mode.actions(desk):
        reason = desk.reason(action.id)
        style = ("dim", "dim") if reason else ("bold $accent", "")
        more = f"  {reason or action.more}"
        rows.append(
            Content.assemble((f"{action.key_text:>5}", style[0]), (f"  {action.text}", style[1]), (more, "dim"))
        )
    return Content("\n").join(rows)
