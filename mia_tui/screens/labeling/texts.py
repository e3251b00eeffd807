"""The lines around the image while labelling: classes, what is in hand, what was done, and how fast it goes."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual.content import Content

from mia_tui.keymap import Action

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

Rows = tuple[Action, str | None]
"""An action, and why it cannot be done now."""
DIGITS = frozenset(f"class_{digit}" for digit in "0123456789")
PROPOSALS = "proposals"
"""Origin of what is proposed from the image itself."""


def classes_text(desk: "Desk", width: int) -> Content:
    """Key, name and count of each class; the one in hand is marked. What is pending. At the right how fast it goes."""
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
        own = desk.candidates.origin == PROPOSALS
        if desk.pending or not own:
            parts += [f"┅ {len(desk.pending)} pending{'' if own else f' of {desk.candidates.origin}'}   "]
    if desk.labels.areas:
        parts += ["partly annotated"]
    left = Content.assemble(*parts)
    right = next((text for text in desk.tally.texts if left.cell_length + cell_len(text) <= width), "")
    return Content.assemble(left, " " * (width - left.cell_length - cell_len(right)), (right, "dim")) if right else left


def state_text(desk: "Desk", width: int, busy: str) -> Content:
    """The mode or the tool in hand, and what the last key did or why not; at the right *saved*.

    What was said goes first where both do not fit.
    """
    if desk.frame is None:
        return Content("")
    saved = busy or ("viewing only" if desk.read_only else "saved")
    room = width - cell_len(saved) - 2
    head, said = _in_hand(desk)
    if cell_len(head) + 3 + cell_len(said) > room:
        head, said = ("", said) if said else (head, "")
    left = Content.assemble(
        (head, "bold $accent"),
        "   " if head and said else "",
        (said, "$warning" if desk.warning else "$text"),
    )
    if left.cell_length > room:
        left = left.truncate(room, ellipsis=True)
    return Content.assemble(left, " " * max(1, width - left.cell_length - cell_len(saved)), (saved, "dim"))


def _in_hand(desk: "Desk") -> tuple[str, str]:
    """What keys go to (mode or tool), and what is to be said of it."""
    from mia_tui.labeling.desk.tools import tool_in_hand

    mode = desk.mode
    if mode is None:
        title, said = tool_in_hand(desk).title, desk.message or object_text(desk)
        return title if said else f"tool {title}", said
    name, _, how = mode.text.partition(": ")
    return name, desk.message or how


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


FOOTERS = {
    "nothing": ("propose", "add_grid", "tools", "next_image", "model", "classes", "undo"),
    "pending": ("accept_view", "next", "delete_hints", "accept", "choose", "propose", "propose_more", "undo"),
    "labelled": (
        "next",
        "next_image",
        "delete_hints",
        "split_hints",
        "add_grid",
        "undo",
        "choose",
        "tools",
    ),
    "candidate": ("accept", "remove", "grow", "shrink", "next", "accept_view", "undo"),
    "label": ("grow", "shrink", "remove", "object", "undo", "corners", "zoom_object", "next_image"),
}
"""What a person wants next: the ids of actions for the footer, the most wanted first, by what there is."""


def wanted(desk: "Desk") -> tuple[str, ...]:
    """Ids of the actions that the footer should show outside of modes."""
    if desk.find(desk.current) is not None and desk.current is not None:
        return FOOTERS[desk.current.kind]
    return FOOTERS["pending" if desk.pending else "labelled" if desk.labels.objects else "nothing"]


def in_order_of_use(desk: "Desk", of_screen: list[Rows]) -> list[Rows]:
    """The rows of the help: the mode in use, desk and screen, what menus offer (with the menu's key), other modes.

    Digits of no class are left out, and of the others it is said which class they are.
    """
    from mia_tui.labeling.desk.rows import MENUS

    opening = {action.id: action.key_text for action in desk.actions if action.id in MENUS}
    names = {f"class_{entry.key}": entry.name for entry in desk.project.classes}
    here: list[Rows] = []
    root: list[Rows] = []
    menus: list[Rows] = []
    others: list[Rows] = []
    for action in desk.actions:
        row = action, desk.reason(action.id)
        if action.id in DIGITS:
            if action.id in names:
                root.append((replace(action, more=f"{names[action.id]} in hand; the chosen object gets it"), row[1]))
        elif desk.mode is not None and action.context == desk.mode.name:
            here.append(row)
        elif action.context in MENUS:
            menus.append((replace(action, first=opening[action.context]), row[1]))
        else:
            (others if action.context else root).append(row)
    return [*here, *root, *of_screen, *menus, *others]


def menu_text(desk: "Desk", width: int) -> Content | None:
    """What a menu offers, one line each in `width` columns, and below why some of it cannot be done; else None."""
    from mia_tui.labeling.desk.modes import MenuMode

    if not isinstance(desk.mode, MenuMode):
        return None
    actions = desk.mode.actions(desk)
    reasons = {action.id: desk.reason(action.id) for action in actions}
    column = max(cell_len(action.text) for action in actions) + 2
    rows = []
    for action in actions:
        style = ("dim", "dim") if reasons[action.id] else ("bold $accent", "")
        more = action.more if action.more != action.text else ""
        line = Content.assemble(
            (f"{action.key_text:>3}  ", style[0]), (f"{action.text:<{column}}", style[1]), (more, "dim")
        )
        rows.append(line.truncate(width, ellipsis=True))
    for reason in dict.fromkeys(filter(None, reasons.values())):
        rows.append(Content.assemble((f"dimmed: {reason}", "$warning")).truncate(width, ellipsis=True))
    return Content("\n").join(rows)
