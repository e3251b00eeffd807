"""Proposed masks: outlines of all objects of an image, from nothing, for a person to accept and mend.

    proposer = MaskProposer(plane)              # looks at the image once
    found = proposer.propose()                  # everything at once
    found = proposer.propose(threshold=-1)      # a moment later: more objects, more doubtful ones
    proposer.ladders(found.items[0])            # the same object, smaller to larger, and in other shapes
    proposer.outlines_at(y, x)                  # an object where a person points

Positions are (y, x) in pixels of the whole plane; the centre of the top-left pixel is (0.5, 0.5).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.imaging.source import Array
from mia_tui.labeling.proposals.candidates import Candidates, find_candidates, no_candidates
from mia_tui.labeling.proposals.contours import RAYS, directions, fill_star
from mia_tui.labeling.proposals.ladders import Ladder, Star, ladders_at, ladders_of
from mia_tui.labeling.proposals.relief import POLARITIES, relief
from mia_tui.labeling.proposals.scorecard import scores
from mia_tui.labeling.proposals.size import estimate_size
from mia_tui.labeling.raster import fill, shapes_from_labels

LIMIT = 5000 * 5000
"""Pixels that are looked at in one go."""
AROUND = 64
"""Pixels that are looked at beyond a box, so that an object on its edge is seen whole."""

CUT = 0.3
"""Score from which on a contour is proposed at threshold 0."""
LEAST = 0.05
"""Score from which on a point snaps to a contour."""
STEP = 0.6
"""One step of the threshold, in units of the logarithm of the odds."""
OVERLAP = 0.4
"""Share of a contour that may lie in surer ones; it is cut off."""
SPOTS = 24
DOUBT = 0.25
"""Leave for the quick look at the overlap, which sees a few points only."""
TAKEN = np.iinfo(np.int32).max
ALIKE = 0.7
"""Intersection over union from which on an outline is the same as a rejected one."""
GROW = 1.08
"""Ratio of the radii of one step of growing all."""
FEWEST = 4
"""Pixels of the smallest proposal."""
KEPT = 4
"""Sizes whose candidates are kept, so that scrubbing back is free."""

Window = tuple[slice, slice]
Box = tuple[int, int, int, int]
"""Rows and columns (top, left, bottom, right) of a part of a plane, in pixels; bottom and right are outside."""


@dataclass(frozen=True)
class Settings:
    """What a person scrubs.

    Attributes
    ----------
    threshold : int
        Steps: each one up asks for surer objects, so fewer of them.
    size : float
        Typical diameter in pixels; 0 is estimated from the image.
    grow : int
        Steps: each one up makes all outlines 8 % wider.
    """

    threshold: int = 0
    size: float = 0.0
    grow: int = 0


@dataclass(frozen=True)
class Proposal:
    """One proposed object.

    Attributes
    ----------
    number : int
        Its value in `Proposals.labels`.
    y, x : float
        Centroid of its pixels.
    score : float
        How sure it is, 0..1.
    outline : Polygon or MultiPolygon
        Exact to the pixel.
    star : Star
        The contour it was cut from.
    """

    number: int
    y: float
    x: float
    score: float
    outline: BaseGeometry
    star: Star = field(repr=False, compare=False)


@dataclass(frozen=True)
class Proposals:
    """What was found.

    Attributes
    ----------
    labels : (Y, X) int32
        Label image of the box that was looked at (of the whole plane without one).
    items : tuple of Proposal
        The most doubtful first.
    size : float
        Typical diameter in pixels that was looked for.
    """

    labels: NDArray[np.int32]
    items: tuple[Proposal, ...]
    size: float


@dataclass(frozen=True)
class _Found:
    """Candidates of one size.

    `order` has the surest first, `rows` and `columns` (N, SPOTS) are pixels spread over each, and `pixels` holds those
    of the candidates that were filled so far.
    """

    candidates: Candidates
    scores: NDArray[np.float64]
    order: NDArray[np.intp]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    pixels: dict[tuple[int, int], tuple[Window, NDArray[np.bool_]]] = field(default_factory=dict)


class MaskProposer:
    """Proposes masks in one plane.

    Parameters
    ----------
    plane : (C, Y, X) array
        Of any real dtype. Channels are averaged; RGB on a bright ground is un-mixed for the nuclear stain.
    polarity : str
        "bright", "dark" or "auto": whether objects are brighter than the ground.
    box : Box, optional
        Look at this part only; objects whose centre lies in it are proposed.

    Raises
    ------
    MiaError
        For more than `LIMIT` pixels, or a box outside the plane.
    """

    def __init__(self, plane: Array, *, polarity: str = "auto", box: Box | None = None) -> None:
        if polarity not in POLARITIES:
            raise MiaError(f"{polarity} is no polarity: choose one of {', '.join(POLARITIES)}")
        if plane.ndim != 3:
            raise ValueError(f"a plane is a (C, Y, X) array, not {plane.shape}")
        height, width = plane.shape[1:]
        self.box = box or (0, 0, height, width)
        top, left, bottom, right = self.box
        if not (0 <= top <= bottom <= height and 0 <= left <= right <= width):
            raise MiaError(f"the box {self.box} does not lie in the image of {height} x {width} pixels")
        if (bottom - top) * (right - left) > LIMIT:
            size = f"{bottom - top} x {right - left} pixels"
            raise MiaError(f"{size} are too many to look at in one go: zoom in, and ask for what is in view")
        self._top, self._left = max(top - AROUND, 0), max(left - AROUND, 0)
        seen = plane[:, self._top : min(bottom + AROUND, height), self._left : min(right + AROUND, width)]
        self._relief = relief(seen, polarity)
        self._estimate: float | None = None
        self._found: dict[float, _Found] = {}

    def propose(
        self,
        settings: Settings = Settings(),
        taken: Sequence[BaseGeometry] = (),
        rejected: Sequence[BaseGeometry] = (),
    ) -> Proposals:
        """All objects at these settings. Deterministic; a new size costs more than a new threshold.

        Parameters
        ----------
        taken : sequence of geometries
            What is an object already: proposals lie beside these.
        rejected : sequence of geometries
            What is none: nothing like these is proposed, but other outlines at the same place may be.
        """
        radius = self._radius(settings.size)
        found = self._candidates(radius)
        seen = np.where(self._drawn(taken), TAKEN, 0).astype(np.int32)
        labels, items = self._describe(found, settings.grow, *self._paint(found, settings, seen, self._drawn(rejected)))
        items.sort(key=lambda item: (item.score, item.number))
        return Proposals(labels, tuple(items), 2 * radius)

    def ladders(self, proposal: Proposal, taken: Sequence[BaseGeometry] = ()) -> Iterator[Ladder]:
        """Other outlines of a proposal, none of them over the outlines that are `taken`, worked out when asked for.

        The first ladder holds the proposal itself and what is smaller and larger; the others are different shapes at
        the same place, the likeliest first.
        """
        return ladders_of(self._relief, proposal.star, proposal.outline, taken, (self._top, self._left))

    def outlines_at(
        self, y: float, x: float, taken: Sequence[BaseGeometry] = (), size: float = 0.0
    ) -> Iterator[Ladder]:
        """Outlines of the object that a person points at, none of them over what is `taken`.

        The first ladder is the likeliest; the others are worked out when asked for.

        Empty where all pixels around the point are taken.

        Raises
        ------
        MiaError
            For a point outside the part of the plane that is looked at.
        """
        rows, columns = self._relief.shape
        if not (0 <= y - self._top < rows and 0 <= x - self._left < columns):
            raise MiaError(f"the point ({y:g}, {x:g}) lies outside the view that was looked at")
        return ladders_at(self._relief, y, x, self._radius(size), taken, (self._top, self._left))

    def snap(self, y: float, x: float, reach: float, size: float = 0.0) -> tuple[float, float] | None:
        """The likely centre of an object that is nearest to a point, within `reach` pixels; None without one."""
        found = self._candidates(self._radius(size))
        rows, columns = found.candidates.y + self._top + 0.5, found.candidates.x + self._left + 0.5
        away = np.hypot(rows - y, columns - x)
        near = np.flatnonzero((away <= reach) & (found.scores >= LEAST))
        if not len(near):
            return None
        best = near[np.argmin(away[near])]
        return float(rows[best]), float(columns[best])

    def _radius(self, size: float) -> float:
        if size < 0 or not math.isfinite(size):
            raise MiaError(f"{size} is not a diameter: give pixels, or 0 to have it estimated")
        if size:
            return max(size / 2, 1.0)
        if self._estimate is None:
            self._estimate = estimate_size(self._relief)
        return self._estimate

    def _candidates(self, radius: float) -> _Found:
        found = self._found.pop(radius, None)
        if found is None:
            many = find_candidates(self._relief, radius) if self._relief.any() else no_candidates()
            sure = scores(many.features)
            found = _Found(many, sure, np.argsort(-sure, kind="stable"), *_spots(many, self._relief.shape))
        self._found[radius] = found
        while len(self._found) > KEPT:
            del self._found[next(iter(self._found))]
        return found

    def _drawn(self, outlines: Sequence[BaseGeometry]) -> NDArray[np.int32]:
        """Number of the outline, from 1, at every pixel that is looked at; 0 where there is none."""
        rows, columns = self._relief.shape
        drawn = np.zeros((rows, columns), np.int32)
        offset = np.array([self._left, self._top])
        for number, outline in enumerate(outlines, 1):
            moved = shapely.transform(outline, lambda xy: xy - offset) if offset.any() else outline
            y, x, inside = fill(moved, (rows, columns))
            drawn[y, x][inside] = number
        return drawn

    def _paint(
        self, found: _Found, settings: Settings, seen: NDArray[np.int32], rejected: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], list[int]]:
        """Label image of the box, and which candidate each number is. The surest are painted first and stay."""
        areas = np.bincount(rejected.ravel())
        chosen: list[int] = []
        for index in self._sure(found, settings.threshold):
            # A look at a few points spares most candidates that lie in a surer one from being filled.
            if np.count_nonzero(seen[found.rows[index], found.columns[index]]) > (OVERLAP + DOUBT) * SPOTS:
                continue
            window, mask = self._pixels(found, index, settings.grow)
            there = seen[window]
            free = mask & (there == 0)
            area, kept = int(np.count_nonzero(mask)), int(np.count_nonzero(free))
            if kept >= max(FEWEST, (1 - OVERLAP) * area) and not _alike(free, rejected[window], areas):
                chosen.append(index)
                there[free] = len(chosen)
        seen[seen == TAKEN] = 0
        return seen, chosen

    def _sure(self, found: _Found, threshold: int) -> list[int]:
        """Candidates above the threshold, surest first."""
        odds = math.log(CUT / (1 - CUT)) + STEP * max(-100, min(threshold, 100))
        count = int(np.count_nonzero(found.scores >= 1 / (1 + math.exp(-odds))))
        surest: list[int] = found.order[:count].tolist()
        return surest

    def _pixels(self, found: _Found, index: int, grow: int) -> tuple[Window, NDArray[np.bool_]]:
        key = index, grow
        if key not in found.pixels:
            many = found.candidates
            found.pixels[key] = fill_star(
                many.y[index], many.x[index], many.radius[index] * GROW**grow, self._relief.shape
            )
        return found.pixels[key]

    def _describe(
        self, found: _Found, grow: int, labels: NDArray[np.int32], chosen: list[int]
    ) -> tuple[NDArray[np.int32], list[Proposal]]:
        """Proposals whose centroid lies in the box, and the label image of the box with only them."""
        offset = np.array([self._left, self._top])
        rows, columns = np.nonzero(labels)
        values = labels[rows, columns]
        area = np.maximum(np.bincount(values, minlength=len(chosen) + 1), 1)
        y = np.bincount(values, rows, len(chosen) + 1) / area + 0.5 + self._top
        x = np.bincount(values, columns, len(chosen) + 1) / area + 0.5 + self._left
        top, left, bottom, right = self.box
        inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
        labels = np.where(inside[labels], labels, 0)
        outlines = shapes_from_labels(labels)
        moved = (
            shapely.transform(list(outlines.values()), lambda xy: xy + offset) if offset.any() else outlines.values()
        )
        items = []
        for number, outline in zip(outlines, moved, strict=True):
            index = chosen[number - 1]
            star = self._star(found.candidates, index, grow)
            score = float(found.scores[index])
            items.append(Proposal(number, float(y[number]), float(x[number]), score, outline, star))
        return labels[top - self._top : bottom - self._top, left - self._left : right - self._left], items

    def _star(self, many: Candidates, index: int, grow: int) -> Star:
        y, x = float(many.y[index]) + 0.5 + self._top, float(many.x[index]) + 0.5 + self._left
        return Star(y, x, many.radius[index] * GROW**grow)


def _alike(mask: NDArray[np.bool_], rejected: NDArray[np.int32], areas: NDArray[np.intp]) -> bool:
    """Whether a mask is much the same as one of the rejected outlines, of which `areas` are the pixels."""
    if len(areas) == 1:
        return False
    shared = np.bincount(rejected[mask], minlength=len(areas))
    shared[0] = 0
    return bool((shared > ALIKE * (areas + np.count_nonzero(mask) - shared)).any())


def _spots(many: Candidates, shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of `SPOTS` pixels spread over each candidate: 16 near its rim, 8 half-way."""
    sine, cosine = directions(RAYS)
    outer, inner = 0.85 * many.radius[:, ::2], 0.45 * many.radius[:, 1::4]
    y = np.concatenate([outer * sine[::2], inner * sine[1::4]], 1) + many.y[:, None] + 0.5
    x = np.concatenate([outer * cosine[::2], inner * cosine[1::4]], 1) + many.x[:, None] + 0.5
    return np.clip(y.astype(np.intp), 0, shape[0] - 1), np.clip(x.astype(np.intp), 0, shape[1] - 1)


def propose_masks(plane: Array, settings: Settings = Settings(), *, polarity: str = "auto") -> Proposals:
    """All objects of a plane; see `MaskProposer`, which answers a second time faster."""
    return MaskProposer(plane, polarity=polarity).propose(settings)
