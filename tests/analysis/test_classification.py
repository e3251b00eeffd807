"""Scores of image classes against scikit-learn, and what has no value."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from mia_tui.analysis.classification import (
    auc_one_vs_rest,
    calibration_error,
    classification_report,
    classification_scores,
)
from mia_tui.analysis.scores import format_score
from mia_tui.errors import MiaError

NAMES = ["a", "b", "c", "d"]


def drawn(seed, images, classes):
    """Random truth, prediction and probabilities; some classes may be absent, scores tie."""
    rng = np.random.default_rng(seed)
    chances = rng.integers(1, 5, (images, classes)).astype(float)
    chances /= chances.sum(axis=1, keepdims=True)
    present = rng.permutation(classes)[: rng.integers(1, classes + 1)]
    return rng.choice(present, images), chances.argmax(axis=1), chances


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 4))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scores_are_those_of_scikit_learn(seed, images, classes):
    truth, pred, chances = drawn(seed, images, classes)
    own = classification_scores(truth, pred, NAMES[:classes], chances)
    labels = list(range(classes))
    np.testing.assert_array_equal(own["confusion"], metrics.confusion_matrix(truth, pred, labels=labels))
    assert own["accuracy"] == pytest.approx(metrics.accuracy_score(truth, pred))
    assert own["macro_f1"] == pytest.approx(metrics.f1_score(truth, pred, average="macro"))
    assert own["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, pred))
    assert own["log_loss"] == pytest.approx(metrics.log_loss(truth, chances, labels=labels))
    parts = metrics.precision_recall_fscore_support(truth, pred, labels=labels, zero_division=np.nan)
    for i, (precision, recall, f1, support) in enumerate(zip(*parts, strict=True)):
        found = own["classes"][NAMES[i]]
        assert [found["precision"], found["recall"], found["f1"]] == [
            None if np.isnan(value) else pytest.approx(value) for value in (precision, recall, f1)
        ]
        assert found["support"] == support
        positive = truth == i
        expected = metrics.roc_auc_score(positive, chances[:, i]) if 0 < positive.sum() < images else None
        assert found["auc"] == (None if expected is None else pytest.approx(expected))


def test_the_macro_auc_is_scikit_learns_one_vs_rest():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(3), 50)
    truth = np.arange(50) % 3
    own = classification_scores(truth, chances.argmax(axis=1), NAMES[:3], chances)
    assert own["macro_auc"] == pytest.approx(metrics.roc_auc_score(truth, chances, multi_class="ovr"))


def test_wrong_answers_cost_precision_and_recall():
    # MIA's bug 17: it replaced the truth by ones, so that both were 1 whatever was predicted.
    own = classification_scores(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 0]), ["a", "b"])
    assert own["accuracy"] == 2 / 5  # a share, not a number of images
    assert own["classes"]["a"] == {
        "precision": 1 / 2, "recall": 1 / 3, "f1": pytest.approx(0.4), "auc": None, "support": 3, "predicted": 2,
    }  # fmt: skip
    assert own["classes"]["b"]["precision"] == 1 / 3
    everything_one = classification_scores(np.array([0, 0, 0, 1]), np.ones(4, int), ["a", "b"])
    assert everything_one["classes"]["b"]["precision"] == 1 / 4
    assert everything_one["classes"]["a"]["recall"] == 0
    assert everything_one["classes"]["a"]["precision"] is None


def test_the_last_class_counts():
    # MIA left it out of its means (bug 16).
    own = classification_scores(np.array([0, 1, 2, 2]), np.array([0, 1, 0, 1]), ["a", "b", "c"])
    assert own["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert own["balanced_accuracy"] == pytest.approx(2 / 3)


def test_one_class_only_and_one_that_nobody_has():
    chances = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    own = classification_scores(np.zeros(2, int), np.zeros(2, int), ["a", "b", "c"], chances)
    assert (own["accuracy"], own["balanced_accuracy"], own["macro_f1"], own["macro_auc"]) == (1, 1, 1, None)
    assert own["classes"]["b"] == {
        "precision": None, "recall": None, "f1": None, "auc": None, "support": 0, "predicted": 0,
    }  # fmt: skip
    nothing = classification_scores(np.empty(0, int), np.empty(0, int), ["a"], np.empty((0, 1)))
    assert (nothing["accuracy"], nothing["macro_f1"], nothing["log_loss"], nothing["calibration_error"]) == (None,) * 4


def test_ties_count_half_in_the_auc():
    assert auc_one_vs_rest(np.array([True, False, False]), np.array([0.5, 0.5, 0.1])) == 0.75
    assert auc_one_vs_rest(np.array([True, True]), np.array([0.5, 0.1])) is None


def test_calibration_worked_by_hand():
    chances = np.array([[0.95, 0.05], [0.95, 0.05], [0.7, 0.3], [0.3, 0.7]])
    truth = np.array([0, 1, 0, 1])
    # Two images at 0.95, of which half are right; two at 0.7, both right.
    assert calibration_error(truth, chances) == pytest.approx((2 * 0.45 + 2 * 0.3) / 4)
    assert calibration_error(np.array([0, 0]), np.eye(2)[[0, 0]]) == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(MiaError, match="shape"):
        classification_scores(np.zeros(3, int), np.zeros(3, int), ["a", "b"], np.zeros((3, 3)))
    with pytest.raises(MiaError, match="no class"):
        classification_scores(np.array([2]), np.array([0]), ["a", "b"])
    with pytest.raises(MiaError, match="different shapes"):
        classification_scores(np.zeros(3, int), np.zeros(2, int), ["a", "b"])
    with pytest.raises(ValueError, match="no image"):
        classification_report([], np.empty(0), np.empty(0), ["a"])


def test_the_report_names_what_is_wrong():
    result = classification_report(["x.png", "y.png"], np.array([0, 1]), np.array([0, 0]), ["flat", "round"])
    assert result["wrong"] == [{"image": "y.png", "truth": "round", "pred": "flat"}]
    json.dumps(result, allow_nan=False)
    text = format_score(result)
    assert "2 images: accuracy 0.500, balanced accuracy 0.500, macro F1 0.333" in text
    assert text.splitlines()[-1].split() == ["round", "1", "0"]
    assert text.splitlines()[3].split() == ["round", "-", "0.000", "0.000", "-", "1", "0"]
