"""Moving points: what is said of them is so."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mia_tui.errors import MiaError
from mia_tui.simulate.motion import EASY, HARD, simulate_points


@pytest.mark.parametrize(("motion", "step"), [(EASY, 4.4), (HARD, 9.1)], ids=["easy", "hard"])
def test_steps_rates_and_crowding_are_those_of_the_comparison(motion, step):
    movie = simulate_points(50, 500, motion, seed=1)
    before, after = movie.edges.T
    apart = movie.frame[after] - movie.frame[before]
    distance = np.linalg.norm(movie.position[after] - movie.position[before], axis=1)
    assert distance[apart == 1].mean() == pytest.approx(step, abs=0.5)
    assert (apart > 1).mean() == pytest.approx(0.05, abs=0.01)
    assert len(movie.frame) / 50 == pytest.approx(500 * 0.97, rel=0.1)
    nearest = cKDTree(movie.position[movie.frame == 20]).query(movie.position[movie.frame == 20], k=2)[0][:, 1]
    assert nearest.mean() == pytest.approx(35, abs=3)
    divided = np.bincount(before) == 2
    assert divided.sum() == pytest.approx(0.004 * len(movie.frame), rel=0.3)


def test_links_go_forward_and_an_object_has_one_past():
    movie = simulate_points(30, 80, replace(EASY, missed=0.2), seed=2, axes=3)
    assert movie.position.shape == (len(movie.frame), 3)
    assert (movie.frame[movie.edges[:, 0]] < movie.frame[movie.edges[:, 1]]).all()
    assert np.bincount(movie.edges[:, 1]).max() == 1
    assert np.bincount(movie.edges[:, 0]).max() == 2


def test_the_same_seed_is_the_same_movie_and_classes_flip():
    one, two = (simulate_points(20, 100, replace(EASY, classes=3, flips=0.1), seed=3) for _ in range(2))
    assert np.array_equal(one.position, two.position)
    changed = one.label[one.edges[:, 0]] != one.label[one.edges[:, 1]]
    assert changed.mean() == pytest.approx(0.19, abs=0.04)


def test_the_stage_jumps():
    movie = simulate_points(4, 50, replace(EASY, jumps={2: (60.0, 0.0)}), seed=4)
    before, after = movie.edges.T
    step = movie.position[after] - movie.position[before]
    assert np.median(step[movie.frame[after] == 2, 0]) == pytest.approx(61.5, abs=2)


def test_nothing_and_what_cannot_be():
    assert len(simulate_points(3, 0, seed=0).frame) == 0
    with pytest.raises(MiaError, match="at least one frame"):
        simulate_points(0, 5, seed=0)
