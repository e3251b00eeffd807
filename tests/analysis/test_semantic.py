"""Scores of class images against scikit-learn."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mia_tui.analysis.semantic import class_dice, class_iou, class_scores, confusion_matrix, mean_score
from mia_tui.errors import MiaError

sklearn_metrics = pytest.importorskip("sklearn.metrics")
CLASSES = 5
class_images = hnp.arrays(np.uint8, (4, 6), elements=st.integers(0, CLASSES - 1))


@settings(max_examples=100, deadline=None)
@given(class_images, class_images, hnp.arrays(bool, (4, 6)))
def test_scores_are_scikit_learns_inside_the_annotated_area(truth, pred, area):
    confusion = confusion_matrix(truth, pred, CLASSES, area=area)
    seen, found = truth[area], pred[area]
    labels = list(range(CLASSES))
    if seen.size:
        assert np.array_equal(confusion, sklearn_metrics.confusion_matrix(seen, found, labels=labels))
    present = np.isin(labels, seen) | np.isin(labels, found)
    iou, dice = class_iou(confusion), class_dice(confusion)
    assert np.array_equal(np.isnan(iou), ~present)
    assert np.array_equal(np.isnan(dice), ~present)
    if not seen.size:
        assert np.isnan(mean_score(iou, background=True))
        return
    options = {"labels": labels, "average": None, "zero_division": 0}
    assert iou[present] == pytest.approx(sklearn_metrics.jaccard_score(seen, found, **options)[present])
    assert dice[present] == pytest.approx(sklearn_metrics.f1_score(seen, found, **options)[present])
    kept = np.flatnonzero(present)
    macro = sklearn_metrics.jaccard_score(seen, found, labels=kept, average="macro", zero_division=0)
    assert mean_score(iou, background=True) == pytest.approx(macro)
    if kept[kept > 0].size:
        macro = sklearn_metrics.f1_score(seen, found, labels=kept[kept > 0], average="macro", zero_division=0)
        assert mean_score(dice, background=False) == pytest.approx(macro)


def test_hand_worked_report():
    truth = np.array([[0, 0, 1, 1]])
    pred = np.array([[0, 1, 1, 1]])
    report = class_scores(confusion_matrix(truth, pred, 3), ["background", "cell", "debris"])
    assert report["classes"]["cell"] == {
        "iou": pytest.approx(2 / 3), "dice": pytest.approx(0.8), "truth_pixels": 2, "pred_pixels": 3,
    }  # fmt: skip
    assert report["classes"]["debris"] == {"iou": None, "dice": None, "truth_pixels": 0, "pred_pixels": 0}
    assert report["mean_iou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert report["mean_iou_foreground"] == pytest.approx(2 / 3)
    assert report["pixel_accuracy"] == 0.75
    json.dumps(report, allow_nan=False)


def test_nothing_annotated_is_no_score_and_no_crash():
    image = np.ones((3, 3), int)
    report = class_scores(confusion_matrix(image, image, 2, area=np.zeros((3, 3), bool)), ["background", "cell"])
    assert report["mean_iou"] is report["mean_dice_foreground"] is report["pixel_accuracy"] is None


def test_a_found_class_that_is_not_there_scores_zero():
    confusion = confusion_matrix(np.zeros((2, 2), int), np.eye(2, dtype=int), 2)
    assert class_iou(confusion)[1] == class_dice(confusion)[1] == 0


@pytest.mark.parametrize("value", [-1, 2, 0.5, np.nan])
def test_values_that_are_no_class_are_named(value):
    with pytest.raises(MiaError, match="prediction holds values that are no class: classes are 0 to 1"):
        confusion_matrix(np.zeros((2, 2), int), np.full((2, 2), value), 2)


def test_different_shapes_are_named():
    with pytest.raises(MiaError, match=r"\(2, 3\), \(3, 2\)"):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
