"""Scores of class images: how well the pixels of every class are found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError


def confusion_matrix(
    truth: NDArray[Any], pred: NDArray[Any], classes: int, *, area: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count the pixels of every pair of true and predicted class.

    Parameters
    ----------
    truth, pred : (Y, X) array of int
        Class of every pixel, 0 (background) to `classes` - 1.
    classes : int
        Number of classes, background included.
    area : (Y, X) array of bool, optional
        The annotated area: only pixels inside count.

    Returns
    -------
    (classes, classes) array of int64
        Row: true class, column: predicted class. Matrices of several images may be added.

    Raises
    ------
    MiaError
        For images of different shapes, or a value that is not a class.
    """
    if truth.shape != pred.shape or (area is not None and area.shape != truth.shape):
        shapes = ", ".join(str(array.shape) for array in (truth, pred, area) if array is not None)
        raise MiaError(f"class images of different shapes cannot be compared: {shapes}")
    if area is not None:
        truth, pred = truth[area], pred[area]
    codes = [_classes_of(image, name, classes) for image, name in ((truth, "truth"), (pred, "prediction"))]
    return np.bincount(codes[0] * classes + codes[1], minlength=classes * classes).reshape(classes, classes)


def class_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union (Jaccard index) of every class, NaN where a class neither is nor was predicted."""
    both = confusion.diagonal()
    return _ratio(both, confusion.sum(axis=0) + confusion.sum(axis=1) - both)


def class_dice(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Dice coefficient (F1) of every class, NaN where a class neither is nor was predicted."""
    return _ratio(2 * confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1))


def mean_score(scores: NDArray[np.float64], *, background: bool) -> float:
    """Mean over the classes that occur, with or without class 0; NaN when none does."""
    counted = scores if background else scores[1:]
    counted = counted[~np.isnan(counted)]
    return float(counted.mean()) if counted.size else float("nan")


def class_scores(confusion: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Every score of a confusion matrix as plain data.

    Parameters
    ----------
    confusion : (classes, classes) array of int64
    names : sequence of str
        Name of every class, background first.

    Returns
    -------
    dict
        `classes`: class name -> iou, dice, truth_pixels, pred_pixels. `mean_iou` and `mean_dice` over all classes that
        occur, `mean_iou_foreground` and `mean_dice_foreground` without background, `pixel_accuracy`. What cannot be
        told (a class that neither is nor was predicted) is None.
    """
    if len(names) != len(confusion):
        raise ValueError(f"{len(names)} names for {len(confusion)} classes")
    iou, dice = class_iou(confusion), class_dice(confusion)
    pixels = int(confusion.sum())
    scores: dict[str, Any] = {
        "classes": {
            name: {
                "iou": _known(iou[i]),
                "dice": _known(dice[i]),
                "truth_pixels": int(confusion[i].sum()),
                "pred_pixels": int(confusion[:, i].sum()),
            }
            for i, name in enumerate(names)
        }
    }
    for name, values in (("iou", iou), ("dice", dice)):
        scores[f"mean_{name}"] = _known(mean_score(values, background=True))
        scores[f"mean_{name}_foreground"] = _known(mean_score(values, background=False))
    scores["pixel_accuracy"] = int(confusion.trace()) / pixels if pixels else None
    return scores


def _classes_of(image: NDArray[Any], name: str, classes: int) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # NaN is caught below, where it differs from whatever it becomes here
        codes = image.ravel().astype(np.int64)
    if codes.size and (codes.min() < 0 or codes.max() >= classes or not np.array_equal(codes, image.ravel())):
        raise MiaError(f"the {name} holds values that are no class: classes are 0 to {classes - 1}")
    return codes


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
