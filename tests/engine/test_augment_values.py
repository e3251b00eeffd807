"""Changes of the values, the pipeline as a whole, its sheet and its prices."""

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.color import hed2rgb, rgb2hed

from mia_tui.engine.augment.photometry import (
    Noise,
    Tone,
    add_noise,
    blur,
    change_tone,
    draw_holes,
    restain,
)
from mia_tui.engine.augment.pipeline import Augmenter
from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.augment.sheet import MARK, contact_sheet, prices
from mia_tui.engine.augment.strengths import BOUNDS, CHANCE, HELP, PRESETS, Strengths
from mia_tui.errors import MiaError

ROOT = Path(__file__).parents[2]
CHANNELS = (1, 2, 3, 5)


def some_sample(channels: int = 3, size: int = 48, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.random((size, size, channels), dtype=np.float32)
    labels = rng.integers(0, 5, (size, size)).astype(np.int32)
    return Sample(image, labels, rng.random((size, size)) < 0.9, (rng.random((20, 2)) * size).astype(np.float32))


def digest(sample: Sample) -> str:
    parts = (sample.image, sample.labels, sample.known, sample.points, sample.kept)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def plain_tone(channels: int = 1, **changes: object) -> Tone:
    return replace(Tone(1.0, 1.0, 0.0, np.ones(channels), None), **changes)


# ---- tone -----------------------------------------------------------------------------------------------------------


def test_stains_scale_as_in_scikit_image():
    amounts = np.random.default_rng(0).uniform(0.01, 0.12, (16, 16, 3))
    image = hed2rgb(amounts).astype(np.float32)
    factors = np.array([1.3, 0.8, 1.1])
    np.testing.assert_allclose(restain(image, factors), hed2rgb(rgb2hed(image) * factors), atol=2e-4)


def test_white_stays_white_and_haematoxylin_alone_only_deepens():
    white = np.ones((4, 4, 3), np.float32)
    np.testing.assert_allclose(restain(white, np.array([1.5, 0.5, 1.2])), 1, atol=1e-6)
    purple = hed2rgb(np.array([[[0.1, 0, 0]]])).astype(np.float32)
    np.testing.assert_allclose(restain(purple, np.array([2.0, 1, 1])), hed2rgb(np.array([[[0.2, 0, 0]]])), atol=1e-4)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("gamma", [0.4, 1.0, 2.5])
def test_gamma_contrast_brightness_and_gain_by_hand(channels, gamma):
    image = some_sample(channels).image
    gains = np.linspace(0.8, 1.2, channels)
    tone = plain_tone(channels, gamma=gamma, contrast=1.3, brightness=0.05, gains=gains)
    raised = image.astype(float) ** gamma
    mean = raised.mean(axis=(0, 1))
    expected = gains * (mean + 1.3 * (raised - mean) + 0.05)
    np.testing.assert_allclose(change_tone(image, tone, unit=True), np.clip(expected, 0, 1), atol=2e-5)


def test_gamma_of_z_scored_images_keeps_their_range_and_order():
    image = np.random.default_rng(0).normal(0, 1, (32, 32, 2)).astype(np.float32)
    out = change_tone(image, plain_tone(2, gamma=1.7), unit=False)
    assert out.min() == pytest.approx(image.min(), abs=1e-4)
    assert out.max() == pytest.approx(image.max(), abs=1e-4)
    order = np.argsort(image.ravel())
    assert (np.diff(out.ravel()[order]) >= -1e-5).all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([n for n in PRESETS if n != "none"]), st.integers(0, 10_000))
def test_no_preset_inverts_the_tone(preset, seed):
    """Of two grey values the brighter one stays at least as bright."""
    tonal = {k: getattr(PRESETS[preset], k) for k in ("brightness", "contrast", "gamma", "channel")}
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))[..., None]
    out = Augmenter(Strengths(**tonal), rgb=False)(seed, Sample(ramp)).image
    assert (np.diff(out[..., 0], axis=1) >= -1e-6).all()


# ---- blur, noise, dropout -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_is_that_of_scipy(channels, sigma):
    image = some_sample(channels).image
    radius = int(np.ceil(3 * sigma))
    expected = gaussian_filter(image, (sigma, sigma, 0), mode="mirror", radius=(radius, radius, 0))
    np.testing.assert_allclose(blur(image, sigma), expected, atol=2e-4)


@pytest.mark.parametrize("unit", [True, False])
def test_noise_has_the_variance_of_its_parts(unit):
    scale = 1 if unit else 4
    image = np.full((200, 300, 2), 0.3, np.float32)
    image[:, 150:] = 0.7
    image[0, 0] = 0
    values = (image * scale).astype(np.float32)
    for read, shot in ((0.02, 0.0), (0.0, 0.03), (0.02, 0.03)):
        out = add_noise(values, Noise(read, shot, 0.3, -1), unit)
        for half, level in ((np.s_[1:, :150], 0.3), (np.s_[1:, 150:], 0.7)):
            added = (out - values)[half] / scale
            assert added.std() == pytest.approx(np.sqrt(read**2 + shot**2 * level), rel=0.03)
            assert abs(added.mean()) < 1e-3
            assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.03


def test_noise_of_images_larger_than_the_bank():
    image = np.full((1100, 1100, 1), 0.5, np.float32)
    out = add_noise(image, Noise(0.1, 0.0, 0.5, 1), unit=True)
    assert (out - image).std() == pytest.approx(0.1, rel=0.01)


@given(st.integers(0, 10_000), st.floats(0.05, 0.5))
@settings(max_examples=60, deadline=None)
def test_dropout_hides_no_more_than_its_share(seed, share):
    size = (60, 80)
    hidden = np.zeros(size, bool)
    for hole in draw_holes(Strengths(dropout=share), size, np.random.default_rng(seed)):
        hidden[hole] = True
    assert hidden.mean() <= share * 1.1 + 8 * (60 + 80) / 2 / (60 * 80) * 0.1  # sides are whole pixels


def test_dropout_touches_only_the_image_and_fills_with_its_mean():
    sample = some_sample(2)
    augment = Augmenter(Strengths(dropout=0.4), rgb=False)
    changed = 0
    for seed in range(20):
        out = augment(seed, sample)
        np.testing.assert_array_equal(out.labels, sample.labels)
        np.testing.assert_array_equal(out.known, sample.known)
        different = (out.image != sample.image).any(axis=2)
        changed += different.any()
        np.testing.assert_allclose(
            out.image[different], np.broadcast_to(sample.image.mean(axis=(0, 1)), (different.sum(), 2)), rtol=1e-4
        )
    assert 0 < changed < 20


# ---- the pipeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_on_any_number_of_channels(preset, channels):
    sample = some_sample(channels)
    before = digest(replace(sample, kept=np.arange(0)))
    augment = Augmenter(PRESETS[preset], rgb=channels == 3)
    for seed in range(12):
        out = augment(seed, sample)
        assert out.image.shape == sample.image.shape
        assert (out.image.dtype, out.labels.dtype, out.known.dtype) == (np.float32, np.int32, np.bool_)
        assert np.isfinite(out.image).all()
        assert out.image.min() >= 0
        assert out.image.max() <= 1
        assert set(np.unique(out.labels)) <= set(range(5))
        assert len(out.points) == len(out.kept)
    assert digest(replace(sample, kept=np.arange(0))) == before
    if preset == "none":
        np.testing.assert_array_equal(out.image, sample.image)
        np.testing.assert_array_equal(out.labels, sample.labels)


@pytest.mark.parametrize("channels", CHANNELS)
def test_z_scored_images_are_not_cut(channels):
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (64, 64, channels)).astype(np.float32)
    augment = Augmenter(replace(PRESETS["fluorescence"], blur=0, stain=0.5), rgb=channels == 3, unit=False)
    lows, highs = zip(*((o.min(), o.max()) for o in (augment(s, Sample(image)).image for s in range(20))), strict=True)
    assert max(lows) < -1
    assert min(highs) > 1.2


def test_a_sample_of_an_image_alone():
    out = Augmenter(PRESETS["fluorescence"], rgb=False)(3, Sample(some_sample(1).image))
    assert (out.labels, out.known, out.points, out.kept) == (None, None, None, None)


def test_points_without_labels_get_to_know_what_came_from_outside():
    sample = some_sample(1)
    augment = Augmenter(Strengths(translate=0.5), rgb=False)
    out = [augment(seed, Sample(sample.image, points=sample.points)) for seed in range(10)]
    assert any(not o.known.all() for o in out)


OTHER_PROCESS = """
import sys
sys.path.insert(0, {tests!r})
from mia_tui.engine.augment import strengths, sample, geometry, photometry, pipeline
assert "albumentations" not in sys.modules and "torch" not in sys.modules
from test_augment_values import PRESETS, Augmenter, digest, some_sample
print(digest(Augmenter(PRESETS["fluorescence"], rgb=False)(11, some_sample(2))))
"""


def test_the_same_seed_gives_the_same_sample_in_any_order_and_process():
    sample = some_sample(2)
    augment = Augmenter(PRESETS["fluorescence"], rgb=False)
    first = digest(augment(11, sample))
    others = {digest(augment(seed, sample)) for seed in range(10)}
    assert len(others) == 10
    assert digest(augment(11, sample)) == first
    assert digest(pickle.loads(pickle.dumps(augment))(11, sample)) == first
    program = OTHER_PROCESS.format(tests=str(Path(__file__).parent))
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.stdout.split() == [first], result.stderr


def test_a_switch_leaves_the_others_as_they_were():
    sample = some_sample(1)
    for seed in range(8):
        all_on = Augmenter(PRESETS["phase"], rgb=False)(seed, sample)
        shape_only = Augmenter(replace(PRESETS["phase"], blur=0, noise=0, gamma=0), rgb=False)(seed, sample)
        np.testing.assert_array_equal(all_on.labels, shape_only.labels)
        np.testing.assert_array_equal(all_on.points, shape_only.points)
    ramp = Sample(np.full((16, 16, 1), 0.5, np.float32))
    bright = [Augmenter(Strengths(brightness=0.2), rgb=False)(s, ramp).image.mean() for s in range(8)]
    also = [Augmenter(Strengths(brightness=0.2, contrast=0.5), rgb=False)(s, ramp).image.mean() for s in range(8)]
    np.testing.assert_allclose(bright, also, atol=1e-6)


def test_three_channels_are_promised_for_rgb():
    with pytest.raises(ValueError, match="three channels, not 1"):
        Augmenter(PRESETS["histology"], rgb=True)(0, some_sample(1))


def test_arrays_of_a_sample_must_fit():
    image = np.zeros((4, 5, 1), np.float32)
    with pytest.raises(ValueError, match="labels"):
        Sample(image, np.zeros((5, 4), np.int32))
    with pytest.raises(ValueError, match=r"\(Y, X, C\)"):
        Sample(image[..., 0])
    with pytest.raises(ValueError, match="points"):
        Sample(image, points=np.zeros((3, 3), np.float32))


# ---- strengths ------------------------------------------------------------------------------------------------------


def test_every_switch_has_bounds_and_help_and_is_used():
    names = [field.name for field in fields(Strengths)]
    assert list(BOUNDS) == names == list(HELP)
    assert not any(asdict(Strengths()).values())
    assert PRESETS["none"] == Strengths()
    assert all(0 < chance <= 1 for chance in CHANCE.values())
    for name in ("rotate", "scale", "stretch", "shear", "elastic", "blur", "brightness", "contrast", "gamma"):
        mild = getattr(PRESETS["histology"], name)
        assert mild <= getattr(PRESETS["fluorescence"], name), name


@pytest.mark.parametrize(("switch", "value"), [("flip", 1.5), ("rotate", -1), ("elastic", 17), ("gamma", float("nan"))])
def test_a_strength_out_of_bounds_is_named(switch, value):
    with pytest.raises(MiaError, match=rf"{switch} is {value}"):
        Strengths(**{switch: value})


# ---- sheet and prices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_sheet_shows_outlines_and_crosses(channels):
    image = np.full((40, 30, channels), 0.5, np.float32)
    labels = np.zeros((40, 30), np.int32)
    labels[10:20, 8:18] = 4
    known = np.ones((40, 30), bool)
    known[30:] = False
    sample = Sample(image, labels, known, np.array([[5.0, 25.2], [39.4, 0.0]], np.float32))
    sheet = contact_sheet([sample] * 6, columns=4)
    assert sheet.shape == (2 * 40 + 2, 4 * 30 + 3 * 2, 3)
    assert sheet.dtype == np.uint8
    orange = (sheet == MARK).all(axis=2)
    for y, x in ((0, 0), (0, 32), (42, 32)):
        tile = orange[y : y + 40, x : x + 30]
        assert tile[10, 8:18].all()
        assert tile[10:20, 17].all()
        assert not tile[11:19, 9:17].any()
        assert tile[5, 22:29].all()
        assert tile[2:9, 25].all()
        assert tile[36:, 0].all()
    assert not sheet[42:, 64:].any()
    assert sheet[25, 2].astype(int) == pytest.approx(2 * sheet[35, 20].astype(int), abs=1)


def test_the_sheet_of_z_scored_images_spans_their_values():
    image = np.linspace(-3, 3, 32 * 32, dtype=np.float32).reshape(32, 32, 1)
    sheet = contact_sheet([Sample(image), Sample(image + 1)])
    assert sheet.min() < 10
    assert sheet.max() > 245
    assert sheet[:, 40].mean() > sheet[:, 6].mean()


def test_prices_name_the_switches_that_matter(monkeypatch):
    monkeypatch.setattr("mia_tui.engine.augment.sheet._SECONDS", 0.2)
    grey, colour = dict(prices(32, 1)), dict(prices(32, 3))
    assert set(colour) == set(HELP)
    assert set(grey) == set(HELP) - {"channel", "stain"}
    assert all(rate > 0 for rate in colour.values())
