"""How the objects of one frame moved to the next: a shift and an affine map of all, and a smooth flow of neighbours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mia_tui.tracking.assign import assign
from mia_tui.tracking.registration import image_shifts
from mia_tui.tracking.shapes import Shapes, overlaps

Array = npt.NDArray[Any]

_REDUCED = 4
_PASSES = 5
_PIXELS = 150
"""Pixels of an average object that are enough to find who became whom."""
_NEIGHBOURS = 8
_FEW = 6
"""Objects below which no affine map is fitted."""
_TOLD = 0.95
"""Where neighbours leave more than this share of the rests, everything moves on its own."""
_TUKEY = 4.685
_OVERLAP = 0.3
"""Share of the smaller object that two have to share to tell of the flow."""


@dataclass(frozen=True)
class Flow:
    """A map of places (y, x) to where they are one frame later.

    Attributes
    ----------
    affine : (3, 2) float64
        [y, x, 1] @ affine is the place one frame later, but for
    anchors, rest : (n, 2), (n, 2) float64
        places, and what is to be added there.
    """

    affine: Array
    anchors: Array
    rest: Array

    def __call__(self, place: Array) -> Array:
        """(n, 2) places one frame later; between anchors, a mean of the nearest with weights falling with distance."""
        moved: Array = place @ self.affine[:2] + self.affine[2]
        return moved + self.local(place)

    def local(self, place: Array) -> Array:
        """(n, 2): what neighbours add to the affine map."""
        if not len(self.anchors) or not len(place):
            return np.zeros((len(place), 2))
        k = min(_NEIGHBOURS, len(self.anchors))
        distance, index = cKDTree(self.anchors).query(place, k=range(1, k + 1))
        scale = np.maximum(distance.mean(1, keepdims=True), 1e-6)
        weight = np.exp(-0.5 * (distance / scale) ** 2)
        weight /= weight.sum(1, keepdims=True)
        added: Array = np.einsum("nk,nkd->nd", weight, self.rest[index])
        return added


def flow(before: Shapes, after: Shapes) -> Flow:
    """Register two frames by their objects.

    The first shift is the peak of the cross-correlation of the foregrounds at quarter size. From it on, objects are
    laid over those of the next frame, matched (a mother with up to two daughters), and the map is fitted to the centres
    of the matched ones, several times: a robust affine map (Tukey's biweight), then the median of neighbours' rests.
    """
    shifts = [_REDUCED * shift for shift in image_shifts(_reduced(before), _reduced(after))]
    fitted = [_fitted(before, after, shift) for shift in shifts]
    return max(fitted, key=lambda found: _shared(before, after, found)) if len(fitted) > 1 else fitted[0]


def _fitted(before: Shapes, after: Shapes, shift: Array) -> Flow:
    """The flow that is found from a shift of all on."""
    nothing = np.zeros((0, 2))
    found = Flow(np.array([[1.0, 0.0], [0.0, 1.0], shift]), nothing, nothing)
    if not before.area.any() or not after.area.any():
        return found
    for turn in range(_PASSES):
        source, target = _matched(before, after, found)
        if not len(source):
            break
        affine = _affine(source, target, found.affine)
        rest = target - (source @ affine[:2] + affine[2])
        found = Flow(affine, source, _smooth(source, rest)) if turn else Flow(affine, nothing, nothing)
    return found


def _shared(before: Shapes, after: Shapes, moved: Flow) -> float:
    """How many pixels fall on objects; those of small overlaps, which may be chance, do not count."""
    source, target, shared = _laid_over(before, after, moved)
    return float(shared[shared >= _OVERLAP * np.minimum(before.area[source], after.area[target])].sum())


def _reduced(shapes: Shapes) -> Array:
    """(Y / 4, X / 4) float32: share of pixels inside of objects, less its mean; edges between objects do not count."""
    picture = shapes.picture
    inner = picture >= 0
    inner[1:] &= picture[1:] == picture[:-1]
    inner[:, 1:] &= picture[:, 1:] == picture[:, :-1]
    height, width = (n // _REDUCED * _REDUCED for n in picture.shape)
    if not height or not width:
        return np.zeros((1, 1), np.float32)
    blocks = inner[:height, :width].reshape(height // _REDUCED, _REDUCED, width // _REDUCED, _REDUCED)
    reduced: Array = blocks.mean((1, 3), dtype=np.float32)
    reduced -= reduced.mean()
    return reduced


def _laid_over(before: Shapes, after: Shapes, moved: Flow) -> tuple[Array, Array, Array]:
    """(E,) objects, (E,) those of the next frame that they fall on, (E,) pixels that they share."""
    place, owner = before.some(_PIXELS)
    weight = len(before.owner) / max(len(owner), 1)
    place = place @ moved.affine[:2] + moved.affine[2] + moved.local(before.centre)[owner]
    return overlaps(place, owner, weight, after)


def _matched(before: Shapes, after: Shapes, moved: Flow) -> tuple[Array, Array]:
    """(n, 2) centres of objects, (n, 2) those of what they became."""
    source, target, shared = _laid_over(before, after, moved)
    share = shared / after.area[target]
    good = shared >= _OVERLAP * np.minimum(before.area[source], after.area[target])
    source, target, share = source[good], target[good], share[good]
    slots = np.concatenate([2 * source, 2 * source + 1])
    cost = np.concatenate([1 - share, 1.15 - share]).clip(0)
    chosen = np.flatnonzero(assign(np.tile(target, 2), slots, cost, 1.0))
    source, target = slots[chosen] // 2, np.tile(target, 2)[chosen]
    area = after.area[target]
    total = np.bincount(source, area, minlength=len(before.area))
    became = np.stack([np.bincount(source, area * after.centre[target, i], minlength=len(total)) for i in (0, 1)], 1)
    there = np.flatnonzero(total)
    return before.centre[there], became[there] / total[there, None]


def _affine(source: Array, target: Array, otherwise: Array) -> Array:
    """(3, 2): the affine map by iterated weighted least squares; only a shift when there are few points."""
    if len(source) < _FEW or np.linalg.matrix_rank(source - source.mean(0), tol=1.0) < 2:
        shifted = otherwise.copy()
        shifted[2] += np.median(target - (source @ otherwise[:2] + otherwise[2]), axis=0)
        return shifted
    middle = source.mean(0)
    design = np.column_stack([source - middle, np.ones(len(source))])
    weight = np.ones(len(source))
    for _ in range(10):
        root = np.sqrt(weight)[:, None]
        fitted: Array = np.linalg.lstsq(root * design, root * target, rcond=None)[0]
        off = np.linalg.norm(target - design @ fitted, axis=1)
        scale = max(1.4826 * float(np.median(off)), 0.5)
        weight = np.clip(1 - (off / (_TUKEY * scale)) ** 2, 0, None) ** 2
        if np.count_nonzero(weight) < _FEW:
            return otherwise
    fitted[2] -= middle @ fitted[:2]
    return fitted


def _smooth(source: Array, rest: Array) -> Array:
    """(n, 2): the median of the rests of each point's neighbours and its own; 0 where neighbours do not tell it."""
    k = min(_NEIGHBOURS, len(source))
    if k < 3:
        return np.zeros_like(rest)
    index = cKDTree(source).query(source, k=range(1, k + 1))[1]
    told = rest - np.median(rest[index[:, 1:]], axis=1)
    if np.median(np.linalg.norm(told, axis=1)) > _TOLD * np.median(np.linalg.norm(rest, axis=1)):
        return np.zeros_like(rest)
    smooth: Array = np.median(rest[index], axis=1)
    return smooth
