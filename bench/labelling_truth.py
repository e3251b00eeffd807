"""The truth of an image, and how well labels agree with it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.raster import fill

GOOD = 0.7
"""Intersection over union from which on a mask is the object's."""
NEAR = 0.5
"""A point within this share of the object's radius is the object's."""


@dataclass(frozen=True)
class Truth:
    """Objects of an image: `pixels` (Y, X) holds 1, 2, … in them and 0 elsewhere."""

    pixels: NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.areas) - 1

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(count + 1,) pixels; the first entry is the ground."""
        return np.bincount(self.pixels.ravel())

    @cached_property
    def middles(self) -> NDArray[np.float64]:
        """(count + 1, 2) centroids (y, x)."""
        rows, columns = np.indices(self.pixels.shape)
        weights = [np.bincount(self.pixels.ravel(), (grid + 0.5).ravel()) for grid in (rows, columns)]
        return np.stack(weights, 1) / self.areas[:, None]

    @cached_property
    def radii(self) -> NDArray[np.float64]:
        return np.sqrt(self.areas / np.pi)

    def under(self, geometry: BaseGeometry) -> tuple[NDArray[np.int64], int]:
        """(count + 1,) pixels that an outline shares with every object, and all its pixels."""
        rows, columns, mask = fill(geometry, self.pixels.shape)
        inside = self.pixels[rows, columns][mask]
        return np.bincount(inside, minlength=len(self.areas)), len(inside)

    def overlaps(self, geometry: BaseGeometry) -> NDArray[np.float64]:
        """(count + 1,) intersection over union of an outline with every object; 0 for the ground."""
        shared, area = self.under(geometry)
        found = shared / np.maximum(self.areas + area - shared, 1)
        found[0] = 0
        return found

    def aims(self, number: int) -> list[tuple[float, float]]:
        """Places (y, x) in an object that a person may point at: its middle, then places around it."""
        y, x = self.middles[number]
        rows, columns = np.nonzero(self.pixels == number)
        pixels = np.stack([rows + 0.5 - y, columns + 0.5 - x], 1)
        _, spread, axes = np.linalg.svd(pixels, full_matrices=False)
        steps = axes * spread[:, None] / np.sqrt(len(pixels))
        around = [(y + dy, x + dx) for step in steps for dy, dx in (step, -step)]
        return [(float(y), float(x)), *((float(dy), float(dx)) for dy, dx in around)]


def read_truth(path: Path) -> Truth:
    """A label image, its numbers made 1, 2, … in their order."""
    labels = tifffile.imread(path)
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    return Truth(np.searchsorted(numbers, labels) * 1 + (labels > 0))


def paired(points: NDArray[np.float64], truth: Truth) -> dict[int, int]:
    """Index of a point -> number of the object that it hits; one-to-one, as many as can be."""
    from scipy.optimize import linear_sum_assignment

    if not len(points) or not truth.count:
        return {}
    away = np.hypot(*(points[:, None, :] - truth.middles[None, 1:, :]).transpose(2, 0, 1))
    hit = away <= NEAR * truth.radii[1:]
    rows, columns = linear_sum_assignment(np.where(hit, away / (1 + away.max()), 10.0))
    return {int(row): int(column) + 1 for row, column in zip(rows, columns, strict=True) if hit[row, column]}
