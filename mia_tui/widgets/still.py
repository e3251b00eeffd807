"""A still picture: real pixels where the terminal draws them (kitty, sixel), cells otherwise.

textual-image asks the terminal questions when it is imported, and answers that come late would be taken for key
presses. So it is imported only when the terminal is known to answer, and before the app starts.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.widget import Widget

from mia_tui.errors import MiaError
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.widgets.canvas.view import View

GRAPHICS = ("auto", "cells", "kitty", "sixel")
CELL = (10, 20)
"""Width and height of a cell in pixels that a sharp picture is made for; terminals scale it to theirs."""
MAX_SIDE = 1024


def choose_graphics(wanted: str, environment: Mapping[str, str]) -> str:
    """How still pictures are drawn: "kitty", "sixel" or "cells".

    "auto" trusts only terminals known by their environment, never inside tmux, screen or SSH, where answers come late
    and pictures get lost.

    Raises
    ------
    MiaError
        For an unknown `wanted`.
    """
    if wanted not in GRAPHICS:
        raise MiaError(f"unknown graphics {wanted!r}: choose one of {', '.join(GRAPHICS)}")
    if wanted != "auto":
        return wanted
    if any(environment.get(name) for name in ("TMUX", "STY", "SSH_CONNECTION", "SSH_TTY", "NO_COLOR")):
        return "cells"
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("KITTY_WINDOW_ID") or term == "xterm-kitty" or program == "ghostty":
        return "kitty"
    if program in ("WezTerm", "iTerm.app", "mintty") or term.startswith("foot"):
        return "sixel"
    return "cells"


def prepare_graphics(wanted: str, environment: Mapping[str, str]) -> str:
    """Choose, and import what the choice needs. Call it before the app starts; the terminal may be asked."""
    chosen = choose_graphics(wanted, environment)
    if chosen != "cells":
        import textual_image.widget  # noqa: F401
    return chosen


class Still(Widget):
    """Shows a picture file or an array, as large as fits; `hint` stands there while there is none."""

    DEFAULT_CSS = """
    Still { width: 1fr; height: 1fr; align: center middle; }
    Still > .pixels { width: auto; height: auto; max-width: 100%; max-height: 100%; }
    """

    def __init__(self, hint: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._hint = hint
        self._pixels: Any = None
        self._loader: Newest[Any, Any] = Newest(self, _load, self._loaded, self._failed)

    @property
    def _backend(self) -> str:
        graphics = getattr(self.app, "graphics", "cells")
        return graphics if "textual_image.widget" in sys.modules and graphics in ("kitty", "sixel") else "cells"

    def compose(self) -> ComposeResult:
        if self._backend == "cells":
            canvas = ImageCanvas(self._hint)
            canvas.can_focus = False
            canvas.show_cursor = False
            yield canvas
            return
        widgets = sys.modules["textual_image.widget"]
        kind = widgets.TGPImage if self._backend == "kitty" else widgets.SixelImage
        self._pixels = kind(classes="pixels")
        yield self._pixels

    def show(self, picture: "Path | Any | None", hint: str = "") -> None:
        """Show a PNG (or other picture) file, an array (Y, X, 3) uint8, or with None the hint."""
        if picture is not None:
            self._loader.ask(picture)
        elif self._pixels is None:
            canvas = self.query_one(ImageCanvas)
            canvas.show(None)
            canvas.set_hint(hint or self._hint)
        else:
            self._pixels.image = None

    def show_view(self, canvas: ImageCanvas) -> None:
        """Show what a canvas shows, in real pixels."""
        view = canvas.view
        if canvas.scene is not None and view is not None:
            self._loader.ask((canvas.scene, view))

    def _loaded(self, _request: Any, picture: Any) -> None:
        if self._pixels is not None:
            from PIL import Image

            self._pixels.image = Image.fromarray(picture)
            return
        from mia_tui.widgets.canvas.pyramid import Pyramid

        self.query_one(ImageCanvas).show(Scene(Pyramid(picture.transpose(2, 0, 1)), _as_it_is), keep_view=False)

    def _failed(self, _request: Any, error: MiaError) -> None:
        self.show(None, str(error))


def _as_it_is(values: Any) -> Any:
    return values.transpose(1, 2, 0).copy()


def _load(request: Any) -> Any:
    """A picture (Y, X, 3) uint8 from a file, an array or a (scene, view)."""
    if isinstance(request, tuple):
        return _pixels_of(*request)
    if not isinstance(request, Path):
        return request
    import numpy as np
    from PIL import Image

    try:
        with Image.open(request) as picture:
            picture.thumbnail((MAX_SIDE, MAX_SIDE))
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise MiaError(f"{request} cannot be shown: {error}") from None


def _pixels_of(scene: Scene, view: "View") -> Any:
    """The part of a scene that a view shows, 10 x 20 pixels per cell, with its outlines."""
    from mia_tui.widgets.canvas.overlay import dots
    from mia_tui.widgets.canvas.view import View

    factor = CELL[1] // 4
    fine = View(view.rows * factor, view.columns * factor, view.top, view.left, view.scale * factor)
    values, inside = scene.pyramid.sample(fine)
    picture = scene.display(values)
    picture[~inside] = 0
    for layer in scene.layers:
        y, x, owner = dots(layer, fine)
        picture[y, x] = layer.colors[owner]
    return picture
