"""Intelligent scissors: a line that clings to edges between points that a person sets."""

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.outline import Point, polygon, valid
from mia_tui.labeling.window import Window, grey, window_around

RADIUS = 96
"""How far the line looks around its last anchor, in pixels (the costs of that window take about 15 ms)."""

Path = NDArray[np.float64]


class Livewire:
    """An outline drawn from anchor to anchor (Mortensen and Barrett 1995; OpenCV's implementation).

    `start` sets the first anchor, `path_to` shows where the line would run to a point, `anchor` fixes it there, `back`
    takes the last anchor away, `close` ends the outline. Points are (y, x), paths (N, 2) arrays of (y, x).
    """

    def __init__(self, image: NDArray[np.generic]) -> None:
        """`image`: (Y, X) or (Y, X, C) array of any number type."""
        self._image = image
        self._shape = image.shape[0], image.shape[1]
        self._anchors: list[Point] = []
        self._paths: list[Path] = []
        self._window = Window(0, 0, 1, 1)
        self._map: object = None

    @property
    def anchors(self) -> tuple[Point, ...]:
        return tuple(self._anchors)

    @property
    def path(self) -> Path:
        """(N, 2) the line so far, from the first anchor to the last."""
        return np.vstack([np.array(self._anchors[:1]).reshape(-1, 2), *self._paths])

    def start(self, y: float, x: float) -> None:
        """Begin anew at a point."""
        self._anchors, self._paths = [], []
        self._go_on_from((y, x))

    def path_to(self, y: float, x: float) -> Path:
        """(N, 2) the line from the last anchor to a point; straight beyond the window around the anchor."""
        if not self._anchors:
            return np.zeros((0, 2))
        end = self._in_image((y, x))
        here, there = self._window.inside(self._anchors[-1]), self._window.inside(end)
        if here == there:
            return np.array([self._anchors[-1], end])
        contour = self._map.getContour((there[1], there[0]))  # type: ignore[attr-defined]
        steps = contour.reshape(-1, 2)[:, ::-1] + (self._window.top + 0.5, self._window.left + 0.5)
        return np.vstack([self._anchors[-1], steps[1:-1], end])

    def anchor(self, y: float, x: float) -> Path:
        """Fix the line to a point and go on from there. Returns the piece that was fixed."""
        if not self._anchors:
            self.start(y, x)
            return self.path
        piece = self.path_to(y, x)
        self._paths.append(piece[1:])
        self._go_on_from((y, x))
        return piece

    def back(self) -> None:
        """Take the last anchor away (the first one, too)."""
        if self._paths:
            self._paths.pop()
        kept = self._anchors[:-1]
        self._anchors = kept[:-1]
        if kept:
            self._go_on_from(kept[-1])

    def close(self) -> BaseGeometry | None:
        """The outline from the line so far and the line from the last anchor to the first; None without an area."""
        if not self._anchors:
            return None
        ring = np.vstack([self.path, self.path_to(*self._anchors[0])[1:-1]])
        return valid(polygon(ring[:, ::-1]), self._shape)

    def _in_image(self, point: Point) -> Point:
        return tuple(float(min(max(value, 0), size)) for value, size in zip(point, self._shape, strict=True))  # type: ignore[return-value]

    def _go_on_from(self, point: Point) -> None:
        import cv2

        point = self._in_image(point)
        self._anchors.append(point)
        self._window = window_around(point, RADIUS, self._shape)
        scissors = cv2.segmentation.IntelligentScissorsMB()
        scissors.setEdgeFeatureZeroCrossingParameters(0)
        picture = grey(self._image[self._window.slices])
        scissors.applyImage((picture * 255).astype(np.uint8))
        y, x = self._window.inside(point)
        scissors.buildMap((x, y))
        self._map = scissors
