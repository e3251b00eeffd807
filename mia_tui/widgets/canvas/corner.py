"""Where the small map of the whole picture stands. No NumPy: the map itself is drawn in `minimap`."""

from dataclasses import dataclass

from mia_tui.widgets.canvas.camera import Camera

WIDEST = 24
"""Columns of the map at most; it takes no more than a fifth of the columns and a quarter of the rows."""


@dataclass(frozen=True)
class Corner:
    """Where the map stands, with its frame: its first row and column in the canvas and its size, in cells."""

    row: int
    column: int
    rows: int
    columns: int


def corner_of(camera: Camera, cursor: tuple[int, int] | None) -> Corner | None:
    """The lower right, or the lower left while the cursor (row, column) is there; None where there is no room."""
    if camera.rows < 12 or camera.columns < 40:
        return None
    height, width = camera.picture
    scale = min(min(WIDEST, camera.columns // 5) / width, 2 * (camera.rows // 4) / height)
    columns, rows = 1 + max(2, round(width * scale)), 1 + max(1, round(height * scale / 2))
    row, right = camera.rows - rows, camera.columns - columns
    hidden = cursor is not None and cursor[0] >= row - 1 and cursor[1] >= right - 1
    return Corner(row, 0 if hidden else right, rows, columns)
