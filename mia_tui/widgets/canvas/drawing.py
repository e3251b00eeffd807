"""How the canvases of an app draw, by what its terminal can do; and what is left to clean up at the end."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from textual.app import App

from mia_tui.terminal.record import Capabilities
from mia_tui.widgets.canvas.commands import Numbers
from mia_tui.widgets.canvas.graphics import Graphics

if TYPE_CHECKING:
    from mia_tui.widgets.canvas.widget import ImageCanvas


@dataclass(frozen=True)
class Drawing:
    """The way of drawing in one terminal, for all `canvases` of an app; `numbers` are those of their pictures."""

    record: Capabilities
    numbers: Numbers = field(default_factory=Numbers)
    canvases: "WeakSet[ImageCanvas]" = field(default_factory=WeakSet)

    def follow(self, app: App[Any]) -> None:
        """Take pictures away and bring them again as screens change, and when the terminal may have lost them."""
        if not self.pixels:
            return
        app.screen_change_signal.subscribe(app, lambda _: self._screen_changed(), immediate=True)
        app.app_resume_signal.subscribe(app, lambda _: self._repaint(), immediate=True)
        if self.record.tmux is not None:  # it does not repeat what it has passed on
            app.watch(app, "app_focus", lambda focused: self._repaint() if focused else None, init=False)

    def _screen_changed(self) -> None:
        for canvas in list(self.canvases):
            canvas.screen_changed()

    def _repaint(self) -> None:
        for canvas in list(self.canvases):
            if canvas.screen.is_current:
                canvas.repaint()

    @property
    def pixels(self) -> bool:
        """Whether pictures are drawn in real pixels."""
        return self.record.painter in ("kitty", "placeholders", "sixel")

    @property
    def depth(self) -> str | None:
        """How fine colours are, where Textual does not know better."""
        return {"truecolor": "truecolor", "256": "256", "16": "256"}.get(self.record.colors)

    def back_end(self) -> Graphics | None:
        """A new back end for one canvas; None where it draws in cells. The first one imports NumPy."""
        painter, cell, tmux = self.record.painter, self.record.cell, self.record.tmux is not None
        if painter == "kitty":
            from mia_tui.widgets.canvas.kitty import KittyGraphics

            return KittyGraphics(self.numbers, tmux=tmux)
        if painter == "placeholders":
            from mia_tui.widgets.canvas.placeholders import PlaceholderGraphics

            return PlaceholderGraphics(self.numbers, cell, edits=self.record.edits_pictures, tmux=tmux)
        if painter == "sixel":
            from mia_tui.widgets.canvas.sixel import SixelGraphics

            return SixelGraphics(cell)
        return None

    def farewell(self) -> list[str]:
        """What to write when the app lets go of the terminal: its pictures are taken away."""
        return self.numbers.farewell(tmux=self.record.tmux is not None)
