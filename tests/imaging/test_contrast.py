"""Contrast for display: percentiles, colours, and values that break naive code."""

import warnings

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mia_tui.errors import MiaError
from mia_tui.imaging.contrast import contrast_limits, default_colors, sequence_limits, to_display
from mia_tui.imaging.image import open_image

RNG = np.random.default_rng(8)


def test_limits_are_the_percentiles_of_each_channel() -> None:
    plane = np.stack([RNG.normal(1000, 50, (400, 300)), RNG.normal(20, 5, (400, 300))]).clip(0).astype(np.uint16)
    found = contrast_limits(plane, 1, 99)
    for channel, (low, high) in zip(plane, found, strict=True):
        assert (low, high) == tuple(np.percentile(channel, [1, 99]))


def test_large_planes_are_sampled_from_all_over() -> None:
    plane = np.zeros((1, 4000, 4000), np.uint16)
    plane[0] = np.linspace(0, 60000, 4000).astype(np.uint16)[:, None]
    (low, high) = contrast_limits(plane, 5, 95)[0]
    assert (low, high) == pytest.approx((3000, 57000), abs=150)


def test_awkward_values() -> None:
    assert contrast_limits(np.full((1, 9, 9), 7, np.uint8)) == [(7.0, 8.0)]
    assert contrast_limits(np.full((1, 9, 9), np.nan, np.float32)) == [(0.0, 1.0)]
    plane = RNG.uniform(0, 1, (1, 50, 50)).astype(np.float32)
    plane[0, :5] = np.nan
    plane[0, 5:9], plane[0, 9:12] = np.inf, -np.inf
    low, high = contrast_limits(plane)[0]
    assert 0 <= low < 0.05
    assert 0.95 < high <= 1
    mask = np.zeros((1, 300, 300), np.uint8)
    mask[0, 5, 5:9] = 1  # fewer than the percentile cuts off
    assert contrast_limits(mask) == [(0.0, 1.0)]
    assert contrast_limits(mask.astype(bool)) == [(0.0, 1.0)]


def test_rgb_keeps_its_colours() -> None:
    plane = RNG.integers(0, 200, (3, 30, 30), dtype=np.uint8)
    limits = contrast_limits(plane, rgb=True)
    np.testing.assert_array_equal(to_display(plane, limits), plane.transpose(1, 2, 0))
    deep = plane.astype(np.uint16) * 100
    assert len(set(contrast_limits(deep, rgb=True))) == 1
    np.testing.assert_array_equal(to_display(plane, limits, invert=True), 255 - plane.transpose(1, 2, 0))


def test_composite_in_colours_by_hand() -> None:
    plane = np.array([[[0, 100, 200]], [[0, 0, 50]]], np.uint16)
    shown = to_display(plane, [(0, 200), (0, 100)], ["#FF00FF", "#00FF00"])
    np.testing.assert_array_equal(shown, [[[0, 0, 0], [128, 0, 128], [255, 128, 255]]])
    orange = to_display(plane[:1], [(0, 200)], ["#FF8000"])
    np.testing.assert_array_equal(orange[0, 2], [255, 128, 0])
    saturated = to_display(np.full((3, 1, 1), 9, np.uint8), [(0, 9)] * 3, default_colors(3))
    np.testing.assert_array_equal(saturated[0, 0], [255, 255, 255])


def test_gamma_and_inversion() -> None:
    plane = np.array([[[0, 64, 255]]], np.uint8)
    np.testing.assert_array_equal(to_display(plane, [(0, 255)], None, gamma=0.5)[0, :, 0], [0, 128, 255])
    np.testing.assert_array_equal(to_display(plane, [(0, 255)], None, invert=True)[0, :, 0], [255, 191, 0])
    with pytest.raises(MiaError, match="gamma"):
        to_display(plane, [(0, 255)], None, gamma=0)
    with pytest.raises(MiaError, match="2 channels"):
        to_display(np.zeros((2, 1, 1), np.uint8), [(0, 255)])


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["uint8", "uint16", "int16", "int32", "float32", "float64", "bool"]),
        st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    )
)
def test_any_values_give_a_picture_without_a_warning(plane) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        limits = contrast_limits(plane)
        shown = to_display(plane, limits)
    assert shown.shape == (*plane.shape[1:], 3)
    assert shown.dtype == np.uint8
    assert all(high > low for low, high in limits)


def test_tables_and_arithmetic_agree() -> None:
    plane = RNG.integers(0, 65536, (1, 60, 60), dtype=np.uint16)
    by_table = to_display(plane, [(500, 43210)], None, gamma=0.7).astype(int)
    by_arithmetic = to_display(plane.astype(np.float64), [(500, 43210)], None, gamma=0.7).astype(int)
    assert np.abs(by_table - by_arithmetic).max() <= 1


def test_one_contrast_for_a_sequence(tmp_path) -> None:
    frames = np.stack([np.full((40, 40), 100 * t, np.uint16) for t in range(10)])
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, metadata={"axes": "TYX"})
    with open_image(tmp_path / "a.tif") as image:
        assert sequence_limits(image, 0, 100) == [(0.0, 900.0)]
        assert sequence_limits(image, 0, 100, frames=2) == [(0.0, 900.0)]
