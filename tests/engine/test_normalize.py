"""Normalisation: values, and what is fixed in the model file."""

import numpy as np
import pytest

from mia_tui.engine.inputs import match_channels
from mia_tui.engine.normalize import Normalization, apply_limits
from mia_tui.errors import MiaError


def test_limits_are_numpys_percentiles_of_the_whole_frame() -> None:
    plane = np.random.default_rng(0).integers(0, 4096, (2, 300, 200)).astype(np.uint16)
    limits = Normalization().limits(plane)
    for channel, found in zip(plane, limits, strict=True):
        np.testing.assert_allclose(found, np.percentile(channel, [1, 99.8]), rtol=1e-6)
    scaled = apply_limits(plane, limits)
    assert scaled.dtype == np.float32
    assert scaled.min() == 0
    assert scaled.max() == 1


@pytest.mark.parametrize("kind", ["percentile", "zscore", "imagenet"])
def test_images_of_one_bit_are_as_those_of_0_and_1(kind: str) -> None:
    bits = np.random.default_rng(0).random((1, 30, 20)) > 0.7
    normalization = Normalization(kind=kind)
    limits = normalization.limits(bits)
    numbers = bits.astype(np.uint16)
    np.testing.assert_array_equal(limits, normalization.limits(numbers))
    np.testing.assert_array_equal(normalization.apply(bits, limits), normalization.apply(numbers, limits))


def test_flat_and_broken_values_are_survived() -> None:
    flat = np.full((1, 8, 8), 7, np.uint16)
    assert np.isfinite(apply_limits(flat, Normalization().limits(flat))).all()
    broken = np.ones((1, 8, 8), np.float32)
    broken[0, 0, :3] = np.nan, np.inf, -np.inf
    assert np.isfinite(apply_limits(broken, Normalization().limits(broken))).all()


def test_channels_are_matched_or_refused() -> None:
    grey, rgb = np.ones((1, 4, 4), np.uint8), np.stack([np.full((4, 4), v, np.uint8) for v in (0, 3, 6)])
    assert match_channels(grey, 3, False, "x").shape == (3, 4, 4)
    assert (match_channels(rgb, 1, True, "x") == 3).all()
    with pytest.raises(MiaError, match="x has 3 channels"):
        match_channels(rgb, 1, False, "x")


def test_zscore_has_mean_zero_and_deviation_one_and_keeps_what_is_bright() -> None:
    plane = np.random.default_rng(0).gamma(2, 100, (2, 200, 300)).astype(np.float32)
    normalization = Normalization(kind="zscore")
    scaled = normalization.apply(plane, normalization.limits(plane))
    np.testing.assert_allclose(scaled.mean((1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std((1, 2)), 1, atol=1e-3)
    assert scaled.max() > 3


def test_fixed_limits_do_not_look_at_the_frame() -> None:
    normalization = Normalization(kind="dataset", fixed=((100.0, 300.0),))
    plane = np.full((3, 4, 4), 200, np.uint16)
    scaled = normalization.apply(plane, normalization.limits(plane))
    assert (scaled == 0.5).all(), "neighbouring planes in z share the limits of their channel"


def test_imagenet_is_that_of_torchvision() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (3, 5, 6)).astype(np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalization = Normalization(kind="imagenet", mean=mean, std=std)
    found = normalization.finish(normalization.apply(plane, normalization.limits(plane)))
    expected = (plane / 255 - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_brightest_pixels_of_16_bits_stay_the_brightest() -> None:
    plane = np.array([[[0, 30000, 65534, 65535]]], np.uint16)
    scaled = apply_limits(plane, Normalization(0, 100).limits(plane))
    assert (np.diff(scaled[0, 0]) > 0).all()
