"""Movement in relation to division: how fast cells are before they divide, and their daughters after."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.tracking.lineage import Life
from mia_tui.tracking.motion import Array, Spread, Steps, by_group
from mia_tui.tracking.tracks import Tracks

WINDOW = 5
"""Frames before and after a division that are compared."""
LEAST_PAIRS = 6
"""Divisions that a test needs: with fewer no difference, however large, has p < 0.05."""


@dataclass(frozen=True)
class Aligned:
    """Speeds with time counted from the division, one row per cell and frame.

    Attributes
    ----------
    mother : (A,) int64
        Whose division it is.
    track : (A,) int64
        The mother herself before, a daughter after.
    frame : (A,) int64
        Relative to the first frame with a daughter: -1 is the step to the mother's last frame, 1 the daughters' first
        step. The step from mother to daughter (0) belongs to no cell.
    speed : (A,) float64
    """

    mother: Array
    track: Array
    frame: Array
    speed: Array

    def of(self, tracks: Collection[int]) -> "Aligned":
        """Only the rows of these tracks."""
        kept = np.isin(self.track, np.fromiter(tracks, np.int64, len(tracks)))
        return Aligned(self.mother[kept], self.track[kept], self.frame[kept], self.speed[kept])


def align(tracks: Tracks, steps: Steps, found: dict[int, Life]) -> Aligned:
    """Speeds of all mothers and daughters around divisions; a cell that is both is there twice, at its two times."""
    numbers, owner = np.unique(tracks.track, return_inverse=True)
    known = np.flatnonzero(~np.isnan(steps.speed))
    parts = []
    for role in ("mother", "daughter"):
        own = [found[int(number)] for number in numbers]
        event = [life.division if role == "mother" else life.birth for life in own]
        whose = [life.track if role == "mother" else life.mother for life in own]
        zero = np.array([-1 if frame is None else frame for frame in event], np.int64)
        rows = known[zero[owner[known]] >= 0]
        relative = tracks.frame[rows] - zero[owner[rows]]
        parts.append((np.array(whose, np.int64)[owner[rows]], tracks.track[rows], relative, steps.speed[rows]))
    columns: list[npt.NDArray[Any]] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Aligned(*columns)


def speed_around(aligned: Aligned) -> tuple[Array, Spread]:
    """(F,) relative frames in order, and the statistics of the cells' speeds on each; cells count as independent."""
    frames, where = np.unique(aligned.frame, return_inverse=True)
    return frames, by_group(aligned.speed, where, len(frames))


def before_and_after(aligned: Aligned, window: int = WINDOW) -> dict[int, tuple[float, float]]:
    """Mother -> her mean speed in the `window` frames before she divides, that of her daughters in those after.

    NaN on a side where nothing was measured.
    """
    mothers, where = np.unique(aligned.mother, return_inverse=True)
    sides = []
    for near in ((aligned.frame < 0) & (aligned.frame >= -window), (aligned.frame > 0) & (aligned.frame <= window)):
        sides.append(by_group(aligned.speed[near], where[near], len(mothers)).mean)
    return {int(m): (float(b), float(a)) for m, b, a in zip(mothers, *sides, strict=True)}


@dataclass(frozen=True)
class Comparison:
    """Speed before against after division, over divisions with both.

    Attributes
    ----------
    divisions : int
    before, after : float
        Means over divisions; NaN when there are none.
    before_sem, after_sem : float
    p : float
        Of Wilcoxon's signed-rank test (two-sided, paired by division); NaN with fewer than `LEAST_PAIRS`.
    """

    divisions: int
    before: float
    before_sem: float
    after: float
    after_sem: float
    p: float


def compare(pairs: dict[int, tuple[float, float]]) -> Comparison:
    """Compare what `before_and_after` found, each division as one pair."""
    values = np.array([pair for pair in pairs.values() if not np.isnan(pair).any()]).reshape(-1, 2)
    both = by_group(values.T.reshape(-1), np.repeat([0, 1], len(values)), 2)
    p = float("nan")
    if (values[:, 0] != values[:, 1]).sum() >= LEAST_PAIRS:
        from scipy.stats import wilcoxon

        p = float(wilcoxon(values[:, 0], values[:, 1]).pvalue)
    means, errors = both.mean.tolist(), both.sem.tolist()
    return Comparison(len(values), means[0], errors[0], means[1], errors[1], p)
