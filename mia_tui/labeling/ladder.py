"""Several outlines for one object, each inside the next: one key grows or shrinks the proposal by a rung."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
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

    @property
    def proposal(self) -> BaseGeometry:
        return self.rungs[self.best]


def ladder_of_masks(masks: Sequence[Mask], best: int, window: Window) -> Ladder | None:
    """A ladder of masks of a window that grow from one to the next; None when all are empty.

    What one mask has and a later one lacks is added to the later one, so that the rungs are nested.
    """
    rungs: list[BaseGeometry] = []
    chosen = 0
    seen = np.zeros(window.shape, np.bool_)
    for number, mask in enumerate(masks):
        grown = seen | mask
        if (grown != seen).any():
            outline = window.outline(grown)
            if outline is not None:
                rungs.append(outline)
        if number == best:
            chosen = max(len(rungs) - 1, 0)
        seen = grown
    return Ladder(tuple(rungs), chosen) if rungs else None


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
    from scipy.ndimage import binary_fill_holes

    if not mask[at]:
        alone = np.zeros(mask.shape, np.bool_)
        alone[at] = True
        return alone
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    filled: NDArray[np.bool_] = binary_fill_holes(labels == labels[at])
    return filled
