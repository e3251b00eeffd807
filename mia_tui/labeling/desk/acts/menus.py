"""Menus: the tools, and what can be done with the chosen object."""

from typing import TYPE_CHECKING

from mia_tui.labeling.desk.acts.objects import MENU as OBJECTS
from mia_tui.labeling.desk.rows import row
from mia_tui.labeling.desk.tools import MENU as TOOLS

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


@row("object", "comma", "Object menu", "Edit", more="Forms of the chosen object, all objects, areas, other frames")
def objects(desk: "Desk") -> None:
    desk.enter_menu("The chosen object", OBJECTS)


@row("tools", "t", "Tools", "Tools", more="Choose a tool")
def tools(desk: "Desk") -> None:
    desk.enter_menu("Tools", TOOLS)
