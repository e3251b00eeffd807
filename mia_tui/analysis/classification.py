"""Scores of image classification: how often the class is right, class by class, and what the probabilities are worth.

What cannot be told is None: the recall of a class that no image has, the precision of one that was never predicted, the
area under the curve where a class has all images or none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.analysis.semantic import confusion_matrix
from mia_tui.errors import MiaError

_BINS = 15
Report = dict[str, Any]


def classification_scores(
    truth: NDArray[Any],
    pred: NDArray[Any],
    names: Sequence[str],
    probabilities: NDArray[Any] | None = None,
) -> Report:
    """Every score of predicted classes as plain data.

    Parameters
    ----------
    truth, pred : (N,) array of int
        Class of every image, 0 to C - 1.
    names : sequence of str
        Name of every class.
    probabilities : (N, C) array, optional
        Probability of every class, 0 to 1.

    Returns
    -------
    dict
        `images`: N. `accuracy`. `balanced_accuracy`: mean recall of the classes that occur. `macro_f1`: mean F1 of the
        classes that occur or were predicted. `classes`: name -> precision, recall, f1, auc, support (true images),
        predicted (images). `confusion`: rows are true classes, columns predicted ones. With probabilities also
        `macro_auc` (mean over the classes that have one), `log_loss` and `calibration_error`.

    Raises
    ------
    MiaError
        For arrays that do not fit each other and values that are no class.
    """
    truth, pred = np.asarray(truth).reshape(-1), np.asarray(pred).reshape(-1)
    confusion = confusion_matrix(truth, pred, len(names))
    hits, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratios(hits, predicted), _ratios(hits, support)
    f1 = _ratios(2 * hits, support + predicted)
    auc: list[float | None] = [None] * len(names)
    scores: Report = {"images": len(truth)}
    of_probabilities: Report = {}
    if probabilities is not None:
        chances = np.asarray(probabilities, np.float64)
        if chances.shape != (len(truth), len(names)):
            raise MiaError(f"{len(truth)} images and {len(names)} classes with probabilities of shape {chances.shape}")
        auc = [auc_one_vs_rest(truth == i, chances[:, i]) for i in range(len(names))]
        of_probabilities = {
            "macro_auc": _mean(auc),
            "log_loss": log_loss(truth, chances),
            "calibration_error": calibration_error(truth, chances),
        }
    scores |= {
        "accuracy": int(hits.sum()) / len(truth) if len(truth) else None,
        "balanced_accuracy": _mean(recall),
        "macro_f1": _mean(f1),
        **of_probabilities,
        "classes": {
            name: {
                "precision": precision[i],
                "recall": recall[i],
                "f1": f1[i],
                "auc": auc[i],
                "support": int(support[i]),
                "predicted": int(predicted[i]),
            }
            for i, name in enumerate(names)
        },
        "confusion": confusion.tolist(),
    }
    return scores


def auc_one_vs_rest(positive: NDArray[np.bool_], score: NDArray[Any]) -> float | None:
    """Area under the ROC curve: how often an image of the class scores higher than one of another; ties count half.

    Computed from ranks as the statistic of Mann and Whitney (Hanley and McNeil, Radiology 143:29, 1982). None without
    an image of the class or without one of another.
    """
    ours = int(positive.sum())
    others = len(positive) - ours
    if not ours or not others:
        return None
    from scipy.stats import rankdata  # slow to import, and predictions do not score

    ranks = rankdata(score)[positive].sum()
    return float((ranks - ours * (ours + 1) / 2) / (ours * others))


def log_loss(truth: NDArray[Any], probabilities: NDArray[np.float64]) -> float | None:
    """Mean of -ln of the probability that the true class was given (at least 2.2e-16). None without images."""
    if not len(truth):
        return None
    own = np.take_along_axis(probabilities, truth.astype(np.int64)[:, None], axis=1)
    return float(-np.log(np.clip(own, np.finfo(np.float64).eps, 1.0)).mean())


def calibration_error(truth: NDArray[Any], probabilities: NDArray[np.float64]) -> float | None:
    """Expected calibration error: how far the highest probability is from the share of right answers, on average.

    Images are put into 15 bins of equal width by their highest probability; the differences between its mean and the
    accuracy in each bin are averaged by the number of images (Guo et al., ICML 2017, equation 3). None without images.
    """
    if not len(truth):
        return None
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.clip(np.ceil(confidence * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    gap = np.bincount(bins, confidence, _BINS) - np.bincount(bins, right, _BINS)
    return float(np.abs(gap).sum() / len(truth))


def classification_report(
    images: Sequence[str],
    truth: NDArray[Any],
    pred: NDArray[Any],
    names: Sequence[str],
    probabilities: NDArray[Any] | None = None,
) -> Report:
    """Report of image classes, as `mia-tui score --metric classes` on tables and `evaluate` give it.

    Parameters
    ----------
    images : sequence of str
        Name of every image (or frame).
    truth, pred, names, probabilities
        As for `classification_scores`.

    Returns
    -------
    dict
        JSON-able. `metric` "image_classes"; `names` of the classes; `totals`: the `classification_scores`; `wrong`:
        image, truth and pred of every image whose class is wrong.
    """
    if not len(images):
        raise ValueError("no image to report on")
    totals = classification_scores(truth, pred, names, probabilities)
    wrong = [
        {"image": image, "truth": names[true], "pred": names[found]}
        for image, true, found in zip(images, truth.tolist(), pred.tolist(), strict=True)
        if true != found
    ]
    return {"metric": "image_classes", "names": list(names), "totals": totals, "wrong": wrong}


def format_classification(result: Report) -> list[str]:
    """The totals of a report as lines of text: scores per class, and the confusion matrix."""
    totals, names = result["totals"], result["names"]
    width = max(5, *(len(name) for name in names))
    lines = [
        f"{totals['images']} images: accuracy {_text(totals['accuracy'])}, balanced accuracy "
        f"{_text(totals['balanced_accuracy'])}, macro F1 {_text(totals['macro_f1'])}"
    ]
    if "macro_auc" in totals:
        lines.append(
            f"macro AUC {_text(totals['macro_auc'])}, log loss {_text(totals['log_loss'])}, "
            f"calibration error {_text(totals['calibration_error'])}"
        )
    lines.append(f"{'class':{width}}{'precision':>11}{'recall':>9}{'F1':>8}{'AUC':>8}{'images':>9}{'predicted':>11}")
    for name, own in totals["classes"].items():
        lines.append(
            f"{name:{width}}{_text(own['precision']):>11}{_text(own['recall']):>9}{_text(own['f1']):>8}"
            f"{_text(own['auc']):>8}{own['support']:>9}{own['predicted']:>11}"
        )
    lines += ["", "Rows: true class. Columns: predicted class."]
    cell = max(7, *(len(name) + 2 for name in names))
    lines.append(f"{'':{width}}" + "".join(f"{name:>{cell}}" for name in names))
    for name, row in zip(names, totals["confusion"], strict=True):
        lines.append(f"{name:{width}}" + "".join(f"{count:>{cell}}" for count in row))
    return lines


def _ratios(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[float | None]:
    return [a / b if b else None for a, b in zip(part.tolist(), whole.tolist(), strict=True)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
