"""Mean squared displacements against a double loop, and fits against motion whose constants are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import PIXELS, line, tracks_from

from mia_tui.imaging.source import Calibration
from mia_tui.tracking.motion import units_for
from mia_tui.tracking.msd import ensemble, fit, relative_variance, track_msd


def slow_msd(tracks, sizes=(1.0, 1.0)):
    """{(track, lag): (mean, windows)} by looking at all pairs of seen positions."""
    found = {}
    for track in np.unique(tracks.track):
        own = np.flatnonzero((tracks.track == track) & (tracks.object > 0))
        for i in own:
            for j in own:
                if tracks.frame[j] > tracks.frame[i]:
                    move = (tracks.position[j] - tracks.position[i]) * sizes
                    found.setdefault((int(track), int(tracks.frame[j] - tracks.frame[i])), []).append(move @ move)
    return {key: (np.mean(values), len(values)) for key, values in found.items()}


def as_dict(curves):
    rows = zip(curves.owner.tolist(), curves.lag.tolist(), curves.value, curves.windows, strict=True)
    return {(owner, lag): (value, windows) for owner, lag, value, windows in rows}


def random_walks(rng, tracks, frames, dimensions=2, step=1.0):
    """(tracks, frames, D) positions of diffusion: every coordinate takes normal steps."""
    return np.cumsum(rng.normal(0, step, (tracks, frames, dimensions)), axis=1)


def tracks_of_walks(walks, **options):
    return tracks_from({n + 1: dict(enumerate(map(tuple, walk))) for n, walk in enumerate(walks)}, **options)


def test_by_hand() -> None:
    curves = track_msd(tracks_from({4: {0: (0, 0), 1: (0, 1), 2: (0, 3), 3: (4, 3)}}), PIXELS)
    assert curves.lag.tolist() == [1, 2, 3]
    np.testing.assert_allclose(curves.value, [(1 + 4 + 16) / 3, (9 + (4 + 16)) / 2, 25])
    assert curves.windows.tolist() == [3, 2, 1]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([2, 3]))
def test_every_curve_is_that_of_the_double_loop(seed, count, width) -> None:
    """Tracks of many lengths with open gaps and filled ones, far from the origin."""
    rng = np.random.default_rng(seed)
    paths = {}
    for track in range(1, count + 1):
        frames = np.flatnonzero(rng.random(int(rng.integers(1, 40))) < 0.8) + int(rng.integers(0, 9))
        places = 1000 + np.cumsum(rng.normal(size=(len(frames), width)), axis=0)
        paths[track] = {
            int(f): (tuple(p), None) if rng.random() < 0.1 else tuple(p) for f, p in zip(frames, places, strict=True)
        }
    paths = {track: own for track, own in paths.items() if own} or {1: {0: (0.0,) * width}}
    tracks = tracks_from(paths)
    units = units_for(Calibration(pixel_size=(0.5, 0.25), z_step=2.0, frame_interval=3.0), width)
    expected = slow_msd(tracks, units.sizes)
    curves = track_msd(tracks, units)
    assert as_dict(curves).keys() == expected.keys()
    assert sorted(as_dict(curves)) == list(as_dict(curves))
    for key, (value, windows) in as_dict(curves).items():
        assert windows == expected[key][1]
        assert value == pytest.approx(expected[key][0], rel=1e-8, abs=1e-9)


def test_what_stands_still_has_no_msd_and_what_comes_back_none_at_that_lag() -> None:
    still = track_msd(tracks_from({1: dict.fromkeys(range(50), (123.456, 7.89))}), PIXELS)
    assert not still.value.any()
    found = fit(still, PIXELS)
    assert np.isnan(found.alpha[0])
    assert found.diffusion[0] == 0
    swing = track_msd(tracks_from({1: {f: (0.1 * (f % 2), 900.0) for f in range(60)}}), PIXELS)
    assert not swing.value[swing.lag % 2 == 0].any()
    np.testing.assert_allclose(swing.value[swing.lag % 2 == 1], 0.01)


def test_a_straight_line_has_alpha_two() -> None:
    found = fit(track_msd(tracks_from({1: line(40)}), PIXELS), PIXELS)
    assert found.lags.tolist() == [9]  # a quarter of 39
    assert found.alpha[0] == pytest.approx(2)
    assert 4 * found.generalized[0] == pytest.approx(25)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_too_few_lags_are_not_fitted(frames) -> None:
    found = fit(track_msd(tracks_from({1: line(frames)}), PIXELS), PIXELS)
    assert np.isnan(found.alpha).all()
    assert np.isnan(found.diffusion).all()


@pytest.mark.parametrize("windows", [2, 5, 12, 40])
def test_the_variance_is_the_sum_over_pairs_of_windows(windows) -> None:
    """Two windows of n steps that share s steps have the squared correlation (s / n)^2."""
    for lag in range(1, 30):
        start = np.arange(windows)
        shared = np.maximum(0, lag - np.abs(start[:, None] - start[None]))
        expected = (shared**2).sum() / (lag * windows) ** 2
        assert relative_variance(np.array([lag]), np.array([windows]))[0] == pytest.approx(expected)


def test_the_variance_is_that_of_simulated_diffusion() -> None:
    walks = random_walks(np.random.default_rng(5), 4000, 21)
    for lag in (1, 4, 12):
        values = ((walks[:, lag:] - walks[:, :-lag]) ** 2).sum(axis=2).mean(axis=1)
        expected = relative_variance(np.array([lag]), np.array([21 - lag]))[0]
        assert values.var() / values.mean() ** 2 == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_diffusion_is_found_again(dimensions) -> None:
    """400 walks with D = 0.5 um2 / 2 s; the mean of 400 estimates lies within four standard errors of the truth."""
    size, interval, true = 0.5, 2.0, 0.0625  # steps of 1 px = 0.5 um along each axis: 0.25 = 2 D * 2 s
    walks = random_walks(np.random.default_rng(11), 400, 60, dimensions)
    tracks = tracks_of_walks(walks)
    units = units_for(Calibration((size, size), size, interval), dimensions)
    curves = track_msd(tracks, units)
    found = fit(curves, units)
    error = found.diffusion.std() / np.sqrt(400)
    assert abs(found.diffusion.mean() - true) < 4 * error
    assert error < 0.03 * true
    together = ensemble(curves, dict.fromkeys(range(1, 401), 0))
    both = fit(together, units)
    assert both.diffusion[0] == pytest.approx(true, rel=0.05)
    assert both.alpha[0] == pytest.approx(1, abs=0.05)
    assert both.generalized[0] == pytest.approx(true, rel=0.1)
    first = together.value[together.lag == 1][0]
    assert abs(first - 2 * dimensions * true * interval) < 4 * together.sem[together.lag == 1][0]


def test_the_error_of_localisation_is_found_again() -> None:
    rng = np.random.default_rng(3)
    walks = random_walks(rng, 300, 100, step=0.5) + rng.normal(0, 0.8, (300, 100, 2))
    curves = ensemble(track_msd(tracks_of_walks(walks), PIXELS), dict.fromkeys(range(1, 301), 0))
    found = fit(curves, PIXELS)
    assert found.diffusion[0] == pytest.approx(0.5**2 / 2, rel=0.06)
    assert found.localisation[0] == pytest.approx(0.8, rel=0.06)


def test_confined_motion_has_alpha_below_one() -> None:
    rng = np.random.default_rng(8)
    places = np.zeros((100, 80, 2))
    for frame in range(1, 80):  # pulled back to the centre by a spring
        places[:, frame] = 0.7 * places[:, frame - 1] + rng.normal(size=(100, 2))
    curves = ensemble(track_msd(tracks_of_walks(places), PIXELS), dict.fromkeys(range(1, 101), 0))
    assert fit(curves, PIXELS).alpha[0] < 0.6


def test_an_ensemble_weighs_windows_and_knows_its_groups() -> None:
    tracks = tracks_from({1: line(3, (0, 1)), 2: line(2, (0, 2)), 3: line(3, (0, 5)), 4: line(2, (0, 9))})
    together = ensemble(track_msd(tracks, PIXELS), {1: 0, 2: 0, 3: 1})
    expected = {(0, 1): (2.0, 3), (0, 2): (4.0, 1), (1, 1): (25.0, 2), (1, 2): (100.0, 1)}
    assert as_dict(together) == {key: (pytest.approx(value), windows) for key, (value, windows) in expected.items()}
    assert together.tracks.tolist() == [2, 1, 1, 1]
    # windows 2, 1; deviations 1 - 2, 4 - 2: sqrt((2 * 1)^2 + (1 * 2)^2) * sqrt(2) / 3
    assert together.sem[0] == pytest.approx(4 / 3)
    assert np.isnan(together.sem[1:]).all()
