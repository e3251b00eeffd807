"""Menus: the tools, and what can be done with the chosen object."""

from typing import TYPE_CHECKING

from mia_tui.labeling.desk.modes import MenuMode
from mia_tui.labeling.desk.rows import row
from mia_tui.labeling.desk.tools import MENU

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk


@row("tools", "t", "Tools", "Tools", more="Choose a tool", show=True)
def tools(desk: "Desk") -> None:
    desk.enter(MenuMode("Tools", MENU))
