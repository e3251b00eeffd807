"""Tiles and blending: any size, no seams, no change of scale, the same bits."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.engine.device import Precision
from mia_tui.engine.tiling import TiledNetwork, Tiling, starts, tile_shape, window

CPU = torch.device("cpu")


class Pointwise(torch.nn.Module):
    """Logits that depend on their own pixel only: tiling must not change anything."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, 1 - 2 * x, x * x], 1)


class Blur(torch.nn.Module):
    """Looks five pixels around."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (5, 5, 5, 5), mode="reflect"), 11, 1)
        return torch.cat([mean, -mean], 1)


def run(model: torch.nn.Module, image: np.ndarray, tta: bool = False, **tiling: int) -> np.ndarray:
    network = TiledNetwork(model, CPU, Precision("cpu", None, False), Tiling(**tiling), tta)
    bands = list(network.bands(*image.shape, lambda rows, columns: image[None, rows, columns]))
    assert [band[0].start for band in bands] == [0, *[band[0].stop for band in bands[:-1]]]
    assert bands[-1][0].stop == image.shape[0]
    return np.concatenate([values for _, values in bands], axis=1)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 150), width=st.integers(1, 150), overlap=st.sampled_from([0, 8, 24]))
def test_any_size_gives_the_untiled_result(height: int, width: int, overlap: int) -> None:
    image = np.random.default_rng(height * 151 + width).random((height, width), np.float32)
    found = run(Pointwise(), image, size=64, overlap=overlap, batch=3)
    expected = Pointwise()(torch.from_numpy(image)[None, None]).softmax(1)[0].numpy()
    assert found.shape == (3, height, width)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_seams_are_smooth() -> None:
    image = np.random.default_rng(0).random((200, 130), np.float32)
    whole = run(Blur(), image, size=512, overlap=64, batch=1)
    tiled = run(Blur(), image, size=64, overlap=32, batch=2)
    assert np.abs(whole - tiled)[:, 5:-5, 5:-5].max() < 0.01


def test_the_same_bits_every_time() -> None:
    image = np.random.default_rng(1).random((150, 170), np.float32)
    first = run(Blur(), image, size=64, overlap=16, batch=4)
    assert (first == run(Blur(), image, size=64, overlap=16, batch=4)).all()


def test_tta_of_a_symmetric_network_changes_nothing() -> None:
    image = np.random.default_rng(2).random((70, 90), np.float32)
    plain = run(Blur(), image, size=64, overlap=16, batch=4)
    np.testing.assert_allclose(run(Blur(), image, tta=True, size=64, overlap=16, batch=4), plain, atol=1e-5)


def test_tta_averages_views_of_a_lopsided_network() -> None:
    class Ramp(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ramp = torch.linspace(-3, 3, x.shape[3]).expand_as(x)
            return torch.cat([ramp, -ramp], 1)

    found = run(Ramp(), np.zeros((64, 64), np.float32), tta=True, size=64, overlap=0, batch=1)
    np.testing.assert_allclose(found, found[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), atol=1e-5)


@given(length=st.integers(1, 3000), size=st.sampled_from([64, 512]), overlap=st.integers(0, 60))
def test_tiles_cover_everything_and_overlap(length: int, size: int, overlap: int) -> None:
    first = starts(length, size, overlap)
    assert first[0] == 0
    if length > size:
        assert first[-1] == length - size
        assert all(b - a <= size - overlap for a, b in pairwise(first))


def test_tile_shapes_are_what_networks_take() -> None:
    assert tile_shape(1, 33, Tiling()) == (32, 64)
    assert tile_shape(2000, 500, Tiling()) == (512, 512)
    assert tile_shape(10, 300, Tiling(least=256)) == (256, 320)


def test_window_is_positive_and_falls_to_the_rim() -> None:
    weights = window(64, 96, 16)
    assert weights.min() > 0
    assert weights[32, 48] == pytest.approx(1)
    assert weights[0, 48] < 0.05
