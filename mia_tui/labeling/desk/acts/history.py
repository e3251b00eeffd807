"""Undo, redo, again, and so many times."""

from typing import TYPE_CHECKING

from mia_tui.labeling.desk.modes import CountMode
from mia_tui.labeling.desk.rows import row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Edit"


@row("undo", "u,ctrl+z", "Undo", GROUP, show=True, repeats=False, edits=True)
def undo(desk: "Desk") -> None:
    for _ in range(desk.take_count()):
        text = desk.undo()
        desk.say("Nothing to undo on this image." if text is None else f"Taken back: {text}.")


@row("redo", "U,ctrl+r", "Redo", GROUP, edits=True)
def redo(desk: "Desk") -> None:
    for _ in range(desk.take_count()):
        text = desk.redo()
        desk.say("Nothing to redo on this image." if text is None else f"Done again: {text}.")


@row("again", "full_stop", "Again", GROUP, more="Do the last action again, on the next object")
def again(desk: "Desk") -> None:
    if desk.last is None:
        desk.warn("There is nothing to do again yet.")
    else:
        desk.do(desk.last)


@row(
    "count",
    "semicolon",
    "So many times",
    GROUP,
    more="A count for the next key: ;12. does the last action twelve times",
)
def count(desk: "Desk") -> None:
    desk.enter(CountMode())
