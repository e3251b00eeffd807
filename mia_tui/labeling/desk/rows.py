"""The table of what can be done at the desk: one row per action, registered where it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mia_tui.keymap import Action

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

Why = Callable[["Desk"], str | None]
Do = Callable[..., None]

OUTLINED = ("segmentation",)
POINTED = ("detection",)
BOTH = (*OUTLINED, *POINTED)


@dataclass(frozen=True)
class Row:
    """One action of the desk.

    Attributes
    ----------
    action : Action
        Id, keys, text, group and context (the name of the mode in which its keys count, "" for the desk itself).
    do : function
        Called with the desk and `action.args`.
    why : function, optional
        Says why it cannot be done now, None when it can.
    tasks : tuple of str
        The kinds of projects that have it.
    repeats : bool
        Whether `.` does it again.
    edits : bool
        Whether it changes labels, which a frame open for viewing refuses.
    """

    action: Action
    do: Do
    why: Why | None = None
    tasks: tuple[str, ...] = BOTH
    repeats: bool = False
    edits: bool = False

    @property
    def mode(self) -> bool:
        """Whether it is only there while the mode of its context is; what a menu offers is always there."""
        return self.action.context not in ("", *MENUS)


MENUS = ("tools", "object")
"""Contexts that are menus; the action that opens one has its name as id."""
ROWS: dict[str, Row] = {}


def row(
    name: str,
    keys: str,
    text: str,
    group: str,
    *,
    more: str = "",
    context: str = "",
    show: bool = False,
    args: tuple[Any, ...] = (),
    why: Why | None = None,
    tasks: tuple[str, ...] = BOTH,
    repeats: bool = False,
    edits: bool = False,
) -> Callable[[Do], Do]:
    """Register the decorated function as what an action does. Several rows may share one function."""

    def register(do: Do) -> Do:
        if name in ROWS:
            raise ValueError(f"two actions of the desk are called {name}")
        action = Action(name, keys, text, group, show, more, args=args, context=context)
        ROWS[name] = Row(action, do, why, tasks, repeats, edits)
        return do

    return register


def table(task: str) -> tuple[Action, ...]:
    """All actions of the desk for a task, in the order in which help and docs show them."""
    load()
    return tuple(entry.action for entry in ROWS.values() if task in entry.tasks)


def every_action() -> tuple[Action, ...]:
    """All actions of the desk, whatever the task."""
    load()
    return tuple(entry.action for entry in ROWS.values())


def load() -> None:
    """Import every module that registers rows."""
    from mia_tui.labeling.desk.acts import load as load_acts
    from mia_tui.labeling.desk.tools import load as load_tools

    load_acts()
    load_tools()
