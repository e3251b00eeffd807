"""Links between objects with shapes: each is moved with the flow of its surroundings and laid over the next frame."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.tracking.candidates import Candidates, near, same_class
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.flow import Flow, flow
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.shapes import Shapes, overlaps

Array = npt.NDArray[Any]

_LIMIT = 1.25
"""What no link costs. A link costs the share of the later object that lies outside of the earlier one, and"""
_GROWN, _GROWTH = 0.3, 0.3
"""0.3 per factor e by which it is more than exp(0.3) times as large,"""
_GAP = 0.1
"""0.1 per missed frame,"""
_APART, _REACH = 0.25, 1.5
"""where the two do not meet, 0.25 (d / r)^2, r being 1.5 times the radii of both, up to there,"""
_SECOND = 0.2
"""0.2 when it is the second daughter,"""
_DAUGHTER = float(np.log(0.75))
"""then also 1 per factor e by which she is larger than 3/4 of her mother,"""
_SECOND_LIMIT = 1.0
"""and then only up to here; and"""
_CLASS = 0.2
"""0.2 when the class differs (with the soft rule)."""


class Overlap:
    """Share of the later object that the moved earlier one covers; a mother has two places for daughters.

    Objects that do not meet may be linked when they are near and nothing else explains them. Where objects move farther
    than their own size, each on its own way, points are linked better.
    """

    def __init__(self, detections: Detections, options: LinkOptions, masks: Callable[[int], Array]) -> None:
        self.reach = options.gap("masks") + 1
        self.divides = options.divisions
        self._found, self._options, self._masks = detections, options, masks
        self._starts = detections.starts
        self._shapes: OrderedDict[int, Shapes] = OrderedDict()
        self._flows: OrderedDict[int, Flow] = OrderedDict()

    def candidates(self, t: int, sources: Array, targets: Array) -> Candidates:
        """Links from `sources`, rows that wait for their next object, to `targets`, the rows of frame `t`."""
        after = self._shape(t)
        parts = [self._from(u, t, sources, after) for u in np.unique(self._found.frame[sources]).tolist()]
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        source, target, cost, second = (np.concatenate(column) for column in zip(nothing, *parts, strict=True))
        possible = Candidates(source, target, cost, _LIMIT, second if self._options.divisions else None)
        return same_class(possible, self._found) if self._options.class_rule == "hard" else possible

    def _from(self, u: int, t: int, sources: Array, after: Shapes) -> tuple[Array, ...]:
        """Links from the sources of frame u: (source, target, cost, cost on top as a second link)."""
        before, first = self._shape(u), self._starts[u]
        wanted = np.zeros(len(before.area), bool)
        wanted[sources[(sources >= first) & (sources < self._starts[u + 1])] - first] = True
        pixels = wanted[before.owner]
        place, owner, centre = before.place[pixels].astype(np.float64), before.owner[pixels], before.centre
        for step in range(u + 1, t + 1):
            moved = self._flow(step)
            local = moved.local(centre)
            place = place @ moved.affine[:2] + moved.affine[2] + local[owner]
            centre = centre @ moved.affine[:2] + moved.affine[2] + local
        source, target, shared = overlaps(place, owner, 1.0, after)
        beside = _beside(before, after, centre, np.flatnonzero(wanted), source, target)
        source, target = np.append(source, beside[0]), np.append(target, beside[1])
        shared = np.append(shared, np.zeros(len(beside[0])))
        growth = np.log(after.area[target] / before.area[source])
        distance = np.linalg.norm(after.centre[target] - centre[source], axis=1)
        cost = 1 - shared / after.area[target] + _GROWTH * np.maximum(growth - _GROWN, 0) + _GAP * (t - 1 - u)
        second = _SECOND + np.maximum(growth - _DAUGHTER, 0)
        second[cost + second >= _SECOND_LIMIT] = np.inf
        cost += _APART * (shared == 0) * (distance / _reach(before.area[source], after.area[target])) ** 2
        if self._options.max_distance is not None:
            keep = distance <= self._options.max_distance
            source, target, cost, second = (values[keep] for values in (source, target, cost, second))
        source, target = first + source, self._starts[t] + target
        if self._options.class_rule == "soft":
            cost = cost + _CLASS * (self._found.label[source] != self._found.label[target])
        return source, target, cost, second

    def learn(self, t: int, source: Array, target: Array) -> None:
        """Nothing: all it needs is in two frames."""

    def cost(self, source: Array, target: Array) -> Array:
        """What links cost, pair by pair; 2 where the shapes do not meet."""
        costs = np.full(len(source), 2.0)
        for index, (one, other) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
            t = int(self._found.frame[other])
            if t - self._found.frame[one] <= self.reach:
                possible = self.candidates(t, np.array([one]), np.array([other]))
                costs[index] = possible.cost[possible.target == other].min(initial=2.0)
        return costs

    def _shape(self, t: int) -> Shapes:
        if t not in self._shapes:
            labels = np.asarray(self._masks(t))
            objects = self._found.object[self._starts[t] : self._starts[t + 1]]
            if labels.ndim != 2:
                raise MiaError(f"the label image of frame {t + 1} has {labels.ndim} axes: linking by overlap needs 2.")
            self._shapes[t] = Shapes.of(labels, objects)
            while len(self._shapes) > self.reach + 1:
                self._shapes.popitem(last=False)
        self._shapes.move_to_end(t)
        return self._shapes[t]

    def _flow(self, t: int) -> Flow:
        """From frame t - 1 to t."""
        if t not in self._flows:
            self._flows[t] = flow(self._shape(t - 1), self._shape(t))
            while len(self._flows) > self.reach:
                self._flows.popitem(last=False)
        return self._flows[t]


def _reach(area: Array, other: Array) -> Array:
    """How far apart the centres of two objects may be that do not meet."""
    reach: Array = _REACH * (np.sqrt(area / np.pi) + np.sqrt(other / np.pi))
    return reach


def _beside(
    before: Shapes, after: Shapes, centre: Array, wanted: Array, source: Array, target: Array
) -> tuple[Array, Array]:
    """(source, target) of those that are near each other beside the pairs that meet.

    Parameters
    ----------
    centre : (K, 2) float64
        Where the earlier objects are now.
    wanted : (n,) int
        The earlier objects that count.
    source, target : (E,) int
        Pairs that meet.
    """
    early, late = wanted[before.area[wanted] > 0], np.flatnonzero(after.area)
    if not len(early) or not len(late):
        return early[:0], late[:0]
    farthest = float(_reach(before.area[early].max(), after.area[late].max()))
    pairs = np.stack(near(early, centre[early], late, after.centre[late], farthest))
    distance = np.linalg.norm(after.centre[pairs[1]] - centre[pairs[0]], axis=1)
    count = len(after.area)
    apart = ~np.isin(pairs[0] * count + pairs[1], source * count + target)
    one, other = pairs[:, apart & (distance <= _reach(before.area[pairs[0]], after.area[pairs[1]]))]
    return one, other
