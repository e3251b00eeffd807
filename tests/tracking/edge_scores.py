"""How well links agree with the true ones, for the tests of linking."""

import numpy as np
import numpy.typing as npt

from mia_tui.simulate.motion import PointMovie
from mia_tui.tracking.detections import Detections

Edges = npt.NDArray[np.int64]


def edge_f1(edges: Edges, truth: Edges) -> float:
    found, true = set(map(tuple, edges.tolist())), set(map(tuple, truth.tolist()))
    return 2 * len(found & true) / (len(found) + len(true))


def divisions(edges: Edges) -> set[tuple[int, ...]]:
    daughters: dict[int, list[int]] = {}
    for mother, daughter in edges.tolist():
        daughters.setdefault(mother, []).append(daughter)
    return {(mother, *sorted(both)) for mother, both in daughters.items() if len(both) == 2}


def division_f1(edges: Edges, truth: Edges) -> float:
    found, true = divisions(edges), divisions(truth)
    return 2 * len(found & true) / (len(found) + len(true))


def detections_of(movie: PointMovie, classes: tuple[str, ...] = ("a", "b")) -> Detections:
    return Detections.of(movie.frame, movie.position, label=movie.label, classes=classes, frames=movie.frames)
