"""A network that is told where an object is: by places inside and outside of it, or by its four extreme points."""

from typing import TYPE_CHECKING, ClassVar

import shapely

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.assisting import view_of
from mia_tui.labeling.desk.assistant import Network
from mia_tui.labeling.desk.modes import Handle, Sketch, Stroke
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool
from mia_tui.labeling.ladder import Ladder

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

NAME, GROUP = "network", "Network"
EXTREMES = 4


@tool(NAME, "n", "Network", tasks=OUTLINED, more="Places for the network that @ chose")
class NetworkTool(Tool):
    """The places so far and what the network makes of them."""

    how: ClassVar[str] = "enter puts a place inside, x one outside; @ chooses a network"

    def __init__(self) -> None:
        self.inside: list[tuple[float, float]] = []
        self.outside: list[tuple[float, float]] = []
        self.ladder: Ladder | None = None

    def put(self, desk: "Desk", y: float, x: float) -> None:
        network = network_of(desk)
        if network is None:
            desk.warn("No network is chosen: @ lists them, and says how to get one.")
            return
        if not self.inside:
            desk.enter(self)
        self.inside.append((y, x))
        self.ask(desk, network)

    def ask(self, desk: "Desk", network: Network) -> None:
        """Ask again with all places; four extreme points are an object at once."""
        assert desk.assistant is not None
        if "points" in network.prompts:
            found = desk.assistant.objects(network, view_of(desk), self.inside, self.outside)
        elif len(self.inside) < EXTREMES:
            desk.say(f"{EXTREMES - len(self.inside)} more: its top, bottom, left and right end.")
            return
        else:
            found = desk.assistant.objects(network, view_of(desk), extremes=self.inside)
        self.ladder = found[0].ladder if found else None
        if self.ladder is None:
            desk.warn(f"{network.name} finds nothing there.")
        else:
            desk.say("space takes it. enter adds a place inside, x one outside.")

    def left(self, desk: "Desk") -> None:
        self.inside, self.outside, self.ladder = [], [], None

    def sketch(self, desk: "Desk") -> Sketch:
        handles = [Handle(place, "+") for place in self.inside] + [Handle(place, "-") for place in self.outside]
        if self.ladder is None:
            return Sketch(handles=tuple(handles))
        rings = shapely.get_rings(shapely.get_parts(self.ladder.proposal))
        return Sketch(tuple(Stroke(shapely.get_coordinates(ring)) for ring in rings), tuple(handles))


def network_of(desk: "Desk") -> Network | None:
    """The network that was chosen, if somebody is there to ask it."""
    found: Network | None = desk.memory.get("network")
    return found if desk.assistant is not None else None


def held(desk: "Desk") -> NetworkTool:
    """The places in progress."""
    return next(mode for mode in reversed(desk.modes) if isinstance(mode, NetworkTool))


@row("network_outside", "x", "Outside", GROUP, context=NAME, more="The cursor is outside of the object", tasks=OUTLINED)
def outside(desk: "Desk") -> None:
    network, tool = network_of(desk), held(desk)
    if network is not None:
        tool.outside.append((desk.cursor[0] + 0.5, desk.cursor[1] + 0.5))
        tool.ask(desk, network)


def nothing_found(desk: "Desk") -> str | None:
    return None if held(desk).ladder is not None else "Nothing is found yet."


@row("network_done", "space", "Take it", GROUP, context=NAME, tasks=OUTLINED, why=nothing_found, edits=True)
def done(desk: "Desk") -> None:
    ladder = held(desk).ladder
    desk.leave()
    if ladder is not None:
        edits.add(desk, ladder.proposal, "network", ladder=ladder)


@row("network_back", "backspace", "Last place back", GROUP, context=NAME, tasks=OUTLINED)
def back(desk: "Desk") -> None:
    tool = held(desk)
    (tool.outside or tool.inside).pop()
    if not tool.inside:
        desk.leave()
