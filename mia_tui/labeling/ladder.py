"""Several outlines for one object, each inside the next: one key grows or shrinks the proposal by a rung."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.window import Floats, Mask, Window


@dataclass(frozen=True)
class Ladder:
    """Nested outlines.

    Attributes
    ----------
    rungs : tuple of shapely geometries
        From the smallest to the largest, no two alike, each within the next. At least one.
    best : int
        Index of the rung to propose first.
    """

    rungs: tuple[BaseGeometry, ...]
    best: int

    def step(self, rungs: int) -> "Ladder | None":
        """The ladder with a rung so many further up (or down, below 0) as its best one; None past its end."""
        index = self.best + rungs
        return replace(self, best=index) if 0 <= index < len(self.rungs) else None

    def nearest(self, geometry: BaseGeometry) -> "Ladder":
        """The ladder with the rung as its best one that is most alike to an outline."""
        alike = [shapely.intersection(rung, geometry).area / shapely.union(rung, geometry).area for rung in self.rungs]
        return replace(self, best=int(np.argmax(alike)))

    @property
    def proposal(self) -> BaseGeometry:
        return self.rungs[self.best]


@dataclass
class Shapes:
    """Ladders of one object in different shapes, the likeliest first, each worked out when it is asked for.

    `known` are those that were asked for, and `at` is the index of the one that the object stands on.
    """

    ladders: Callable[[], Iterator[Ladder]]
    known: list[Ladder] = field(default_factory=list)
    at: int = 0
    _further: Iterator[Ladder] | None = None

    @property
    def first(self) -> Ladder | None:
        """The ladder of the likeliest shape."""
        if not self.known:
            self._ask()
        return self.known[0] if self.known else None

    def step(self, way: int) -> Ladder | None:
        """The next ladder (1), after the last one the first; or the previous one (-1). None when there is no other."""
        if self.first is None:
            return None
        if way > 0 and self.at + 1 == len(self.known):
            self._ask()
        if len(self.known) == 1:
            return None
        self.at = (self.at + way) % len(self.known)
        return self.known[self.at]

    def _ask(self) -> None:
        if self._further is None:
            self._further = itertools.islice(self.ladders(), len(self.known), None)
        self.known.extend(itertools.islice(self._further, 1))


def ladder_of_masks(masks: Sequence[Mask], best: int, window: Window) -> Ladder | None:
    """A ladder of masks of a window that grow from one to the next; None when all are empty.

    What one mask has and a later one lacks is added to the later one, so that the rungs are nested.
    """
    nested = np.logical_or.accumulate(np.stack(masks), axis=0)
    areas = nested.sum(axis=(1, 2))
    if not areas[-1]:
        return None
    kept = np.flatnonzero(np.diff(areas, prepend=0))
    chosen = max(int(np.searchsorted(kept, best, side="right")) - 1, 0)
    rungs = (window.outline(nested[number]) for number in kept)
    return Ladder(tuple(rung for rung in rungs if rung is not None), chosen)


def edge_contrast(picture: Floats, mask: Mask) -> float:
    """Mean absolute difference of a picture across the outline of a mask (0 without an outline)."""
    total, count = 0.0, 0
    for axis in (0, 1):
        across = np.diff(mask.view(np.int8), axis=axis) != 0
        total += float(np.abs(np.diff(picture, axis=axis))[across].sum())
        count += int(across.sum())
    return total / count if count else 0.0


def component(mask: Mask, at: tuple[int, int]) -> Mask:
    """The 4-connected part of a mask that holds a pixel, its holes filled; else the pixel alone."""
    import cv2

    found = np.zeros(mask.shape, np.bool_)
    if not mask[at]:
        found[at] = True
        return found
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    left, top, width, height = boxes[labels[at], :4]
    part = np.s_[top : top + height, left : left + width]
    around = np.pad(labels[part] != labels[at], 1, constant_values=True)
    _, outside = cv2.connectedComponents(around.view(np.uint8), connectivity=4)
    found[part] = (outside != outside[0, 0])[1:-1, 1:-1]
    return found
