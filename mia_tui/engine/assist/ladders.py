"""From a probability map to a ladder of masks: its level sets, from the strictest (smallest) to the loosest."""

from collections.abc import Sequence

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.engine.assist.messages import Proposal, Rung
from mia_tui.labeling.raster import shapes_from_labels

LEVELS = tuple(level / 10 for level in range(1, 10))
"""Probabilities at which masks are cut."""

MIN_AREA = 4
"""Pixels: smaller masks are no object."""


def outline_of(mask: NDArray[np.bool_], offset: tuple[int, int]) -> BaseGeometry:
    """The outline of a (Y, X) mask whose first pixel is `offset` (y, x) of the plane; the mask must not be empty."""
    shape = shapes_from_labels(mask.astype(np.uint8))[1]
    return moved(shape, offset)


def moved(shape: BaseGeometry, offset: tuple[int, int]) -> BaseGeometry:
    """A geometry shifted by (y, x) pixels."""
    if offset == (0, 0):
        return shape
    return shapely.transform(shape, lambda xy: xy + np.array([offset[1], offset[0]], np.float64))


def level_sets(
    probability: NDArray[np.float32], seeds: NDArray[np.bool_], offset: tuple[int, int], *, every: bool
) -> Proposal | None:
    """The object at the seeds, as a ladder of level sets of a probability map.

    Parameters
    ----------
    probability : (Y, X) float32
        0..1.
    seeds : (Y, X) bool
        Where the object is known or believed to be.
    offset : (y, x)
        First pixel of the map in the plane.
    every : bool
        True: every connected part with a seed belongs to the object. False: only the one with most seeds.

    Returns
    -------
    Proposal or None
        Rungs with a mean probability as score, the one nearest to 0.5 chosen; None when there is nothing at the seeds.
    """
    rungs: list[tuple[int, Rung]] = []
    areas: set[int] = set()
    for level in sorted(LEVELS, key=lambda level: abs(level - 0.5)):  # of two equal masks that near 0.5 is kept
        mask = _at_seeds(probability > level, seeds, every)
        area = int(mask.sum())
        if area < MIN_AREA or area in areas:  # the masks are nested: the same area is the same mask
            continue
        if not every and (level >= 0.5 or not rungs):  # else another part could win at a stricter level
            seeds = seeds & mask
        areas.add(area)
        rungs.append((area, Rung(outline_of(mask, offset), round(float(probability[mask].mean()), 4), level)))
    return ladder(rungs)


def ladder(rungs: Sequence[tuple[int, Rung]], label_class: str = "") -> Proposal | None:
    """Rungs with their areas in order of how much they are to be preferred -> ladder by size, the first one chosen."""
    if not rungs:
        return None
    order = sorted(range(len(rungs)), key=lambda index: rungs[index][0])
    return Proposal(tuple(rungs[index][1] for index in order), order.index(0), label_class)


def _at_seeds(mask: NDArray[np.bool_], seeds: NDArray[np.bool_], every: bool) -> NDArray[np.bool_]:
    """The connected parts of a mask that belong to the object at the seeds."""
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    seeded = np.bincount(parts[seeds], minlength=count)
    seeded[0] = 0
    if every:
        chosen = seeded > 0
    else:
        chosen = np.zeros(count, bool)
        chosen[seeded.argmax()] = bool(seeded.any())
    result: NDArray[np.bool_] = chosen[parts]
    return result
