"""What every export starts from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mia_tui.engine.bundle import ModelCard
from mia_tui.engine.exchange.parity import tile_side


@dataclass(frozen=True)
class Source:
    """A loaded model folder; `values` is its `model.json` as it is, `license` and `authors` go into packages."""

    folder: Path
    card: ModelCard
    model: torch.nn.Module
    values: dict[str, Any]
    license: str = "CC-BY-4.0"
    authors: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, card: ModelCard, model: torch.nn.Module, **more: Any) -> "Source":
        return cls(folder, card, model, json.loads((folder / "model.json").read_text()), **more)


def example_input(card: ModelCard) -> tuple[int, int, int, int]:
    """Shape (B, C, H, W) of the input that a graph is traced with.

    Two images: a batch of one would be taken for a constant. At least 64 px: at 32 the deepest layer of a network has a
    single pixel, which would be taken for one, too.
    """
    side = max(64, card.tiling.least)
    whole = card.image_size
    return 2, card.network.in_channels, *((tile_side(card),) * 2 if whole else (side, side))
