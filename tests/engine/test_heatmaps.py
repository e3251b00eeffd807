"""Heat maps of points: truth in, truth out; plateaus, borders, close pairs and classes; bands that nobody notices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree

from mia_tui.engine import heatmaps
from mia_tui.engine.heatmaps import find_points, gaussian_targets


def ones(points):
    return np.ones(len(points), int)


def painted(points, size, shape=(40, 50)):
    points = np.array(points, float).reshape(-1, 2)
    return gaussian_targets(points, ones(points), 1, shape, size)


def as_bytes(heat):
    return np.rint(heat * 255).astype(np.uint8)


def scattered(rng, shape, apart):
    """Points at least `apart` from each other, some of them on the border and in the corners."""
    places = [np.array(p) for p in ((-0.5, -0.5), (shape[0] - 0.5, shape[1] - 0.5), (0, shape[1] - 1))]
    for place in rng.uniform(-0.5, 0.5 + np.array(shape) - 1, (600, 2)):
        if min(np.hypot(*(place - other)) for other in places) >= apart:
            places.append(place)
    return np.array(places)


# ---- targets ---------------------------------------------------------------------------------------------------------


def test_size_is_the_full_width_at_half_maximum():
    for size in (4, 6, 10):  # even sizes are centred, too (MIA's were off by half a pixel)
        heat = painted([(20, 20)], size)[0]
        assert heat[20, 20] == 1
        assert heat[20 + size // 2, 20] == pytest.approx(0.5)
        np.testing.assert_array_equal(heat[:40, :40][1:, 1:], heat[:40, :40][1:, 1:][::-1, ::-1])


def test_a_target_is_the_gaussian_of_the_formula():
    y, x, size = 12.3, 20.8, 7.0
    heat = painted([(y, x)], size)[0]
    sigma = size / (2 * math.sqrt(2 * math.log(2)))
    rows, columns = np.mgrid[:40, :50]
    gaussian = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    np.testing.assert_allclose(heat, gaussian / gaussian.max(), atol=1.2e-3)


@settings(deadline=None, max_examples=60)
@given(st.floats(-0.5, 39.5), st.floats(-0.5, 49.5), st.floats(1, 25))
def test_the_nearest_pixel_is_exactly_one_and_nothing_is_more(y, x, size):
    heat = painted([(y, x)], size)[0]
    nearest = min(max(round(y), 0), 39), min(max(round(x), 0), 49)
    assert heat[nearest] == pytest.approx(1, abs=1e-6)
    assert heat.max() == 1
    assert heat.min() >= 0


def test_close_points_do_not_add_up():
    # MIA's bug 22: two points 2 px apart gave 194 where one gives 125.
    both, first, second = (painted(points, 7)[0] for points in ([(10, 10), (10, 12)], [(10, 10)], [(10, 12)]))
    np.testing.assert_array_equal(both, np.maximum(first, second))
    assert both.max() == 1


def test_points_outside_reach_into_the_map_but_have_no_peak_there():
    assert 0 < painted([(-3, 10)], 6)[0].max() < 1
    assert painted([(-100, 10), (10, 1000)], 6).max() == 0


def test_every_class_has_its_own_map():
    heat = gaussian_targets(np.array([[5.0, 5], [20, 20]]), np.array([2, 1]), 3, (30, 30), 4)
    assert [np.argwhere(plane == 1).tolist() for plane in heat] == [[[20, 20]], [[5, 5]], []]
    assert heat.dtype == np.float32


@pytest.mark.parametrize(
    ("points", "classes", "size"), [([(1, 1)], [0], 3), ([(1, 1)], [2], 3), ([(1, 1)], [1], 0), ([(1, 1)], [1, 1], 3)]
)
def test_nonsense_is_refused(points, classes, size):
    with pytest.raises(ValueError, match=r"size|classes"):
        gaussian_targets(np.array(points), np.array(classes), 1, (5, 5), size)


# ---- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 4, 5, 8, 15, 30])
@pytest.mark.parametrize(("coded", "error"), [(lambda heat: heat, 0.1), (as_bytes, 0.3)], ids=["float32", "uint8"])
def test_ground_truth_in_ground_truth_out(size, coded, error):
    shape = (90, 120)
    truth = scattered(np.random.default_rng(size), shape, 1.1 * size)
    found = find_points(coded(painted(truth, size, shape)), threshold=0.3, distance=size / 2)
    distances, partners = cKDTree(found.positions).query(truth)
    assert len(found.positions) == len(truth) == len(set(partners))
    assert distances.max() < error
    assert set(found.classes) == {1}
    np.testing.assert_array_equal(found.scores, 1)


@pytest.mark.parametrize("coded", [lambda heat: heat, as_bytes], ids=["float32", "uint8"])
@pytest.mark.parametrize(
    "point",
    [(0, 0), (0, 49), (39, 0), (39, 49), (0, 20), (20, 49), (0.3, 0.4), (38.6, 48.7), (-0.5, 12.5), (39.5, 49.5)],
)
def test_a_lonely_point_on_the_border_is_found(point, coded):
    # MIA (bug 32) lost what lay near the border.
    (found,) = find_points(coded(painted([point], 5)), threshold=0.5, distance=3).positions
    np.testing.assert_allclose(found, point, atol=0.05)


@pytest.mark.parametrize("coded", [lambda heat: heat, as_bytes], ids=["float32", "uint8"])
@pytest.mark.parametrize("offset", [(0, 2), (2, 0), (2, 2), (-2, 2)])
@pytest.mark.parametrize("place", [(10, 10), (10.4, 9.7), (0, 3)])
def test_two_points_two_pixels_apart_stay_two(place, offset, coded):
    truth = np.array([place, np.add(place, offset)]) - min(0, place[0] + offset[0])
    found = find_points(coded(painted(truth, 3)), threshold=0.5, distance=1.5)
    assert len(found.positions) == 2
    distances, partners = cKDTree(found.positions).query(truth)
    assert distances.max() <= np.hypot(0.5, 0.5)
    assert set(partners) == {0, 1}


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 2)])
def test_tiny_maps(shape):
    (found,) = find_points(painted([(0, 0)], 3, shape), threshold=0.5, distance=4).positions
    assert found.tolist() == pytest.approx([0, 0], abs=0.5)


# ---- maxima ----------------------------------------------------------------------------------------------------------


def reference_maxima(plane, threshold):
    """Plateaus of one value without a higher neighbour, by flooding each; their middles."""
    found = []
    for value in np.unique(plane[plane >= threshold]):
        if value == 0:
            continue
        labels, count = ndimage.label(plane == value, np.ones((3, 3)))
        for number in range(1, count + 1):
            own = labels == number
            around = ndimage.binary_dilation(own, np.ones((3, 3))) & ~own
            if not (plane[around] > value).any():
                found.append((*np.argwhere(own).mean(axis=0), value))
    return sorted(found)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 5))
def test_maxima_and_plateaus_are_those_of_a_flooding(seed, levels, band):
    rng = np.random.default_rng(seed)
    plane = (rng.integers(0, levels, (13, 11)) * 20).astype(np.uint8)
    expected = reference_maxima(plane, 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heatmaps, "_BAND", band)
        found = find_points(plane[None], threshold=40 / 255, distance=0)
    assert sorted(np.rint(found.scores * 255).tolist()) == sorted(value for *_, value in expected)
    for y, x, value in expected:  # within a pixel of the middle, or on the plateau's nearest pixel
        own = found.positions[np.rint(found.scores * 255) == value]
        assert np.hypot(*(own - (y, x)).T).min() <= 3.0


def test_a_plateau_counts_once_and_a_shoulder_not_at_all():
    heat = np.zeros((1, 12, 20), np.float32)
    heat[0, 2:5, 2:7] = 0.8  # a plateau of 3 x 5
    heat[0, 8, 3:9] = 0.6  # a ridge of one height that ends at something higher
    heat[0, 8, 9] = 0.7
    found = find_points(heat, threshold=0.5, distance=1)
    assert np.rint(found.positions).tolist() == [[3, 4], [8, 9]]
    assert found.scores.tolist() == pytest.approx([0.8, 0.7])


def test_a_ring_is_found_on_one_of_its_own_pixels():
    heat = np.zeros((1, 15, 15), np.uint8)
    heat[0, 3:12, 3:12] = 200
    heat[0, 4:11, 4:11] = 90
    (place,) = find_points(heat, threshold=0.5, distance=1).positions
    assert heat[0, round(place[0]), round(place[1])] == 200


def test_one_flat_image_is_one_point_and_an_empty_one_none():
    assert len(find_points(np.full((1, 300, 20), 200, np.uint8), threshold=0.5, distance=3).scores) == 1
    assert len(find_points(np.zeros((2, 30, 20), np.float32), threshold=0.0, distance=3).scores) == 0
    assert find_points(np.zeros((2, 30, 20), np.uint8), threshold=0.1, distance=3).positions.shape == (0, 2)


@pytest.mark.parametrize("band", [1, 2, 7, 16])
def test_bands_leave_no_trace(band, monkeypatch):
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.random((2, 60, 40)), (0, 1.5, 1.5))
    heat = np.rint((smooth - smooth.min()) / np.ptp(smooth) * 40).astype(np.uint8)  # few levels: many plateaus
    whole = find_points(heat, threshold=0.05, distance=4)
    assert len(whole.scores) > 30
    monkeypatch.setattr(heatmaps, "_BAND", band)
    parts = find_points(heat, threshold=0.05, distance=4)
    np.testing.assert_array_equal(
        np.sort(np.c_[whole.positions, whole.scores], axis=0), np.sort(np.c_[parts.positions, parts.scores], axis=0)
    )


# ---- distance, classes, threshold ------------------------------------------------------------------------------------


def test_of_two_that_are_too_close_the_stronger_stays():
    heat = np.zeros((1, 20, 20), np.float32)
    heat[0, 5, [4, 8, 12]] = 0.7, 0.9, 0.8
    # Only the strongest drops others: 4 and 12 both lie within 5 of 8.
    assert find_points(heat, threshold=0.5, distance=5).positions[:, 1].tolist() == [8]
    assert find_points(heat, threshold=0.5, distance=4).positions[:, 1].tolist() == [8, 12, 4]
    heat[0, 5, 8] = 0.75
    # 12 drops 8, and what 8 would have dropped stays.
    assert find_points(heat, threshold=0.5, distance=5).positions[:, 1].tolist() == [12, 4]


def test_one_place_has_one_class_the_stronger():
    heat = np.zeros((3, 20, 20), np.float32)
    heat[0, 5, 5], heat[2, 6, 6], heat[1, 15, 15], heat[0, 15, 10] = 0.6, 0.8, 0.9, 0.55
    found = find_points(heat, threshold=0.5, distance=3)
    assert found.classes.tolist() == [2, 3, 1]
    assert found.positions.tolist() == [[15, 15], [6, 6], [15, 10]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.55])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.floats(0.5, 6.0))
def test_a_higher_threshold_only_takes_away_the_lower_scores(seed, threshold, distance):
    heat = np.random.default_rng(seed).integers(0, 256, (2, 20, 24), dtype=np.uint8)
    low, high = (find_points(heat, threshold=t, distance=distance) for t in (0.0, threshold))
    kept = low.above(threshold)
    for name in ("positions", "classes", "scores"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(high, name))
    # a place between pixels is at most half a pixel along each axis from its peak
    pairs = cKDTree(low.positions).query_pairs(distance - 1.5) if distance > 1.5 else ()
    assert not pairs


def test_other_arrays_are_refused():
    for wrong in (np.zeros((5, 5), np.uint8), np.zeros((1, 5, 5)), np.zeros((1, 5, 5), np.int32)):
        with pytest.raises(ValueError, match="heat map"):
            find_points(wrong, threshold=0.5, distance=2)
