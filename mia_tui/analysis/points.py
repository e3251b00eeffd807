"""Scores of point detection: which found point is which true one, and how far off; how well objects are counted.

Points are paired one to one within a radius: as many pairs as possible, and among those pairings the one with the least
sum of distances. Positions are (y, x) in pixels; from where they count does not matter as long as it is the same for
both, but with an annotated area: there the centre of pixel [0, 0] is (0, 0).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

SLACK = 0.005
"""F1 scores this near are taken for equal when a threshold is chosen."""

RADIUS = 6.0
"""Pixels within which a found point may be a true one, when nothing else is said."""

Report = dict[str, Any]


@dataclass(frozen=True)
class PointMatching:
    """How the points of one frame, or of several pooled, were matched.

    Ratios are 0 when there is nothing they could count. What has no value at all, such as the mean distance of no pair,
    is None.

    Attributes
    ----------
    radius : float
        Greatest distance of a pair in pixels.
    tp, fp, fn : int
        Pairs, found points without a partner, true points without one.
    distance_sum, square_sum : float
        Sums over the pairs of the distance and of its square, in pixels.
    frames : int
        How many frames are pooled.
    count_error : int
        Sum over the frames of |number found - true number|.
    """

    radius: float
    tp: int
    fp: int
    fn: int
    distance_sum: float
    square_sum: float
    frames: int
    count_error: int

    @property
    def n_true(self) -> int:
        return self.tp + self.fn

    @property
    def n_pred(self) -> int:
        return self.tp + self.fp

    @property
    def precision(self) -> float:
        return self.tp / self.n_pred if self.n_pred else 0.0

    @property
    def recall(self) -> float:
        return self.tp / self.n_true if self.n_true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.tp / (self.n_true + self.n_pred) if self.n_true + self.n_pred else 0.0

    @property
    def mean_distance(self) -> float | None:
        """Localisation error: mean distance of the pairs in pixels."""
        return self.distance_sum / self.tp if self.tp else None

    @property
    def rms_distance(self) -> float | None:
        """Localisation error: root of the mean squared distance of the pairs in pixels."""
        return math.sqrt(self.square_sum / self.tp) if self.tp else None

    @property
    def count_mae(self) -> float:
        """Mean absolute error of the number of points per frame."""
        return self.count_error / self.frames if self.frames else 0.0

    @property
    def relative_count_error(self) -> float | None:
        """`count_mae` over the mean true number per frame."""
        return self.count_error / self.n_true if self.n_true else None

    def as_dict(self) -> dict[str, float | int | None]:
        """Counts and every score, by name."""
        names = (
            "tp", "fp", "fn", "n_true", "n_pred", "precision", "recall", "f1", "mean_distance", "rms_distance",
            "frames", "count_mae", "relative_count_error",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


# ---- matching --------------------------------------------------------------------------------------------------------


def pair_points(
    truth: NDArray[Any], found: NDArray[Any], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pair points one to one.

    Parameters
    ----------
    truth, found : (N, 2) and (M, 2) array
    radius : float
        Pairs are at most this far apart.

    Returns
    -------
    true, pred, distance : (P,) arrays
        Indices of the paired points, by ascending true index, and their distance. P is as large as can be; among the
        pairings of that size it is one with the least sum of distances.
    """
    truth, found = (np.asarray(points, np.float64).reshape(-1, 2) for points in (truth, found))
    nothing = np.empty(0, np.int64)
    if not len(truth) or not len(found):
        return nothing, nothing, np.empty(0)
    near = cKDTree(truth).sparse_distance_matrix(cKDTree(found), radius, output_type="ndarray")
    true, partners = near["i"].astype(np.int64), near["j"].astype(np.int64)
    # Every true point may also stay alone, with a partner of its own that nobody else can have. That costs more than
    # all distances of a pairing together, so that none stays alone for the sake of distances. Distances are in units
    # of the radius and 1 is added to all costs: a cost of 0 would be no entry of a sparse matrix.
    alone = np.arange(len(truth))
    costs = np.concatenate([near["v"] / max(radius, 1e-12), np.full(len(truth), min(len(truth), len(found)) + 1.0)])
    rows, columns = np.concatenate([true, alone]), np.concatenate([partners, len(found) + alone])
    graph = coo_array((costs + 1.0, (rows, columns)), shape=(len(truth), len(found) + len(truth)))
    first, second = min_weight_full_bipartite_matching(graph.tocsr())
    paired = second < len(found)
    order = np.argsort(first[paired], kind="stable")
    i, j = first[paired][order].astype(np.int64), second[paired][order].astype(np.int64)
    return i, j, np.hypot(*(truth[i] - found[j]).T)


def match_points(
    truth: NDArray[Any], found: NDArray[Any], radius: float, *, area: NDArray[np.bool_] | None = None
) -> PointMatching:
    """Match the points of one frame.

    Parameters
    ----------
    truth, found : (N, 2) and (M, 2) array
        (y, x) in pixels.
    radius : float
        Greatest distance of a pair in pixels.
    area : (Y, X) array of bool, optional
        The annotated area. Points are paired wherever they lie. Then a pair counts when its true point lies inside, and
        a point without a partner when itself does: a true point just inside that was found just outside is found, and
        what was found just inside, of something just outside, is no false alarm.
    """
    i, j, distance = pair_points(truth, found, radius)
    true_inside, found_inside = (_inside(points, area) for points in (truth, found))
    true_inside[i], counted = False, true_inside[i]
    found_inside[j] = False
    distance = distance[counted]
    fp, fn = int(found_inside.sum()), int(true_inside.sum())
    return PointMatching(
        radius,
        tp=len(distance),
        fp=fp,
        fn=fn,
        distance_sum=float(distance.sum()),
        square_sum=float((distance**2).sum()),
        frames=1,
        count_error=abs(fp - fn),
    )


def _inside(points: NDArray[Any], area: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    points = np.asarray(points, np.float64).reshape(-1, 2)
    if area is None:
        return np.ones(len(points), np.bool_)
    y, x = np.clip(np.rint(points).astype(np.int64), 0, np.array(area.shape) - 1).T
    inside: NDArray[np.bool_] = area[y, x]
    return inside


@dataclass(frozen=True)
class FrameMatching:
    """The points of one frame, matched whatever their class, and class by class (sorted by name)."""

    anywhere: PointMatching
    by_class: dict[str, PointMatching]

    @property
    def right_class(self) -> PointMatching:
        """The classes together: a point of the wrong class is a miss and a false alarm."""
        parts = list(self.by_class.values())
        total = pool(parts) if parts else match_points(np.empty((0, 2)), np.empty((0, 2)), self.anywhere.radius)
        return _replaced(total, frames=1, count_error=abs(total.fp - total.fn))


def _replaced(matching: PointMatching, *, frames: int, count_error: int) -> PointMatching:
    return PointMatching(
        matching.radius, matching.tp, matching.fp, matching.fn, matching.distance_sum, matching.square_sum,
        frames, count_error,
    )  # fmt: skip


def match_classes(
    truth: NDArray[Any],
    truth_classes: Sequence[str],
    found: NDArray[Any],
    found_classes: Sequence[str],
    radius: float,
    *,
    area: NDArray[np.bool_] | None = None,
) -> FrameMatching:
    """Match the points of one frame whatever their class, and the points of each class on their own.

    Parameters
    ----------
    truth, found, radius, area
        As for `match_points`.
    truth_classes, found_classes : sequence of str
        The class of every point.
    """
    truth, found = (np.asarray(points, np.float64).reshape(-1, 2) for points in (truth, found))
    true_names, found_names = (np.array(list(names), dtype=object) for names in (truth_classes, found_classes))
    by_class = {
        name: match_points(truth[true_names == name], found[found_names == name], radius, area=area)
        for name in sorted({*truth_classes, *found_classes})
    }
    return FrameMatching(match_points(truth, found, radius, area=area), by_class)


def pool(matchings: Iterable[PointMatching]) -> PointMatching:
    """All points of several frames together. The matchings must be of one radius."""
    parts = list(matchings)
    if len({part.radius for part in parts}) != 1:
        raise ValueError(f"{len(parts)} matchings of the radii {sorted({p.radius for p in parts})} cannot be pooled")
    return PointMatching(
        parts[0].radius,
        tp=sum(p.tp for p in parts),
        fp=sum(p.fp for p in parts),
        fn=sum(p.fn for p in parts),
        distance_sum=float(sum(p.distance_sum for p in parts)),
        square_sum=float(sum(p.square_sum for p in parts)),
        frames=sum(p.frames for p in parts),
        count_error=sum(p.count_error for p in parts),
    )


@dataclass(frozen=True)
class ScoredPoints:
    """What a threshold is chosen on: one frame's true points, the found ones with their scores, and its area."""

    truth: NDArray[Any]
    found: NDArray[Any]
    scores: NDArray[Any]
    area: NDArray[np.bool_] | None = None


def best_threshold(
    frames: Sequence[ScoredPoints], radius: float, thresholds: Sequence[float]
) -> tuple[float, PointMatching]:
    """The threshold of the score that finds and counts best, and the matching there.

    The pooled F1 decides. It is flat at its top, where numbers of false and of missed points change places: among the
    thresholds within `SLACK` of the highest F1 the one that counts best is taken, and of several the middle one, which
    is the farthest from where the scores drop.

    Parameters
    ----------
    frames : sequence of ScoredPoints
        With the points found at the lowest threshold; found points count from their score on.
    thresholds : sequence of float
        Ascending.
    """
    totals = [
        pool(match_points(f.truth, f.found[f.scores >= np.float32(t)], radius, area=f.area) for f in frames)
        for t in thresholds
    ]
    best = max(total.f1 for total in totals)
    good = [i for i, total in enumerate(totals) if total.f1 >= best - SLACK]
    error = min(totals[i].count_error for i in good)
    ties = [i for i in good if totals[i].count_error == error]
    chosen = ties[len(ties) // 2]
    return float(thresholds[chosen]), totals[chosen]


# ---- report ----------------------------------------------------------------------------------------------------------


def point_report(matchings: Mapping[str, FrameMatching]) -> Report:
    """Report of point detection, as `mia-tui score --metric points` and `evaluate` give it.

    Parameters
    ----------
    matchings : mapping
        Name of an image (or frame) -> its matching.

    Returns
    -------
    dict
        JSON-able. `metric` "points"; `radius` in pixels; `images`: per image its name and scores (`as_dict` of the
        classes together); `pooled`: all points together, of the right class; `any_class`: the same whatever the class;
        `classes`: per class; `mean_over_images`: precision, recall and f1 averaged over the images that have true or
        found points; `empty_images`: how many have neither.
    """
    if not matchings:
        raise ValueError("no image to report on")
    of_images = {name: matching.right_class for name, matching in matchings.items()}
    names = sorted({name for matching in matchings.values() for name in matching.by_class})
    radius = next(iter(of_images.values())).radius
    absent = match_points(np.empty((0, 2)), np.empty((0, 2)), radius)
    counted = [m for m in of_images.values() if m.n_true or m.n_pred]
    return {
        "metric": "points",
        "radius": radius,
        "images": [{"image": name, **matching.as_dict()} for name, matching in of_images.items()],
        "pooled": pool(of_images.values()).as_dict(),
        "any_class": pool(m.anywhere for m in matchings.values()).as_dict(),
        "classes": {
            # A frame without points of a class has counted it right: it belongs in the mean over frames.
            name: pool(m.by_class.get(name, absent) for m in matchings.values()).as_dict()
            for name in names
        },
        "mean_over_images": {
            key: float(np.mean([getattr(m, key) for m in counted])) if counted else None
            for key in ("precision", "recall", "f1")
        },
        "empty_images": len(of_images) - len(counted),
    }


def format_points(result: Report) -> list[str]:
    """The totals of a report as lines of a text table under 80 columns."""
    pooled, mean = result["pooled"], result["mean_over_images"]
    rows = [("all", pooled)]
    if len(result["classes"]) > 1:
        rows += [*result["classes"].items(), ("whatever class", result["any_class"])]
    width = max(len(name) for name, _ in rows)
    lines = [
        f"{len(result['images'])} images, {pooled['n_true']} true and {pooled['n_pred']} found points, paired within "
        f"{result['radius']:g} px.",
        f"{'':{width}}{'tp':>7}{'fp':>7}{'fn':>7}{'prec':>7}{'recall':>8}{'F1':>7}{'error px':>10}{'count MAE':>11}",
    ]
    for name, own in rows:
        error = "-" if own["mean_distance"] is None else f"{own['mean_distance']:.2f}"
        lines.append(
            f"{name:{width}}{own['tp']:>7}{own['fp']:>7}{own['fn']:>7}{own['precision']:>7.3f}{own['recall']:>8.3f}"
            f"{own['f1']:>7.3f}{error:>10}{own['count_mae']:>11.2f}"
        )
    if pooled["relative_count_error"] is not None:
        lines.append(f"The error of the count is {pooled['relative_count_error']:.1%} of the mean true number.")
    if mean["f1"] is not None:
        lines.append(
            f"Mean over images: precision {mean['precision']:.3f}, recall {mean['recall']:.3f}, F1 {mean['f1']:.3f}"
        )
    if result["empty_images"]:
        lines.append(f"{result['empty_images']} images with neither true nor found points are not in that mean.")
    return lines
