"""Undo, redo, again, and so many times."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mia_tui.labeling.desk.modes import CountMode
from mia_tui.labeling.desk.rows import row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Edit"


@row("undo", "u,ctrl+z", "Undo", GROUP, edits=True)
def undo(desk: "Desk") -> None:
    step(desk, desk.undo, "Taken back", "Nothing to undo on this image.")


def step(desk: "Desk", take: Callable[[], str | None], done: str, nothing: str) -> None:
    """Undo or redo as often as the count says, and say what was done."""
    texts: list[str] = []
    for _ in range(desk.take_count()):
        text = take()
        if text is None:
            break
        texts.append(text)
    if not texts:
        desk.say(nothing)
    else:
        desk.say(f"{done}: {texts[-1]}." if len(texts) == 1 else f"{done}: {len(texts)} steps, the last {texts[-1]}.")


@row("redo", "U,ctrl+r", "Redo", GROUP, edits=True)
def redo(desk: "Desk") -> None:
    step(desk, desk.redo, "Done again", "Nothing to redo on this image.")


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


@row("count_back", "backspace", "Last digit back", GROUP, context=CountMode.name)
def digit_back(desk: "Desk") -> None:
    mode = desk.mode
    if isinstance(mode, CountMode):
        mode.back(desk)
