"""Matching against StarDist's own, on made, random and hand-worked label images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from mia_tui.analysis.matching import (
    METRICS,
    THRESHOLDS,
    Matching,
    match,
    match_classes,
    mean_over_images,
    pool,
)
from mia_tui.errors import MiaError

MANY = (0.05, 0.2, 0.35, 0.45, 0.49999, 0.50000001, *THRESHOLDS, *np.arange(0.5, 0.951, 0.05), 1.0)


def stardist_matching(truth, pred, thresholds):
    matching = pytest.importorskip("stardist.matching").matching
    return matching(truth, pred, thresh=tuple(thresholds))


def voronoi(seed, shape, count, reach=8):
    """A crowded label image: pixels go to the nearest of `count` random points, up to `reach` pixels away."""
    rng = np.random.default_rng(seed)
    numbers = np.zeros(shape, np.int64)
    numbers.flat[rng.choice(numbers.size, count, replace=False)] = rng.permutation(np.arange(1, count + 1)) * 3
    distance, nearest = ndimage.distance_transform_edt(numbers == 0, return_indices=True)
    return np.where(distance <= reach, numbers[tuple(nearest)], 0)


def assert_same(ours, theirs, *, scores=True):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        counts = (mine.tp, mine.fp, mine.fn, mine.n_true, mine.n_pred)
        assert counts == (other.tp, other.fp, other.fn, other.n_true, other.n_pred), mine.threshold
        for name in METRICS:
            if scores or ("score" not in name and name != "panoptic_quality"):
                assert getattr(mine, name) == pytest.approx(getattr(other, name), abs=2e-6), (name, mine.threshold)


@pytest.mark.parametrize("seed", range(6))
def test_crowded_images_match_as_in_stardist(seed):
    truth = voronoi(seed, (160, 130), 150)
    pred = np.roll(voronoi(seed, (160, 130), 150), (1, 2), axis=(0, 1))
    pred[80:] = voronoi(seed + 100, (80, 130), 60)
    ours = match(truth, pred, MANY)
    assert 0 < ours[4].tp < ours[4].n_true
    assert_same(ours, stardist_matching(truth, pred, MANY))


small_labels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 5))


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_any_pair_of_small_images_matches_as_in_stardist(data):
    truth = data.draw(small_labels)
    pred = data.draw(hnp.arrays(np.uint8, truth.shape, elements=st.sampled_from([0, 1, 2, 7, 9, 200])))
    theirs = stardist_matching(truth, pred, MANY)
    # Below 0.5 two assignments may be equally good and yet share out the IoU differently: only counts are defined.
    assert_same(match(truth, pred, MANY), theirs, scores=False)
    assert_same(match(truth, pred), stardist_matching(truth, pred, THRESHOLDS))


@settings(max_examples=100, deadline=None)
@given(small_labels, st.permutations(range(1, 256)))
def test_numbers_of_labels_and_order_of_objects_do_not_matter(truth, numbers):
    renumbered = np.array([0, *numbers], np.uint32)[truth] * 1000
    ours = match(truth, renumbered)
    objects = len(set(np.unique(truth)) - {0})
    assert all((m.tp, m.fp, m.fn) == (objects, 0, 0) for m in ours)
    assert all(m.accuracy == m.f1 == m.panoptic_quality == (objects > 0) for m in ours)


def test_hand_worked_case():
    truth = np.zeros((10, 20), np.uint16)
    truth[0:4, 0:5] = 7  # 20 pixels, predicted 16 of them: IoU 0.8
    truth[5:9, 0:5] = 9  # missed
    pred = np.zeros_like(truth)
    pred[0:4, 0:4] = 300
    pred[5:9, 10:15] = 4  # invented
    at_half, at_nine = match(truth, pred, (0.5, 0.9))
    assert (at_half.tp, at_half.fp, at_half.fn) == (1, 1, 1)
    assert (at_nine.tp, at_nine.fp, at_nine.fn) == (0, 2, 2)
    assert at_half.precision == at_half.recall == at_half.f1 == 0.5
    assert at_half.accuracy == at_half.ap == pytest.approx(1 / 3)
    assert at_half.mean_matched_score == pytest.approx(0.8)
    assert at_half.mean_true_score == at_half.panoptic_quality == pytest.approx(0.4)


def test_a_threshold_met_exactly_counts_also_when_it_is_a_rounded_sum():
    truth = np.ones((1, 10), np.uint8)
    pred = (np.arange(10) < 6)[None].astype(np.uint8)
    assert match(truth, pred, (0.6, 0.6000000000000001, 0.61))[1].tp == 1
    assert match(truth, pred, (0.61,))[0].tp == 0


def test_one_object_cannot_be_matched_twice():
    truth = np.array([[1, 1, 1, 1]])
    pred = np.array([[1, 1, 2, 2]])
    (found,) = match(truth, pred, (0.5,))
    assert (found.tp, found.fp, found.fn) == (1, 1, 0)


def test_more_pairs_win_over_a_better_one():
    """Truth 1 overlaps both predictions and truth 2 only prediction 1: taking the best pair first would lose one."""
    truth = np.array([[1] * 5 + [1] * 4 + [2] * 3])
    pred = np.array([[2] * 3 + [1] * 9])
    (found,) = match(truth, pred, (0.3,))
    assert found.tp == 2
    assert_same([found], stardist_matching(truth, pred, (0.3,)))


@pytest.mark.parametrize(("truth", "pred"), [(0, 0), (0, 1), (1, 0)])
def test_empty_images_score_zero_as_in_stardist(truth, pred):
    truth, pred = np.full((4, 5), truth, np.uint16), np.full((4, 5), pred, np.uint16)
    ours = match(truth, pred)
    assert_same(ours, stardist_matching(truth, pred, THRESHOLDS))
    assert all(getattr(m, name) == 0 for m in ours for name in METRICS)


def test_images_without_a_pixel():
    empty = np.zeros((0, 4), np.uint8)
    assert all((m.n_true, m.n_pred) == (0, 0) for m in match(empty, empty))


def test_pooled_and_mean_over_images_are_stardists_dataset_scores():
    matching_dataset = pytest.importorskip("stardist.matching").matching_dataset
    truths = [voronoi(1, (60, 60), 40), np.zeros((30, 30), int), voronoi(2, (30, 30), 4), np.zeros((5, 5), int)]
    preds = [np.roll(truths[0], 1, 0), np.eye(30, dtype=int), truths[2], np.zeros((5, 5), int)]
    per_image = [match(t, p) for t, p in zip(truths, preds, strict=True)]
    pooled = [pool(at) for at in zip(*per_image, strict=True)]
    means = [mean_over_images(at) for at in zip(*per_image, strict=True)]
    assert_same(pooled, matching_dataset(truths, preds, thresh=THRESHOLDS, show_progress=False))
    theirs = matching_dataset(truths, preds, thresh=THRESHOLDS, by_image=True, show_progress=False)
    for mine, other in zip(means, theirs, strict=True):
        assert mine["threshold"] == other.thresh
        assert all(mine[name] == pytest.approx(getattr(other, name), abs=1e-6) for name in METRICS)
    assert means[0]["accuracy"] != pytest.approx(pooled[0].accuracy)


def test_pooling_refuses_to_mix_thresholds():
    with pytest.raises(ValueError, match="different thresholds"):
        pool([Matching(0.5, 1, 0, 0, 1.0), Matching(0.6, 1, 0, 0, 1.0)])


def test_only_the_annotated_area_counts():
    truth = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
    pred = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    area = np.array([[1, 1, 1, 0], [1, 1, 1, 0]], bool)
    assert match(truth, pred, (0.5,))[0].fp == 1
    assert match(truth, pred, (0.5,), area=area)[0].fp == 0


def test_classes_are_matched_on_their_own():
    labels = np.array([[1, 1, 0, 2, 2, 0, 3, 3]])
    true_classes = {1: "round", 2: "round", 3: "long"}
    pred_classes = {1: "round", 2: "long", 3: "long"}
    found = match_classes(labels, labels, true_classes, pred_classes, (0.5,))
    assert {name: (m.tp, m.fp, m.fn) for name, (m,) in found.items()} == {"long": (1, 1, 0), "round": (1, 0, 1)}
    with pytest.raises(MiaError, match="objects 3 of the prediction have no class"):
        match_classes(labels, labels, true_classes, {1: "round", 2: "long"})


def test_label_images_of_other_types():
    whole = np.array([[0, 1, 1, 2]])
    assert match(whole.astype(np.float32), whole > 0, (0.5,))[0].tp == 1
    huge = whole.astype(np.uint64) * (2**62 + 1)
    assert match(huge, whole, (1.0,))[0].tp == 2


@pytest.mark.parametrize(
    ("truth", "pred", "thresholds", "message"),
    [
        (np.zeros((3, 4), int), np.zeros((4, 3), int), (0.5,), r"different shapes.*\(3, 4\) and \(4, 3\)"),
        (np.zeros((2, 2)) - 1, np.zeros((2, 2), int), (0.5,), "negative value -1"),
        (np.full((2, 2), 0.5), np.zeros((2, 2), int), (0.5,), "whole numbers"),
        (np.full((2, 2), np.nan), np.zeros((2, 2), int), (0.5,), "whole numbers"),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), (0.0,), "0.0 is not a threshold"),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), (50,), "50 is not a threshold"),
    ],
)
def test_bad_input_is_named(truth, pred, thresholds, message):
    with pytest.raises(MiaError, match=message):
        match(truth, pred, thresholds)
