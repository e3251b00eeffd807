"""The table of what can be done with tracks: one row per action, registered where it is written."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mia_tui.keymap import Action

if TYPE_CHECKING:
    from mia_tui.tracking.desk.desk import TrackDesk

Do = Callable[["TrackDesk"], None]
Why = Callable[["TrackDesk"], str | None]

ROWS: dict[str, tuple[Action, Do, Why | None]] = {}
"""Id of an action -> its row, what it does, and what says why it cannot be done now."""


def row(
    name: str, keys: str, text: str, group: str, *, more: str = "", context: str = "", why: Why | None = None
) -> Callable[[Do], Do]:
    """Register the decorated function as what an action does."""

    def register(do: Do) -> Do:
        if name in ROWS:
            raise ValueError(f"two actions are called {name}")
        ROWS[name] = (Action(name, keys, text, group, more=more, context=context), do, why)
        return do

    return register


def table() -> tuple[Action, ...]:
    """All actions in the order in which help and docs show them."""
    import mia_tui.tracking.desk.acts  # noqa: F401 - registers the rows

    return tuple(action for action, *_ in ROWS.values())
