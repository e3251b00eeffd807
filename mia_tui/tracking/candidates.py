"""Links that may be: what the methods of linking give to the assignment."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mia_tui.tracking.detections import Detections

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Candidates:
    """Links that may be, to one frame.

    Attributes
    ----------
    source, target : (E,) int64
        Rows of `Detections`.
    cost : (E,) float64
        At least 0.
    limit : float or None
        What no link costs; None: as many links as can be.
    second : (E,) float64 or None
        What a link costs on top when it is the second one from its source (a division); None: a source has one link.
    """

    source: Array
    target: Array
    cost: Array
    limit: float | None
    second: Array | None = None

    def only(self, keep: Array) -> "Candidates":
        second = None if self.second is None else self.second[keep]
        return Candidates(self.source[keep], self.target[keep], self.cost[keep], self.limit, second)


def same_class(possible: Candidates, detections: Detections) -> Candidates:
    """Without the links between classes."""
    return possible.only(detections.label[possible.source] == detections.label[possible.target])


def near(sources: Array, expected: Array, targets: Array, places: Array, gate: float) -> tuple[Array, Array]:
    """(sources, targets) of all pairs with a distance of at most `gate`, sorted by both.

    Parameters
    ----------
    sources, targets : (n,), (m,) int
        Rows, ascending.
    expected, places : (n, D), (m, D) float64
        Where the sources will be, and where the targets are.
    """
    if not len(sources) or not len(targets):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = cKDTree(expected).sparse_distance_matrix(cKDTree(places), gate, output_type="ndarray")
    order = np.argsort(pairs["i"] * len(targets) + pairs["j"])
    return sources[pairs["i"][order]], targets[pairs["j"][order]]
