"""Which part of a picture is shown. No NumPy: a screen is laid out before the first image is read.

A *dot* is half a cell: one column wide, half a line high, which is about square. The *scale* of a view is dots per
image pixel.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """Which part of a picture is shown: `rows` x `columns` cells, top-left corner (pixels), dots per pixel."""

    rows: int
    columns: int
    top: float
    left: float
    scale: float

    def to_cell(self, y: float, x: float) -> tuple[int, int]:
        """(row, column) of the cell that shows the image point (y, x); may lie outside the view."""
        return int((y - self.top) * self.scale // 2), int((x - self.left) * self.scale // 1)

    def to_image(self, row: float, column: float) -> tuple[float, float]:
        """(y, x) in image pixels of a place given in cells."""
        return self.top + 2 * row / self.scale, self.left + column / self.scale

    @property
    def height(self) -> float:
        """Image pixels from top to bottom."""
        return 2 * self.rows / self.scale

    @property
    def width(self) -> float:
        """Image pixels from left to right."""
        return self.columns / self.scale

    def holds(self, row: int, column: int) -> bool:
        """Whether a cell is one of the view's."""
        return 0 <= row < self.rows and 0 <= column < self.columns


def fit_scale(height: int, width: int, rows: int, columns: int) -> float:
    """The largest scale at which the whole picture is seen."""
    return min(columns / max(1, width), 2 * rows / max(1, height))


def place(height: int, width: int, rows: int, columns: int, scale: float, y: float, x: float) -> View:
    """The view at `scale` with (y, x) in its middle as far as the borders allow; a small picture is centred."""

    def start(size: int, shown: float, middle: float) -> float:
        return (size - shown) / 2 if shown >= size else min(max(middle - shown / 2, 0.0), size - shown)

    top = start(height, 2 * rows / scale, y)
    return View(rows, columns, top, start(width, columns / scale, x), scale)
