"""Links between objects with shapes: each is moved with the flow of its surroundings and laid over the next frame."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.tracking.candidates import Candidates, same_class
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.flow import Flow, flow
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.shapes import Shapes, overlaps

Array = npt.NDArray[Any]

_LIMIT = 1.0
"""What no link costs; a link costs the share of the later object that lies outside of the earlier one, and"""
_GROWN, _GROWTH = 0.3, 0.3
"""0.3 per factor e by which it is more than exp(0.3) times as large,"""
_GAP = 0.1
"""0.1 per missed frame,"""
_SECOND = 0.2
"""0.2 when it is the second daughter, and"""
_DAUGHTER = float(np.log(0.75))
"""then 1 per factor e by which she is larger than 3/4 of her mother."""
_CLASS = 0.2
"""What another class costs with the soft rule."""


class Overlap:
    """Share of the later object that the moved earlier one covers; a mother has two places for daughters."""

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
        growth = np.log(after.area[target] / before.area[source])
        cost = 1 - shared / after.area[target] + _GROWTH * np.maximum(growth - _GROWN, 0) + _GAP * (t - 1 - u)
        second = _SECOND + np.maximum(growth - _DAUGHTER, 0)
        if self._options.max_distance is not None:
            near = np.linalg.norm(after.centre[target] - centre[source], axis=1) <= self._options.max_distance
            source, target, cost, second = (values[near] for values in (source, target, cost, second))
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
