"""Proposals of a network for the view: the objects it finds, or what lies between the edges it finds."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.desk.acts.proposing import is_known
from mia_tui.labeling.desk.assistant import Found, Network
from mia_tui.labeling.desk.candidates import Candidate, Proposed
from mia_tui.labeling.ladder import Ladder
from mia_tui.labeling.raster import shapes_from_labels

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

SMALLEST = 9
"""Pixels of the smallest area between edges that is proposed."""


def view_of(desk: "Desk") -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the pixels in view."""
    left, top, right, bottom = desk.view_box
    return int(top), int(left), int(np.ceil(bottom)), int(np.ceil(right))


def propose_with(desk: "Desk", network: Network) -> None:
    """Put what a network finds in view on the desk, without what is labelled already."""
    assert desk.assistant is not None
    if network.gives_edges:
        found = between_edges(*desk.assistant.edges(network, view_of(desk)))
    else:
        found = desk.assistant.objects(network, view_of(desk))
    known = {entry.name for entry in desk.project.classes}
    labels = [item.geometry for item in desk.labels.objects.values()]
    fresh = [item for item in found if not is_known(item.ladder.proposal, labels)]
    ladders = {number: item.ladder for number, item in enumerate(fresh, 1)}
    candidates = [
        Candidate(n, item.ladder.proposal, item.label_class if item.label_class in known else "", item.score)
        for n, item in enumerate(fresh, 1)
    ]
    proposed = Proposed(candidates, network.name, desk.time, lambda number, _: iter((ladders[number],)))
    desk.take_candidates(proposed)
    desk.say(f"{len(candidates)} proposed by {network.name}. A accepts all, space takes them away.")


def between_edges(edges: NDArray[np.float32], offset: tuple[int, int]) -> list[Found]:
    """The areas that strong edges enclose, the edges included (as the original MIA's automatic segmentation).

    Edges are those above Otsu's threshold; the score is the mean strength of an area's own edge pixels.
    """
    from scipy.ndimage import binary_fill_holes, label, mean
    from skimage.filters import threshold_otsu

    if edges.size == 0 or edges.min() == edges.max():
        return []
    strong = edges > threshold_otsu(edges)
    areas, count = label(binary_fill_holes(strong))
    sizes = np.bincount(areas.ravel(), minlength=count + 1)
    scores = mean(edges, np.where(strong, areas, 0), np.arange(count + 1))
    shapes = shapes_from_labels(np.where(sizes[areas] >= SMALLEST, areas, 0))
    return [
        Found(Ladder((_moved(shape, offset),), 0), score=float(np.clip(np.nan_to_num(scores[number]), 0, 1)))
        for number, shape in shapes.items()
    ]


def _moved(shape: BaseGeometry, offset: tuple[int, int]) -> BaseGeometry:
    from shapely.affinity import translate

    return translate(shape, offset[1], offset[0])
