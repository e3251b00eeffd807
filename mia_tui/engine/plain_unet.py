"""A narrow U-Net that keeps the full resolution: for small objects, and for training on a CPU.

The encoders of smp and timm halve the image in their first layer, so objects a few pixels wide are gone before anything
looked at them, and no skip brings them back. This is the U-Net as it was published (Ronneberger et al. 2015): two
convolutions of 3 x 3 at every scale, the full one included, with batch norm (Ioffe & Szegedy 2015) and ReLU, then the
largest of 2 x 2 on the way down, and skips at every scale; but padded, a few channels wide, and with nearest pixels on
the way up. With `WIDTHS` a training step costs what one with a mobilenet_v2 costs, on a CPU.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

ENCODER = "plain"
"""What `encoder` is called; it goes with the architecture Unet."""

WIDTHS = (128, 96, 64, 32, 16)
"""Channels at each scale unless others are asked for, the coarsest (1/16 of the side) first."""


class PlainUnet(nn.Module):
    """(B, in_channels, H, W) -> logits (B, classes, H, W); H and W are multiples of 2^(scales - 1).

    Parameters
    ----------
    in_channels, classes : int
    widths : sequence of int
        Channels at each scale, the coarsest first as in the decoders of smp; the last is the full resolution.
    """

    def __init__(self, in_channels: int, classes: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        fine_first = list(widths)[::-1]
        self.encoder = _Encoder(in_channels, fine_first)
        self.decoder = _Decoder(fine_first)
        self.segmentation_head = nn.Conv2d(fine_first[0], classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.segmentation_head(self.decoder(self.encoder(image)))
        return out


class _Encoder(nn.Module):
    """An image -> features at every scale, the finest first."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _block(before, after) for before, after in zip([in_channels, *widths[:-1]], widths, strict=True)
        )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        features = [self.blocks[0](image)]
        for block in self.blocks[1:]:
            features.append(block(nn.functional.max_pool2d(features[-1], 2)))
        return features


class _Decoder(nn.Module):
    """Features at every scale, the finest first -> features at the finest."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_block(coarse + fine, fine) for fine, coarse in pairwise(widths))

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        out = features[-1]
        for block, skip in zip(list(self.blocks)[::-1], features[-2::-1], strict=True):
            out = block(torch.cat([nn.functional.interpolate(out, scale_factor=2.0), skip], 1))
        return out


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
