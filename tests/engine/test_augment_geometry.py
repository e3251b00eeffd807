"""Everything of a sample moves alike: the image shows its own coordinates, so the picture itself is the truth.

Channel 0 of the image holds each pixel's row and channel 1 its column; the label image numbers the pixels. Whatever is
done to the shape, each output pixel then tells where it came from.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.ndimage import binary_dilation, map_coordinates

from mia_tui.engine.augment.geometry import draw_warp, margins, source_maps, warp_image, warp_labels
from mia_tui.engine.augment.pipeline import Augmenter
from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.augment.strengths import PRESETS, Strengths

SHAPES = ((64, 64), (48, 80), (33, 65))
GEOMETRIC = {
    "flip": Strengths(flip=0.5),
    "turn": Strengths(turn=0.75),
    "rotate": Strengths(rotate=180),
    "scale": Strengths(scale=0.6),
    "stretch": Strengths(stretch=0.4),
    "shear": Strengths(shear=25),
    "translate": Strengths(translate=0.3),
    "elastic": Strengths(elastic=4),
    "strong elastic": Strengths(elastic=16),
    "all": Strengths(
        flip=0.5, turn=0.75, rotate=180, scale=0.5, stretch=0.2, shear=15, translate=0.2, elastic=6
    ),
}  # fmt: skip
seeds = st.integers(0, 2**31 - 1)
shapes = st.sampled_from(SHAPES)
strengths_of_one = st.sampled_from(list(GEOMETRIC.values()))


def sample_of_coordinates(shape: tuple[int, int], channels: int = 2, points: int = 40) -> Sample:
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([y, x, *[y + x] * (channels - 2)], axis=2).astype(np.float32)
    labels = np.arange(1, image[..., 0].size + 1, dtype=np.int32).reshape(shape)
    places = np.random.default_rng(5).random((points, 2)) * (np.array(shape) - 1)
    return Sample(image, labels, None, places.astype(np.float32))


def moved(strengths: Strengths, seed: int, sample: Sample) -> Sample:
    return Augmenter(strengths, rgb=False, unit=False)(seed, sample)


def of_window(window: Sample, shape: tuple[int, int], place: tuple[int, int]) -> Sample:
    """The part of a sample at `place`."""
    part = tuple(slice(first, first + side) for first, side in zip(place, shape, strict=True))
    return Sample(window.image[part], window.labels[part], None, window.points - np.array(place, np.float32))


@settings(max_examples=80, deadline=None)
@given(strengths_of_one, seeds, shapes)
def test_margins_hold_all_that_a_changed_patch_shows(strengths, seed, shape):
    augment = Augmenter(strengths, rgb=False, unit=False)
    above, below, before, after = margins(augment.warp(seed, shape))
    window = sample_of_coordinates((above + shape[0] + below, before + shape[1] + after))
    out = augment(seed, window, (above, before), shape)
    assert out.image.shape == (*shape, 2)
    assert out.known.all()
    y, x = np.divmod(out.labels - 1, window.image.shape[1])
    assert np.abs(out.image - np.stack([y, x], 2)).max() <= 0.5 + 1 / 16
    # and where the patch alone has something to show, it shows the same, but for halves that round either way
    alone = augment(seed, of_window(window, shape, (above, before)))
    assert (out.labels[alone.known] != alone.labels[alone.known]).mean() < 0.01


@settings(max_examples=40, deadline=None)
@given(strengths_of_one, seeds, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_patch_with_less_around_it_than_it_shows_is_mirrored_and_unknown_there(strengths, seed, around):
    above, below, before, after = around
    window = sample_of_coordinates((above + 40 + below, before + 48 + after))
    out = Augmenter(strengths, rgb=False, unit=False)(seed, window, (above, before), (40, 48))
    np.testing.assert_array_equal(out.labels == 0, ~out.known)
    y, x = np.divmod(out.labels[out.known] - 1, window.image.shape[1])
    assert np.abs(out.image[out.known] - np.stack([y, x], 1)).max(initial=0) <= 0.5 + 1 / 16
    assert out.image[..., 0].max() <= window.image[..., 0].max()
    seen = bilinear(out.image, out.points)
    inner = ((out.points > 1) & (out.points < np.array([38, 46]))).all(1)
    inner &= ((window.points[out.kept] > 1) & (window.points[out.kept] < np.array(window.image.shape[:2]) - 2)).all(1)
    np.testing.assert_allclose(seen[inner], window.points[out.kept][inner], atol=0.15)


def test_a_patch_must_lie_inside_of_its_sample():
    sample = sample_of_coordinates((40, 48))
    with pytest.raises(ValueError, match="not inside a sample"):
        Augmenter(GEOMETRIC["all"], rgb=False, unit=False)(0, sample, (4, 0), (40, 48))
    with pytest.raises(ValueError, match="without a geometric switch"):
        Augmenter(Strengths(brightness=0.1), rgb=False)(0, sample, (4, 0), (32, 48))


def bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.stack([map_coordinates(channel, points.T, order=1) for channel in np.moveaxis(image, 2, 0)], axis=1)


@settings(max_examples=120, deadline=None)
@given(strengths_of_one, seeds, shapes, st.sampled_from([2, 3, 5]))
def test_labels_show_the_pixel_that_the_image_shows(strengths, seed, shape, channels):
    out = moved(strengths, seed, sample_of_coordinates(shape, channels))
    assert out.image.shape == (*shape, channels)
    np.testing.assert_array_equal(out.labels == 0, ~out.known)
    y, x = np.divmod(out.labels[out.known] - 1, shape[1])
    # Nearest is at most half a pixel off; OpenCV below 5 rounds positions to 1/32.
    assert np.abs(out.image[out.known][:, 0] - y).max(initial=0) <= 0.5 + 1 / 16
    assert np.abs(out.image[out.known][:, 1] - x).max(initial=0) <= 0.5 + 1 / 16


@settings(max_examples=120, deadline=None)
@given(strengths_of_one, seeds, shapes)
def test_points_lie_where_the_image_shows_their_place(strengths, seed, shape):
    sample = sample_of_coordinates(shape)
    out = moved(strengths, seed, sample)
    # Beside the edge of the input the picture is folded back, beside that of the output nothing is left to interpolate.
    places, end = sample.points[out.kept], np.array(shape) - 1
    clear = ((places > 4) & (places < end - 4) & (out.points >= 0) & (out.points <= end)).all(axis=1)
    shown, places = bilinear(out.image, out.points[clear]), places[clear]
    np.testing.assert_allclose(shown, places, atol=0.08)
    lost = np.delete(sample.points, out.kept, axis=0)
    for place in lost:  # no pixel shows a point that was dropped
        assert np.linalg.norm(out.image[out.known] - place, axis=1).min(initial=np.inf) > 0.1


@settings(max_examples=60, deadline=None)
@example(Strengths(scale=0.6), 114093, (64, 64), 1)
@given(st.sampled_from([*GEOMETRIC.values(), *PRESETS.values()]), seeds, shapes, st.sampled_from([1, 2, 3, 5]))
def test_drawn_discs_stay_on_their_discs(strengths, seed, shape, channels):
    strengths = replace(strengths, noise=0, shot=0, brightness=0, contrast=0, gamma=0, channel=0, stain=0, blur=0)
    centres = np.array([[y, x] for y in range(8, shape[0] - 6, 15) for x in range(8, shape[1] - 6, 15)], np.float32)
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], axis=2)
    distance = np.linalg.norm(grid[:, :, None] - centres, axis=3)
    labels = np.where(distance.min(axis=2) <= 5, 7 + 3 * distance.argmin(axis=2), 0).astype(np.int32)
    image = np.repeat((labels > 0).astype(np.float32)[..., None], channels, axis=2)
    known = np.ones(shape, bool)
    known[:, :5] = False

    out = Augmenter(strengths, rgb=channels == 3)(seed, Sample(image, labels, known, centres))

    assert set(np.unique(out.labels)) <= set(np.unique(labels))
    at = tuple(np.rint(out.points).astype(int).T)
    inside = out.known[at]
    np.testing.assert_array_equal(out.labels[at][inside], (7 + 3 * out.kept)[inside])
    bright = out.image.min(axis=2) > 0.5
    for i in range(channels):
        np.testing.assert_array_equal(out.image[..., i] > 0.5, bright)
    # On the rim of a disc the bilinear mean and the nearest pixel may differ; a disc may also begin just outside.
    around = np.ones((3, 3), bool)
    edge = binary_dilation(out.labels > 0, around) & binary_dilation(out.labels == 0, around)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    agree = (bright == (out.labels > 0)) | edge | ~out.known
    assert agree.all()


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("seed", range(4))
def test_the_resampling_is_that_of_the_spline_and_of_scipy(name, seed):
    shape = (48, 80)
    warp = draw_warp(GEOMETRIC[name], shape, np.random.default_rng(seed))
    q = np.stack(np.mgrid[: shape[0], : shape[1]]).astype(float)
    u = np.stack([_spline(part, warp.spacing, shape) for part in warp.control])
    back = np.linalg.inv(warp.matrix[:, :2])
    p = np.einsum("ij,jyx->iyx", back, q + u - warp.matrix[:, 2, None, None])
    maps = source_maps(warp)
    np.testing.assert_allclose(np.stack(maps), p, atol=1e-3)

    image = np.random.default_rng(1).random((*shape, 1), dtype=np.float32)
    expected = map_coordinates(image[..., 0], p, order=1, mode="mirror")
    resampled = maps if warp.resampled else None
    np.testing.assert_allclose(warp_image(image, warp, resampled)[..., 0], expected, atol=0.07)

    labels = np.arange(1, image.size + 1, dtype=np.int32).reshape(shape)
    nearest = np.rint(p).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(shape)[:, None, None])).all(axis=0)
    y, x = np.where(inside, nearest, 0)
    tie = (np.abs(p - np.floor(p) - 0.5) < 0.05).any(axis=0)  # between two pixels either is right
    np.testing.assert_array_equal((warp_labels(labels, warp, resampled))[~tie], np.where(inside, labels[y, x], 0)[~tie])


def _spline(control: np.ndarray, spacing: float, shape: tuple[int, int]) -> np.ndarray:
    """A tensor-product cubic B-spline by SciPy, the first control point at -spacing."""
    bases = []
    for length, count in zip(shape, control.shape, strict=True):
        knots = (np.arange(count + 4) - 3) * spacing
        bases.append(BSpline.design_matrix(np.arange(length, dtype=float), knots, 3).toarray())
    return bases[0] @ control @ bases[1].T


@given(seeds, st.floats(0.5, 16))
@settings(max_examples=60, deadline=None)
def test_elastic_never_folds_and_stays_within_its_strength(seed, strength):
    warp = draw_warp(Strengths(elastic=strength), (64, 96), np.random.default_rng(seed))
    assert np.abs(warp.control).max() <= strength
    y, x = source_maps(warp)
    determinant = np.gradient(y, axis=0) * np.gradient(x, axis=1) - np.gradient(y, axis=1) * np.gradient(x, axis=0)
    assert determinant.min() > 0


def views(image: np.ndarray) -> dict[bytes, str]:
    """Every dihedral view by NumPy's own functions."""
    turned = {f"turn {k}": np.rot90(image, k) for k in range(4)}
    mirrored = {f"{name} mirrored": view[:, ::-1] for name, view in turned.items()}
    return {np.ascontiguousarray(v).tobytes(): n for n, v in (turned | mirrored).items() if v.shape == image.shape}


@pytest.mark.parametrize(("shape", "expected"), [((32, 32), 8), ((24, 40), 4)])
def test_mirrors_and_turns_are_exact_and_equally_likely(shape, expected):
    sample = sample_of_coordinates(shape, 3)
    known = views(sample.image)
    augment = Augmenter(Strengths(flip=0.5, turn=0.75), rgb=False, unit=False)
    seen = [known[augment(seed, sample).image.tobytes()] for seed in range(800)]
    counts = [seen.count(name) for name in known.values()]
    assert len(counts) == expected
    mean = 800 / expected
    assert sum((c - mean) ** 2 / mean for c in counts) < 26  # chi-square: 1 in 1000 for 7 degrees is 24.3


def test_turns_alone_reach_all_four_and_mirrors_alone_four():
    sample = sample_of_coordinates((32, 32), 3)
    for strengths, names in (
        (Strengths(turn=0.75), {"turn 0", "turn 1", "turn 2", "turn 3"}),
        (Strengths(flip=0.5), {"turn 0", "turn 0 mirrored", "turn 2", "turn 2 mirrored"}),
        (Strengths(turn=1), {"turn 1", "turn 2", "turn 3"}),
    ):
        augment, known = Augmenter(strengths, rgb=False, unit=False), views(sample.image)
        assert {known[augment(seed, sample).image.tobytes()] for seed in range(80)} == names


def test_what_was_unknown_moves_with_the_image_and_outside_is_unknown():
    sample = sample_of_coordinates((64, 64))
    known = sample.image[..., 1] < 30
    for seed in range(20):
        out = moved(GEOMETRIC["all"], seed, replace(sample, known=known))
        came_from_inside = out.labels > 0
        column = (out.labels - 1) % 64
        np.testing.assert_array_equal(out.known, came_from_inside & (column < 30))


def test_amounts_keep_to_the_strengths():
    size = (64, 64)
    zooms, angles, shifts = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        zoom = draw_warp(Strengths(scale=0.3), size, rng).matrix
        zooms.append(zoom[0, 0])
        turn = draw_warp(Strengths(rotate=20), size, np.random.default_rng(seed)).matrix
        angles.append(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
        shifts.append(draw_warp(Strengths(translate=0.25), size, np.random.default_rng(seed)).matrix[:, 2])
    assert 1 / 1.3 <= min(zooms) < 0.8
    assert 1.25 < max(zooms) <= 1.3
    assert 18 < np.max(np.abs(angles)) <= 20
    assert 15 < np.max(np.abs(shifts)) <= 16
