"""How the canvases of an app draw, by what its terminal can do; and what is left to clean up at the end."""

from dataclasses import dataclass, field

from mia_tui.terminal.record import Capabilities
from mia_tui.widgets.canvas.commands import Numbers
from mia_tui.widgets.canvas.graphics import Graphics


@dataclass(frozen=True)
class Drawing:
    """The way of drawing in one terminal. `numbers` are those of all its canvases' pictures."""

    record: Capabilities
    numbers: Numbers = field(default_factory=Numbers)

    @property
    def pixels(self) -> bool:
        """Whether pictures are drawn in real pixels."""
        return self.record.painter in ("kitty", "placeholders", "sixel")

    @property
    def forgetful(self) -> bool:
        """Whether the terminal may lose its pictures while nobody looks: tmux does not repeat what it passed on."""
        return self.pixels and self.record.tmux is not None

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
