"""Matching of points: against brute force and a dense assignment, at borders of areas, pooled, and as a report."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from mia_tui.analysis.points import (
    ScoredPoints,
    best_threshold,
    match_classes,
    match_points,
    pair_points,
    point_report,
    pool,
)
from mia_tui.analysis.scores import format_score

NONE = np.empty((0, 2))


def best_by_trying(truth, found, radius):
    """(pairs, sum of distances) of the best of all one-to-one pairings."""
    distances = cdist(truth, found)
    best = (0, 0.0)
    for count in range(1, min(distances.shape) + 1):
        for rows in itertools.combinations(range(len(truth)), count):
            for columns in itertools.permutations(range(len(found)), count):
                own = distances[list(rows), list(columns)]
                if (own <= radius).all():
                    best = max(best, (count, -own.sum()))
    return best[0], -best[1]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 4))
def test_pairing_is_the_best_of_all(seed, n_true, n_found):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 8, (n_true, 2)) * 1.0, rng.integers(0, 8, (n_found, 2)) * 1.0
    i, j, distance = pair_points(truth, found, 3)
    count, total = best_by_trying(truth, found, 3)
    assert (len(i), distance.sum()) == (count, pytest.approx(total))
    assert len(set(i)) == len(set(j)) == len(i)
    np.testing.assert_allclose(distance, np.hypot(*(truth[i] - found[j]).T))
    assert (distance <= 3).all()


@pytest.mark.parametrize("radius", [2, 6, 15])
def test_crowds_are_paired_as_by_a_dense_assignment(radius):
    rng = np.random.default_rng(radius)
    truth, found = rng.uniform(0, 100, (150, 2)), rng.uniform(0, 100, (190, 2))
    distances = cdist(truth, found)
    costs = np.where(distances <= radius, distances / radius, 1000.0)
    rows, columns = linear_sum_assignment(costs)
    kept = costs[rows, columns] < 1000
    _, _, distance = pair_points(truth, found, radius)
    assert len(distance) == kept.sum()
    assert distance.sum() == pytest.approx(distances[rows, columns][kept].sum())


def test_as_many_pairs_as_possible_come_before_short_ones():
    # The nearest pair (1 apart) would leave both others alone.
    i, j, distance = pair_points(np.array([[0, 0], [0, 5.0]]), np.array([[0, 4.0], [0, 9.5]]), 5)
    assert list(zip(i, j, distance, strict=True)) == [(0, 0, 4.0), (1, 1, 4.5)]


def test_points_on_the_same_place_and_on_the_radius_are_pairs():
    place = np.array([[3.0, 4.0]])
    assert match_points(place, place, 1).distance_sum == 0
    assert match_points(place, place, 1).tp == 1
    assert match_points(place, NONE, 1).fn == 1
    assert match_points(np.zeros((1, 2)), place, 5.0).tp == 1
    assert match_points(np.zeros((1, 2)), place, 4.999).tp == 0


def test_scores_worked_by_hand():
    truth = np.array([[10, 10], [20, 20], [30, 30], [40, 40.0]])
    found = np.array([[10, 13], [24, 20], [60, 60.0]])
    own = match_points(truth, found, 6)
    assert (own.tp, own.fp, own.fn, own.n_true, own.n_pred) == (2, 1, 2, 4, 3)
    assert (own.precision, own.recall, own.f1) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    assert (own.mean_distance, own.rms_distance) == pytest.approx((3.5, math.sqrt(12.5)))
    assert (own.count_mae, own.relative_count_error) == (1, 0.25)


def test_nothing_to_count():
    both = match_points(NONE, NONE, 6)
    assert (both.tp, both.fp, both.fn, both.f1, both.count_mae) == (0, 0, 0, 0, 0)
    assert (both.mean_distance, both.rms_distance, both.relative_count_error) == (None, None, None)
    assert match_points(NONE, np.ones((3, 2)), 6).relative_count_error is None


def test_errors_of_counts_do_not_cancel_between_frames():
    more, less = match_points(NONE, np.ones((3, 2)), 6), match_points(np.ones((3, 2)), NONE, 6)
    total = pool([more, less, match_points(np.ones((2, 2)), np.ones((2, 2)), 6)])
    assert (total.n_true, total.n_pred) == (5, 5)
    assert total.count_mae == 2  # 3, 3 and 0
    assert total.relative_count_error == pytest.approx(2 / (5 / 3))
    with pytest.raises(ValueError, match="radii"):
        pool([more, match_points(NONE, NONE, 5)])
    with pytest.raises(ValueError, match="pooled"):
        pool([])


def test_an_annotated_area_counts_what_lies_inside_and_what_it_was_found_as():
    area = np.zeros((40, 40), bool)
    area[:, :20] = True  # columns 0 to 19
    truth = np.array([[5, 19.4], [15, 19.6], [25, 5], [35, 30.0]])  # inside, outside (column 20), inside, outside
    found = np.array([[5, 21.0], [15, 18.0], [30, 18.0], [30, 25.0]])
    own = match_points(truth, found, 3, area=area)
    # Row 5: found just outside, and counts. Row 15: something outside was found inside, and is no false alarm. Row 25:
    # missed. Row 30: a false alarm inside, and one outside that nobody can judge. Row 35: outside.
    assert (own.tp, own.fp, own.fn) == (1, 1, 1)
    assert own.mean_distance == pytest.approx(1.6)
    everywhere = match_points(truth, found, 3, area=np.ones((40, 40), bool))
    assert everywhere == match_points(truth, found, 3)


def test_points_on_the_border_of_the_image_are_in_its_outer_pixels():
    area = np.zeros((10, 12), bool)
    area[9, 11] = area[0, 0] = True
    truth = np.array([[-0.5, -0.5], [9.5, 11.5], [9.5, 0]])
    assert match_points(truth, NONE, 1, area=area).fn == 2


def test_a_wrong_class_is_a_miss_and_a_false_alarm():
    truth = np.array([[1, 1], [9, 9], [20, 20.0]])
    frame = match_classes(truth, ["a", "a", "b"], truth, ["a", "b", "b"], 2)
    assert {name: (m.tp, m.fp, m.fn) for name, m in frame.by_class.items()} == {"a": (1, 0, 1), "b": (1, 1, 0)}
    assert (frame.right_class.tp, frame.right_class.fp, frame.right_class.fn) == (2, 1, 1)
    assert (frame.anywhere.tp, frame.anywhere.fp) == (3, 0)
    assert (frame.right_class.frames, frame.right_class.count_mae) == (1, 0)  # three counted where three are
    assert frame.by_class["a"].count_mae == 1


def test_the_report_pools_and_averages():
    def frame(truth, found, names="a"):
        truth, found = (np.array(p, float).reshape(-1, 2) for p in (truth, found))
        return match_classes(truth, [names] * len(truth), found, [names] * len(found), 4)

    result = point_report(
        {
            "x": frame([(5, 5), (15, 15), (25, 25)], [(5, 5), (15, 15), (25, 25)]),
            "y": frame([(5, 5)], [], "b"),
            "z": frame([], []),
        }
    )
    assert (result["metric"], result["radius"], result["empty_images"]) == ("points", 4, 1)
    assert result["pooled"]["recall"] == 3 / 4
    assert result["mean_over_images"]["recall"] == 1 / 2
    assert result["classes"]["b"] == pytest.approx(
        {
            "tp": 0, "fp": 0, "fn": 1, "n_true": 1, "n_pred": 0, "precision": 0, "recall": 0, "f1": 0, "frames": 3,
            "mean_distance": None, "rms_distance": None, "count_mae": 1 / 3, "relative_count_error": 1,
        }
    )  # fmt: skip
    json.dumps(result, allow_nan=False)
    text = format_score(result)
    assert "3 images, 4 true and 3 found points, paired within 4 px." in text
    assert "1 images with neither true nor found points" in text
    assert max(map(len, text.splitlines())) < 80
    with pytest.raises(ValueError, match="no image"):
        point_report({})


def test_the_threshold_with_the_best_f1_is_found():
    truth = np.array([[10, 10], [20, 20], [30, 30.0]])
    found = np.array([[10, 10], [20, 20], [30, 30], [1, 1], [1, 30.0]])
    frame = ScoredPoints(truth, found, np.array([0.9, 0.8, 0.55, 0.3, 0.2], np.float32))
    thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    chosen, there = best_threshold([frame, frame], 3, thresholds)
    assert chosen in (0.4, 0.5)  # both are perfect
    assert (there.tp, there.fp, there.fn) == (6, 0, 0)
    single = ScoredPoints(truth, found[:1], np.array([0.8], np.float32))
    assert best_threshold([single], 3, [0.8, 0.9])[0] == 0.8  # a score on the threshold counts, in single precision


def test_among_thresholds_that_find_as_well_the_one_that_counts_right_is_chosen() -> None:
    """1000 true points; from 0.5 down 20 hits and 19 false ones come in turns: F1 hardly moves, the count does."""
    truth = np.column_stack([np.arange(1000) * 10.0, np.zeros(1000)])
    hits, false = truth[:980], np.column_stack([np.arange(60) * 10.0, np.full(60, 500.0)])
    found = np.concatenate([hits, false])
    scores = np.concatenate([np.full(980, 0.9), np.linspace(0.8, 0.2, 60)]).astype(np.float32)
    frame = ScoredPoints(truth, found, scores)
    thresholds = [step / 100 for step in range(10, 91)]
    f1_alone = max(thresholds, key=lambda t: match_points(truth, found[scores >= np.float32(t)], 3).f1)
    chosen, there = best_threshold([frame], 3, thresholds)
    assert there.count_error < match_points(truth, found[scores >= np.float32(f1_alone)], 3).count_error
    assert there.f1 >= match_points(truth, found[scores >= np.float32(f1_alone)], 3).f1 - 0.005
    assert chosen < f1_alone
