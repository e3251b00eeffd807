"""Scores of instance segmentation: which predicted object is which true one, at a threshold of overlap.

The definition is StarDist's (`stardist.matching.matching`; Schmidt et al., MICCAI 2018): objects are paired one to one
so that as many pairs as possible reach the threshold of intersection over union (IoU), and among those pairings the one
with the largest sum of IoU is taken. "AP" is tp / (tp + fp + fn), the score of the 2018 Data Science Bowl; it is not
the average precision of COCO.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mia_tui.errors import MiaError

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
METRICS = (
    "precision", "recall", "accuracy", "f1", "mean_true_score", "mean_matched_score", "panoptic_quality",
)  # fmt: skip


@dataclass(frozen=True)
class Matching:
    """How the objects of one image, or of several pooled, were matched at one threshold.

    Every ratio is 0 when there is nothing it could count, as in StarDist: an image without objects in which nothing was
    predicted has an accuracy of 0, not of 1.

    Attributes
    ----------
    threshold : float
        IoU from which on a pair counts.
    tp, fp, fn : int
        Matched pairs, predicted objects without a partner, true objects without one.
    iou_sum : float
        Sum of the IoU of the matched pairs.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    iou_sum: float

    @property
    def n_true(self) -> int:
        return self.tp + self.fn

    @property
    def n_pred(self) -> int:
        return self.tp + self.fp

    @property
    def precision(self) -> float:
        return _ratio(self.tp, self.n_pred)

    @property
    def recall(self) -> float:
        return _ratio(self.tp, self.n_true)

    @property
    def accuracy(self) -> float:
        """tp / (tp + fp + fn), which StarDist and the 2018 Data Science Bowl report as AP."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def ap(self) -> float:
        """Another name of `accuracy`."""
        return self.accuracy

    @property
    def f1(self) -> float:
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mean_true_score(self) -> float:
        """Sum of matched IoU over the number of true objects."""
        return _ratio(self.iou_sum, self.n_true)

    @property
    def mean_matched_score(self) -> float:
        """Mean IoU of the matched pairs."""
        return _ratio(self.iou_sum, self.tp)

    @property
    def panoptic_quality(self) -> float:
        """Sum of matched IoU / (tp + fp / 2 + fn / 2) (Kirillov et al., CVPR 2019, equation 1)."""
        return _ratio(self.iou_sum, self.tp + self.fp / 2 + self.fn / 2)

    def as_dict(self) -> dict[str, float | int]:
        """Counts and every metric, by name."""
        counts = {"threshold": self.threshold, "tp": self.tp, "fp": self.fp, "fn": self.fn,
                  "n_true": self.n_true, "n_pred": self.n_pred}  # fmt: skip
        return counts | {name: getattr(self, name) for name in METRICS}


@dataclass(frozen=True)
class _Overlaps:
    """Pairs of objects that share pixels. Objects are numbered from 0 in the order of their labels."""

    n_true: int
    n_pred: int
    true: NDArray[np.int64]
    pred: NDArray[np.int64]
    iou: NDArray[np.float64]


def match(
    truth: NDArray[Any],
    pred: NDArray[Any],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    area: NDArray[np.bool_] | None = None,
) -> tuple[Matching, ...]:
    """Match the objects of two label images.

    Parameters
    ----------
    truth, pred : (Y, X) array of int
        Label images: 0 is background, every other value one object. Values need not be consecutive.
    thresholds : sequence of float
        IoU thresholds in (0, 1].
    area : (Y, X) array of bool, optional
        Only pixels inside count, as if both images were cut to this area.

    Returns
    -------
    tuple of Matching
        One per threshold, in their order. Counts equal those of `stardist.matching.matching`. The IoU is compared in
        single precision, as there, so that thresholds such as 0.6000000000000001 behave as meant.

    Raises
    ------
    MiaError
        For images of different shapes, negative or fractional labels, or a threshold outside (0, 1].
    """
    for threshold in thresholds:
        if not 0 < threshold <= 1:
            raise MiaError(f"{threshold} is not a threshold of intersection over union: give numbers above 0 up to 1")
    if truth.shape != pred.shape:
        raise MiaError(f"label images of different shapes cannot be matched: {truth.shape} and {pred.shape}")
    overlaps = _overlaps(as_labels(truth), as_labels(pred), area)
    return tuple(_match_at(overlaps, float(threshold)) for threshold in thresholds)


def match_classes(
    truth: NDArray[Any],
    pred: NDArray[Any],
    truth_classes: Mapping[int, str],
    pred_classes: Mapping[int, str],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    area: NDArray[np.bool_] | None = None,
) -> dict[str, tuple[Matching, ...]]:
    """Match the objects of each class on their own: an object of the wrong class is a miss and a false alarm.

    Parameters
    ----------
    truth, pred : (Y, X) array of int
        Label images, as for `match`.
    truth_classes, pred_classes : mapping of int to str
        The class of every label.

    Returns
    -------
    dict
        Class name -> matchings, one per threshold, for every class that occurs in either mapping, sorted by name.

    Raises
    ------
    MiaError
        As for `match`, and for a label without a class.
    """
    truth, pred = as_labels(truth), as_labels(pred)
    for name, labels, classes in (("truth", truth, truth_classes), ("prediction", pred, pred_classes)):
        unknown = sorted(set(np.unique(labels).tolist()) - {0} - set(classes))
        if unknown:
            raise MiaError(f"objects {', '.join(map(str, unknown[:5]))} of the {name} have no class")
    return {
        label_class: match(
            _only(truth, truth_classes, label_class), _only(pred, pred_classes, label_class), thresholds, area=area
        )
        for label_class in sorted({*truth_classes.values(), *pred_classes.values()})
    }


def pool(matchings: Iterable[Matching]) -> Matching:
    """All objects of several images as if they lay in one (StarDist's `matching_dataset` with `by_image=False`).

    Big images count for more than small ones. The matchings must be of one threshold.
    """
    found = list(matchings)
    threshold = _one_threshold(found)
    return Matching(
        threshold,
        tp=sum(m.tp for m in found),
        fp=sum(m.fp for m in found),
        fn=sum(m.fn for m in found),
        iou_sum=float(sum(m.iou_sum for m in found)),
    )


def mean_over_images(matchings: Iterable[Matching]) -> dict[str, float]:
    """Each metric averaged over images (StarDist's `matching_dataset` with `by_image=True`).

    Every image counts the same, also one without any object, whose metrics are 0. The matchings must be of one
    threshold.
    """
    found = list(matchings)
    threshold = _one_threshold(found)
    means = {name: float(np.mean([getattr(m, name) for m in found])) for name in METRICS}
    return {"threshold": threshold} | means


def as_labels(image: NDArray[Any]) -> NDArray[Any]:
    """A label image as integers: bool becomes 0 and 1, floats must be whole numbers.

    Raises
    ------
    MiaError
        For negative or fractional values.
    """
    if image.dtype == np.bool_:
        return image.astype(np.uint8)
    if not np.issubdtype(image.dtype, np.integer):
        # Past 2 ** 53 a double no longer tells one label from the next.
        whole = image.astype(np.int64) if np.all(np.abs(image) < 2.0**53) else None
        if whole is None or not np.array_equal(whole, image):
            raise MiaError("not a label image: values must be whole numbers, one per object")
        image = whole
    if image.size and image.min() < 0:
        raise MiaError(f"not a label image: it holds the negative value {image.min()}; 0 is background")
    return image


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _only(labels: NDArray[Any], classes: Mapping[int, str], label_class: str) -> NDArray[Any]:
    wanted = [label for label, name in classes.items() if name == label_class]
    return np.where(np.isin(labels, wanted), labels, 0)


def _one_threshold(matchings: Sequence[Matching]) -> float:
    if not matchings:
        raise ValueError("no matchings to summarise")
    if len({m.threshold for m in matchings}) > 1:
        raise ValueError("matchings of different thresholds cannot be summarised together")
    return matchings[0].threshold


def numbered(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels numbered 1, 2, ... in place of their values, flat, with 0 where they are 0; and the values, ascending."""
    flat = labels.ravel()
    if flat.size == 0:
        return flat.astype(np.int64), np.empty(0, np.int64)
    top = int(flat.max())
    if top > 4 * flat.size + 65536:
        values, places = np.unique(np.append(flat, flat.dtype.type(0)), return_inverse=True)
        return places[:-1].astype(np.int64), values[1:].astype(np.int64)
    present = np.zeros(top + 1, bool)
    present[flat] = True
    present[0] = False
    lookup = np.where(present, np.cumsum(present), 0)
    return lookup[flat], np.flatnonzero(present)


def _overlaps(truth: NDArray[Any], pred: NDArray[Any], area: NDArray[np.bool_] | None) -> _Overlaps:
    if area is not None:
        truth, pred = truth[area], pred[area]
    true_index, true_labels = numbered(truth)
    pred_index, pred_labels = numbered(pred)
    n_true, n_pred = len(true_labels), len(pred_labels)
    true_size = np.bincount(true_index, minlength=n_true + 1)[1:]
    pred_size = np.bincount(pred_index, minlength=n_pred + 1)[1:]
    both = (true_index > 0) & (pred_index > 0)
    rows, columns = true_index[both] - 1, pred_index[both] - 1
    table = coo_array((np.ones(len(rows), np.int64), (rows, columns)), shape=(n_true, n_pred))
    table.sum_duplicates()
    i, j = (axis.astype(np.int64) for axis in table.coords)
    return _Overlaps(n_true, n_pred, i, j, table.data / (true_size[i] + pred_size[j] - table.data))


def _match_at(overlaps: _Overlaps, threshold: float) -> Matching:
    limit = np.float32(threshold)
    reached = overlaps.iou.astype(np.float32) >= limit
    # Above 0.5 no object has two candidates. At 0.5 it may have two that tie (both then are exactly one half), and
    # pairs below play no part. Below 0.5 StarDist lets every overlap break ties, so every overlap takes part.
    if limit > 0.5:
        matched = np.flatnonzero(reached)
    else:
        used = np.flatnonzero(reached) if limit == 0.5 else np.arange(len(reached))
        chosen = used[_assign(overlaps.true[used], overlaps.pred[used], overlaps.iou[used], reached[used])]
        matched = chosen[reached[chosen]]
    tp = len(matched)
    iou_sum = float(overlaps.iou[matched].sum())
    return Matching(threshold, tp=tp, fp=overlaps.n_pred - tp, fn=overlaps.n_true - tp, iou_sum=iou_sum)


def _assign(
    true: NDArray[np.int64], pred: NDArray[np.int64], iou: NDArray[np.float64], reached: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Positions of the pairs in an optimal one-to-one assignment.

    The assignment falls apart into the connected components of the graph of overlaps, which are small where the matrix
    of all objects would not be.
    """
    if len(true) == 0:
        return np.empty(0, np.int64)
    n_true = int(true.max()) + 1
    size = n_true + int(pred.max()) + 1
    graph = coo_array((np.ones(len(true), np.int8), (true, pred + n_true)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][true]
    alone = np.bincount(component)[component] == 1
    crowded = np.flatnonzero(~alone)
    crowded = crowded[np.argsort(component[crowded], kind="stable")]
    groups = np.split(crowded, np.flatnonzero(np.diff(component[crowded])) + 1)
    chosen = [
        group[_assign_dense(true[group], pred[group], iou[group], reached[group])] for group in groups if len(group)
    ]
    return np.concatenate([np.flatnonzero(alone), *chosen])


def _assign_dense(
    true: NDArray[np.int64], pred: NDArray[np.int64], iou: NDArray[np.float64], reached: NDArray[np.bool_]
) -> NDArray[np.int64]:
    from scipy.optimize import linear_sum_assignment  # slow to import, and predictions do not score

    rows, i = np.unique(true, return_inverse=True)
    columns, j = np.unique(pred, return_inverse=True)
    pair = np.full((len(rows), len(columns)), -1)
    pair[i, j] = np.arange(len(true))
    gain = np.zeros(pair.shape)
    # The IoU only breaks ties: all of them together weigh at most half a pair.
    gain[i, j] = reached + iou / (2 * min(pair.shape))
    chosen: NDArray[np.int64] = pair[linear_sum_assignment(gain, maximize=True)]
    return chosen[chosen >= 0]
