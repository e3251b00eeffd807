"""What is usual in the tracks of a sequence: how far things go, how their sizes change. Problems are what is not."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from mia_tui.tracking.detections import Array, Detections

GAP = 3
"""Frames from an end to a start that may be its continuation, at most."""

RARE = 0.0027
"""Share of a bell curve beyond 3 sigma, on both sides."""

_STEPS = 3  # steps of a frame pair from which its drift is told
_DIVISIONS = 5  # from which the reach of daughters is


@dataclass(frozen=True)
class Scales:
    """What is usual, measured once from all tracks of a sequence and kept while they are corrected.

    Attributes
    ----------
    height, width : int
        Of a frame, in pixels.
    drift : (frames, D) float64
        Pixels that everything moved since the first frame: the sum of the median steps of the frame pairs.
    unit : (D,) float64
        Factors that make steps as long in z as in y and x; 1 for y and x.
    sigma : float
        Pixels: standard deviation of a step of one frame along one axis, drift taken off, from the median deviation.
    growth : float
        Standard deviation of the logarithm of the area from frame to frame, from the median deviation.
    radius : float
        Pixels: of a usual object; 0 for points.
    reach : float
        Pixels that an object may be away one frame later; after n frames sqrt(n) times as many.
    parting : float
        Pixels that a daughter may start from where her mother ended.
    """

    height: int
    width: int
    drift: Array
    unit: Array
    sigma: float
    growth: float
    radius: float
    reach: float
    parting: float

    @property
    def bound(self) -> float:
        """How many sigma a step is long whose chance is that of 3 sigma in one dimension (3.44 in two)."""
        return float(np.sqrt(chdtri(len(self.unit), RARE)))

    def places(self, detections: Detections) -> Array:
        """(N, D) positions without drift, in pixels."""
        placed: Array = (detections.position - self.drift[detections.frame]) * self.unit
        return placed


def measure(
    found: Detections, before: Array, after: Array, partings: Array, height: int, width: int, reach: float | None = None
) -> Scales:
    """The usual of a sequence.

    Parameters
    ----------
    before, after : (L,) int64
        Rows of linked detections, by the row they come from.
    partings : (P, 2) int64
        Rows of mothers' last and daughters' first objects.
    reach : float, optional
        As in `Scales`; from the steps and the sizes when not given.
    """
    areas = found.area[found.area > 0]
    radius = float(np.sqrt(np.median(areas) / np.pi)) if len(areas) else 0.0
    near = found.frame[after] - found.frame[before] == 1
    before, after = before[near], after[near]
    drift = _drift(found, before, after)
    steps = found.position[after] - found.position[before] - (drift[found.frame[after]] - drift[found.frame[before]])
    spread = 1.4826 * np.median(np.abs(steps), axis=0) if len(steps) else np.zeros(found.position.shape[1])
    sigma = max(float(np.sqrt(np.mean(spread[-2:] ** 2))), 0.5, 0.1 * radius)
    unit = np.ones(len(spread))
    if len(unit) == 3 and spread[0] > 0:
        unit[0] = np.clip(sigma / spread[0], 0.1, 10)
    sized = (found.area[before] > 0) & (found.area[after] > 0)
    growth = np.log(found.area[after[sized]] / found.area[before[sized]])
    far = reach or max(5 * sigma, radius)
    scales = Scales(
        height, width, drift, unit, sigma, max(0.05, 1.4826 * float(np.median(np.abs(growth)))) if sized.any() else 0.3,
        radius, far, max(far, 2 * radius),
    )  # fmt: skip
    if len(partings) < _DIVISIONS:
        return scales
    places = scales.places(found)
    usual = np.median(np.linalg.norm(places[partings[:, 1]] - places[partings[:, 0]], axis=1))
    return Scales(**{**vars(scales), "parting": max(scales.parting, 3 * float(usual))})


def _drift(found: Detections, before: Array, after: Array) -> Array:
    """The sum of the median steps, each where it is more than chance makes of as many steps."""
    shape = found.frames, found.position.shape[1]
    median, count = np.zeros(shape), np.zeros(found.frames)
    steps = found.position[after] - found.position[before]
    bounds = np.searchsorted(found.frame[before], np.arange(found.frames))
    for frame, (a, b) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if b - a >= _STEPS:
            median[frame + 1], count[frame + 1] = np.median(steps[a:b], axis=0), b - a
    if len(steps):
        spread = 1.4826 * np.median(np.abs(steps - median[found.frame[after]]), axis=0)
        by_chance = (
            2.5 * 1.25 * spread / np.sqrt(np.maximum(count, 1))[:, None]
        )  # 1.25: of a median's error to a mean's
        median[np.abs(median) <= by_chance] = 0
    total: Array = np.cumsum(median, axis=0)
    return total
