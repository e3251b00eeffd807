"""A screen that writes only the columns that changed.

Textual 8 writes a changed stretch of a line from the left edge of its widget on. For a cursor on the right of a picture
that is some kilobytes per key. Measured at 120 x 40 cells, bytes per cursor key at the right edge (noise, grey; colour
in brackets): as it is 2,230 (4,176), with the canvas cut by widgets of 10 columns 179 (319) and of 5 columns 91 (131),
cut at both ends 79 (92). Widgets as cuts need nothing private, but each cut costs codes in every full picture: a whole
frame of nuclei took 7.5 kB, 21 kB with cuts of 10 columns and 36 kB with cuts of 5. So this cuts at both ends, which
needs two names of Textual's own; where they are missing or changed the screen stays as it is, only larger in bytes.
"""

import inspect
from typing import Any

from rich.console import Console
from rich.control import Control
from textual import _compositor
from textual.screen import Screen

EXPECTED = ("self", "chops", "spans", "chop_ends")


def write_only_changes(screen: Screen[Any]) -> bool:
    """Let a screen, not yet shown, write only the columns that changed. Returns whether this Textual can."""
    if not _known():
        return False
    screen._compositor = _BothEnds()
    return True


def _known() -> bool:
    update = getattr(_compositor, "ChopsUpdate", None)
    return update is not None and tuple(inspect.signature(update.__init__).parameters) == EXPECTED


class _BothEnds(_compositor.Compositor):
    def render_partial_update(self) -> _compositor.ChopsUpdate | None:
        update = super().render_partial_update()
        return None if update is None else _Changes(update.chops, update.spans, update.chop_ends)


class _Changes(_compositor.ChopsUpdate):
    def render_segments(self, console: Console) -> str:
        parts: list[str] = []
        at = (-1, -1)
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                left, right = max(x, first), min(end, last)
                if strip is None or left >= right:
                    continue
                if at != (left, y):
                    parts.append(Control.move_to(left, y).segment.text)
                parts.append(strip.crop(left - x, right - x).render(console))
                at = (right, y)
        return "".join(parts)
