"""What the canvas shows: a picture and what lies over it. Plain data; nothing here is drawn.

The canvas finds out by identity what has changed between two scenes: keep `pyramid`, `display`, `layers` and their
outlines the same objects as long as they are the same, and only what is new is painted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mia_tui.widgets.canvas.pyramid import Pyramid

Rgb = tuple[int, int, int]
WHITE: Rgb = (255, 255, 255)


@dataclass(frozen=True)
class Outlines:
    """Outlines of the objects of one frame, ready to draw (made by `overlay.trace`).

    Attributes
    ----------
    segments : array, (N, 4) float32
        x0, y0, x1, y1 of each line in pixel-corner coordinates.
    owner : array, (N,) int
        Index of the object that each line belongs to.
    boxes : array, (K, 4) float32
        min x, min y, max x, max y of each object.
    """

    segments: "npt.NDArray[np.float32]"
    owner: "npt.NDArray[np.intp]"
    boxes: "npt.NDArray[np.float32]"


@dataclass(frozen=True)
class Layer:
    """Outlines with their looks: a colour per object (K, 3) uint8, whether dashed (K,), whether shown (K,)."""

    outlines: Outlines
    colors: "npt.NDArray[np.uint8]"
    dashed: "npt.NDArray[np.bool_]"
    shown: "npt.NDArray[np.bool_]"


@dataclass(frozen=True)
class Mark:
    """A short text at an image point.

    Attributes
    ----------
    y, x : float
        Where its first character stands, in image pixels.
    text : str
        E.g. the id of an object, or the letters of a hint.
    color : tuple
        (red, green, blue) of a text or a handle.
    kind : str
        "text" is written over the picture. "hint" is to be typed: black on yellow, in front of everything. "handle" is
        a vertex: its `text` is one character, or empty for a dot.
    """

    y: float
    x: float
    text: str
    color: Rgb = WHITE
    kind: Literal["text", "hint", "handle"] = "text"


@dataclass(frozen=True)
class Stroke:
    """A line in progress: `points` (N, 2) float are x, y in image pixels."""

    points: "npt.NDArray[np.float64]"
    color: Rgb = (255, 224, 102)
    dashed: bool = False


@dataclass(frozen=True)
class Grid:
    """A box (min x, min y, max x, max y) in image pixels cut into rows of cells, each with its letter in the middle.

    `letters` are the rows: five strings of five letters make a 5 x 5 grid.
    """

    box: tuple[float, float, float, float]
    letters: tuple[str, ...]
    color: Rgb = (165, 200, 228)


@dataclass(frozen=True)
class Scene:
    """Everything a view is painted from.

    Attributes
    ----------
    pyramid : Pyramid
        The picture's values.
    display : function
        Maps values (C, H, W) to a picture (H, W, 3) uint8.
    layers : tuple of Layer
        Outlines, the last on top.
    marks : tuple of Mark
        Texts, handles and hints.
    box : tuple, optional
        (min x, min y, max x, max y) in pixels to put bracket corners around: the sign of the chosen object.
    strokes : tuple of Stroke
        The sketch of a tool in progress.
    grid : Grid, optional
        Letters to point with.
    """

    pyramid: "Pyramid"
    display: Callable[[Any], Any]
    layers: tuple[Layer, ...] = ()
    marks: tuple[Mark, ...] = ()
    box: tuple[float, ...] | None = None
    strokes: tuple[Stroke, ...] = ()
    grid: Grid | None = None

    def same_picture(self, other: "Scene | None") -> bool:
        """Whether the picture under the overlays is the same."""
        return other is not None and self.pyramid is other.pyramid and self.display is other.display
