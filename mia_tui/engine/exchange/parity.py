"""Does an exported network say what the model itself says? Measured on tiles of simulated cells."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.bundle import ModelCard
from mia_tui.engine.tiling import tile_shape
from mia_tui.errors import MiaError
from mia_tui.simulate import simulate

TILES = 3
MAX_DIFFERENCE = 1e-3
"""Largest difference of raw outputs (logits) an export may have; kernels of two libraries differ by 1e-6 to 1e-4."""
MIN_AGREEMENT = 0.999
"""Smallest share of pixels (or images) with the same most probable channel."""

Outputs = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(B, C, H, W) float32, normalised -> raw outputs (B, K, H, W), or (B, K) in classification."""


@dataclass(frozen=True)
class Parity:
    """Largest difference of raw outputs, share of equal argmax (0..1), and on how many tiles."""

    max_difference: float
    agreement: float
    tiles: int


def tile_side(card: ModelCard) -> int:
    """Side in pixels of the tiles to measure on: what the network predicts with."""
    # classification looks at whole images of one size
    return card.image_size or tile_shape(card.tiling.size, card.tiling.size, card.tiling)[0]


def sample_planes(card: ModelCard, side: int, count: int = TILES) -> list[NDArray[np.uint16]]:
    """`count` simulated camera images (C, side, side) with cells that touch, always the same ones."""
    channels = card.network.in_channels
    images = [simulate(1, side, side, seed=seed, density="touching").images[0] for seed in range(count * channels)]
    return [
        np.stack([np.squeeze(image) for image in images[first : first + channels]])
        for first in range(0, len(images), channels)
    ]


def sample_tiles(card: ModelCard) -> NDArray[np.float32]:
    """(TILES, C, side, side) normalised tiles to measure on."""
    planes = sample_planes(card, tile_side(card))
    return np.stack([normalized(card, plane) for plane in planes])


def normalized(card: ModelCard, plane: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A (C, Y, X) plane as the network sees it."""
    kind = card.normalization
    return kind.finish(kind.apply(plane, kind.limits(plane)))


def outputs_of(model: torch.nn.Module) -> Outputs:
    """A torch network as a function on arrays."""

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = model(torch.from_numpy(np.ascontiguousarray(batch))).float().numpy()
        return found

    return run


def compare(ours: Outputs, theirs: Outputs, tiles: NDArray[np.float32]) -> Parity:
    """Run the same tiles through both."""
    expected, found = ours(tiles), theirs(tiles)
    if expected.shape != found.shape:
        raise MiaError(f"the exported network answers with shape {found.shape}, the model with {expected.shape}")
    difference = float(np.abs(expected - found).max())
    same = float((expected.argmax(1) == found.argmax(1)).mean())
    return Parity(difference if np.isfinite(difference) else float("inf"), same, len(tiles))


def check(parity: Parity, what: str) -> None:
    """Refuse an export that says something else than the model.

    Raises
    ------
    MiaError
        When raw outputs differ by more than `MAX_DIFFERENCE` or the argmax agrees on less than `MIN_AGREEMENT`.
    """
    if parity.max_difference <= MAX_DIFFERENCE and parity.agreement >= MIN_AGREEMENT:
        return
    raise MiaError(
        f"{what} was not written: on {parity.tiles} tiles its outputs differ from the model's by up to "
        f"{parity.max_difference:.2g} (allowed {MAX_DIFFERENCE:g}) and name the same class on "
        f"{parity.agreement:.3%} (at least {MIN_AGREEMENT:.1%}). Export to safetensors, which keeps every bit."
    )
