"""Motion of tracks against motion that is known: lines, circles, gaps, three dimensions, micrometres and seconds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving import PIXELS, line, tracks_from

from mia_tui.imaging.source import Calibration
from mia_tui.tracking.motion import by_group, drift, measure_steps, measure_tracks, units_for


def motion(tracks, units=PIXELS):
    steps = measure_steps(tracks, units)
    return steps, measure_tracks(tracks, steps, units)


def test_a_straight_line() -> None:
    steps, whole = motion(tracks_from({7: line(5)}))
    assert np.isnan(steps.step[0])
    assert steps.step[1:].tolist() == [5, 5, 5, 5]
    assert steps.speed[1:].tolist() == [5, 5, 5, 5]
    assert steps.displacement[1:].tolist() == [[3, 4]] * 4
    assert steps.turning[1:4].tolist() == [0, 0, 0]
    assert np.isnan(steps.turning[[0, 4]]).all()
    assert steps.path.tolist() == steps.distance.tolist() == [0, 5, 10, 15, 20]
    assert (whole.net[0], whole.path[0], whole.directionality[0], whole.duration[0]) == (20, 20, 1, 4)
    assert (whole.turning[0], whole.turning_signed[0]) == (0, 0)
    assert (whole.speed_mean[0], whole.speed_median[0], whole.speed_max[0], whole.speed_std[0]) == (5, 5, 5, 0)


def test_a_circle_counter_clockwise_on_the_screen() -> None:
    """y points down, so the way from the right over the top is (y, x) = (-sin, cos)."""
    turn = 2 * np.pi / 12
    circle = {f: (-10 * np.sin(f * turn), 10 * np.cos(f * turn)) for f in range(13)}
    steps, whole = motion(tracks_from({1: circle}))
    np.testing.assert_allclose(steps.turning[1:12], turn)
    assert whole.turning_signed[0] == pytest.approx(turn)
    assert whole.path[0] == pytest.approx(12 * 20 * np.sin(turn / 2))
    assert whole.net[0] == pytest.approx(0, abs=1e-12)
    assert whole.directionality[0] == pytest.approx(0, abs=1e-12)
    back = tracks_from({1: {12 - f: place for f, place in circle.items()}})
    assert motion(back)[1].turning_signed[0] == pytest.approx(-turn)


def test_back_and_forth_turns_by_half_a_circle() -> None:
    steps, whole = motion(tracks_from({1: {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 0), 4: (0, 1)}}))
    assert abs(steps.turning[1]) == np.pi
    assert np.isnan(steps.turning[[2, 3]]).all()  # no direction without a step
    assert (whole.path[0], whole.net[0]) == (3, 1)
    assert whole.directionality[0] == pytest.approx(1 / 3)


def test_across_a_gap_there_is_a_step_but_no_speed_and_no_turning() -> None:
    open_gap = {0: (0, 0), 1: (0, 1), 3: (0, 5), 4: (0, 6), 5: (1, 6)}
    filled = {**open_gap, 2: ((0, 3), None)}
    for places in (open_gap, filled):
        tracks = tracks_from({1: places})
        steps, whole = motion(tracks)
        held = tracks.object > 0
        assert steps.frames[held].tolist() == [0, 1, 2, 1, 1]
        np.testing.assert_array_equal(steps.step[held], [np.nan, 1, 4, 1, 1])
        np.testing.assert_array_equal(steps.speed[held], [np.nan, 1, np.nan, 1, 1])
        np.testing.assert_array_equal(steps.turning[held], [np.nan, np.nan, np.nan, -np.pi / 2, np.nan])
        assert (whole.path[0], whole.seen[0], whole.missing[0], whole.speed_mean[0]) == (7, 5, 1, 1)
    gap = np.flatnonzero(tracks.object == 0)
    assert steps.seen[gap].tolist() == [False]
    assert steps.position[gap].tolist() == [[0, 3]]
    for values in (steps.step, steps.speed, steps.turning, steps.path, steps.distance):
        assert np.isnan(values[gap]).all()


def test_one_frame_is_no_motion() -> None:
    steps, whole = motion(tracks_from({3: {2: (5, 5)}, 4: line(3)}, frames=9))
    assert steps.path[0] == steps.distance[0] == 0
    assert (whole.net[0], whole.path[0], whole.duration[0], whole.seen[0]) == (0, 0, 0, 1)
    for values in (whole.directionality, whole.speed_mean, whole.speed_median, whole.speed_max, whole.turning):
        assert np.isnan(values[0])
        assert not np.isnan(values[1])


@pytest.mark.parametrize("width", [2, 3])
def test_no_tracks_at_all(width) -> None:
    empty = tracks_from({}, frames=4)
    steps, whole = motion(empty, units_for(Calibration(), width) if width == 2 else PIXELS)
    assert len(steps.step) == len(whole) == 0


def test_three_dimensions_in_micrometres_and_seconds() -> None:
    units = units_for(Calibration(pixel_size=(0.5, 0.25), z_step=2.0, frame_interval=10.0), 3)
    assert (units.length, units.time, units.speed) == ("um", "s", "um/s")
    places = {0: (0, 0, 0), 1: (1, 0, 0), 2: (1, 4, 0), 3: (1, 4, 8)}
    steps, whole = motion(tracks_from({1: places}), units)
    assert steps.step[1:].tolist() == [2, 2, 2]
    assert steps.speed[1:].tolist() == [0.2, 0.2, 0.2]
    assert steps.time.tolist() == [0, 10, 20, 30]
    assert steps.turning[1:3].tolist() == [np.pi / 2, np.pi / 2]
    assert whole.net[0] == pytest.approx(np.sqrt(12))
    assert whole.duration[0] == 30
    assert np.isnan(whole.turning_signed[0])


def test_units_are_what_is_known() -> None:
    assert units_for(Calibration(pixel_size=(0.5, 0.5))).speed == "um/frame"
    assert units_for(Calibration(frame_interval=60.0)).speed == "px/s"
    flat = units_for(Calibration(pixel_size=(0.5, 0.5), frame_interval=60.0), 3)  # no step between planes
    assert (flat.length, flat.sizes, flat.time) == ("px", (1.0, 1.0, 1.0), "s")


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-1e3, 1e3) | st.just(np.nan)), max_size=40))
def test_statistics_of_groups_are_numpys(rows) -> None:
    group, values = np.array([r[0] for r in rows], int), np.array([r[1] for r in rows], float)
    found = by_group(values, group, 5)
    for number in range(5):
        own = values[(group == number) & ~np.isnan(values)]
        assert found.count[number] == len(own)
        if len(own):
            assert found.mean[number] == pytest.approx(own.mean(), abs=1e-9)
            assert found.median[number] == pytest.approx(np.median(own))
            assert found.largest[number] == own.max()
        if len(own) > 1:
            assert found.std[number] == pytest.approx(own.std(ddof=1), abs=1e-9)
            assert found.sem[number] == pytest.approx(own.std(ddof=1) / np.sqrt(len(own)), abs=1e-9)
        assert np.isnan(found.std[number]) == (len(own) < 2)


@given(st.integers(0, 2**32 - 1), st.floats(0, 6.28), st.floats(-50, 50))
def test_turning_the_world_changes_nothing_but_the_displacements(seed, angle, shift) -> None:
    rng = np.random.default_rng(seed)
    places = np.cumsum(rng.normal(size=(6, 2)), axis=0)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pair = [tracks_from({1: dict(enumerate(map(tuple, p)))}) for p in (places, places @ rotation.T + shift)]
    (a, whole_a), (b, whole_b) = map(motion, pair)
    for name in ("step", "speed", "turning", "path", "distance"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-9)
    assert whole_a.directionality[0] == pytest.approx(whole_b.directionality[0])


def test_drift_is_the_sum_of_median_steps() -> None:
    walkers = {n: {f: (2.0 * f, -1.0 * f + n * f * (n == 3)) for f in range(4) if (n, f) != (2, 2)} for n in (1, 2, 3)}
    found = drift(tracks_from(walkers, frames=6))
    assert found.tolist() == [[0, 0], [2, -1], [4, -0.5], [6, 0], [6, 0], [6, 0]]  # of 1 and 3 on frames 2 and 3
    assert drift(tracks_from({}, frames=2)).tolist() == [[0, 0], [0, 0]]
