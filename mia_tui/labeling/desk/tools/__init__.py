"""Tools: what a place that is pointed at becomes. One file per tool, one line in `MODULES`.

A tool is a `Tool`; `choose` takes one in hand. The tool in hand stays over images; `enter`, a click and the grid (`a`)
give it places.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.desk.modes import Mode
from mia_tui.labeling.desk.rows import BOTH, row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

MODULES = ("seed", "shaped", "polygon", "livewire", "extremes", "smart", "wand", "brush", "network", "points")
MENU = "tools"
FIRST = {"segmentation": "seed", "detection": "point"}
"""The tool a project of a task begins with."""

SNAP_PX = 8.0
"""How far a place snaps as long as nobody knows how large the objects are."""

TOOLS: dict[str, type["Tool"]] = {}


class Tool(Mode):
    """What is in hand.

    A tool that needs several places (polygon, livewire, …) puts itself on top of the modes with `desk.enter(self)` at
    the first one, so that its own keys count (context `name`), and leaves when it is done.
    """

    stays: ClassVar[bool] = True
    at_once: ClassVar[bool] = False
    """Whether its keys count as soon as it is in hand, before the first place."""
    snaps_clicks: ClassVar[bool] = False
    """Whether a click goes to the nearest place that the grid would snap to (with shift it does not)."""
    title: ClassVar[str] = ""
    """What status line and menu call it."""
    how: ClassVar[str] = "enter or a click gives it a place, a points by letters"
    """What is said when it is taken in hand."""

    @property
    def text(self) -> str:  # type: ignore[override]
        return self.title

    def put(self, desk: "Desk", y: float, x: float) -> None:
        """Take a place, (y, x) in image pixels."""
        raise NotImplementedError

    def point(self, desk: "Desk", y: float, x: float) -> bool:
        self.put(desk, y, x)
        return True

    def snaps(self, desk: "Desk") -> NDArray[np.float64]:
        """(N, 2) of (y, x): what the grid snaps to."""
        return np.zeros((0, 2))

    def snapped(self, desk: "Desk", y: float, x: float) -> tuple[float, float]:
        """The nearest place to snap to, no further than an object's radius; else the place itself."""
        places = self.snaps(desk)
        reach = (desk.diameter or 2 * SNAP_PX) / 2
        if not len(places):
            return y, x
        distances = np.hypot(places[:, 0] - y, places[:, 1] - x)
        nearest = int(distances.argmin())
        return (float(places[nearest, 0]), float(places[nearest, 1])) if distances[nearest] <= reach else (y, x)


def tool(
    name: str, key: str, title: str, *, tasks: tuple[str, ...] = BOTH, more: str = ""
) -> Callable[[type["Tool"]], type["Tool"]]:
    """Register a class as a tool, with its row in the menu of tools."""

    def register(kind: type["Tool"]) -> type["Tool"]:
        kind.name, kind.title = name, title
        TOOLS[name] = kind
        row(f"tool_{name}", key, title, "Tools", context=MENU, args=(name,), tasks=tasks, more=more, edits=True)(choose)
        return kind

    return register


def choose(desk: "Desk", name: str) -> None:
    """Take a tool in hand."""
    while desk.modes:
        desk.leave()
    found = desk.memory["tool"] = TOOLS[name]()
    if found.at_once:
        desk.enter(found)
    desk.say(found.how)


def tool_in_hand(desk: "Desk") -> Tool:
    """The tool that gets the places pointed at."""
    if "tool" not in desk.memory:
        desk.memory["tool"] = TOOLS[FIRST[desk.project.task]]()
    found: Tool = desk.memory["tool"]
    return found


def load() -> None:
    """Import all tools, in the order of the menu."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
