"""HED edges: VGG16 with side outputs (Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015).

No weights come with the program. A state dict with the names of this network is read, and one with the names that the
widespread PyTorch port gives them (VggOne.0 ... ScoreOne ... Combine.0, with the prefix net or module).
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from mia_tui.engine.assist.messages import AssistAnswer, AssistRequest, Box, EdgeMap
from mia_tui.engine.assist.models import Tell, check_real
from mia_tui.engine.assist.planes import Plane, clip_box
from mia_tui.engine.assist.windows import edges_by_tiles
from mia_tui.errors import MiaError

BLOCKS = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
"""Channels of the convolutions of VGG16's five blocks."""
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""Mean of ImageNet as blue, green, red 0..255, subtracted from the input as in the paper's model."""
SIDE = 512
"""Side of the tiles in pixels."""
_PORT = ("One", "Two", "Three", "Four", "Five")


class HedNetwork(nn.Module):
    """(B, 3, H, W) blue, green, red minus `MEAN_BGR` -> (B, 1, H, W) edges 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(block)) for block in BLOCKS
        )
        self.side = nn.ModuleList(nn.Conv2d(block[-1], 1, 1) for block in BLOCKS)
        self.fuse = nn.Conv2d(len(BLOCKS), 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size, sides = x.shape[-2:], []
        for index, (block, side) in enumerate(zip(self.blocks, self.side, strict=True)):
            if index:
                x = functional.max_pool2d(x, 2)
            for convolution in block:  # type: ignore[attr-defined]
                x = functional.relu(convolution(x))
            sides.append(functional.interpolate(side(x), size=size, mode="bilinear", align_corners=False))
        fused: torch.Tensor = self.fuse(torch.cat(sides, 1))
        return fused.sigmoid()


class Hed:
    """HED with weights, on a device."""

    def __init__(self, network: HedNetwork, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.device = device

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Hed":
        """Load a state dict (.safetensors, or a PyTorch file)."""
        check_real(path)
        network = HedNetwork()
        try:
            network.load_state_dict(_renamed(_read(path)))
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise MiaError(f"{path} holds other weights than HED's: {' '.join(lines[:2])[:300]}") from None
        return cls(network, device)

    def answer(self, request: AssistRequest, plane: Plane, tell: Tell) -> AssistAnswer:
        """Edges of the view."""
        box = clip_box(request.view, plane.shape)
        mean = torch.tensor(MEAN_BGR, device=self.device)[None, :, None, None]

        def run(tile: Box) -> NDArray[np.float32]:
            picture = plane.picture(tile, request.channels, 3)[::-1] * np.float32(255)
            tensor = torch.from_numpy(np.ascontiguousarray(picture))[None].to(self.device) - mean
            with torch.inference_mode():
                found: NDArray[np.float32] = self.network(tensor)[0, 0].cpu().numpy()
            return found

        return AssistAnswer(edges=EdgeMap(edges_by_tiles(run, box, SIDE, tell), box[:2]))


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state.get("state_dict", state))
    except Exception as error:  # torch's own text advises to switch its safety off
        kind = type(error).__name__
        raise MiaError(f"{path} cannot be read as weights ({kind}); it may be damaged: copy it again") from None


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state with this network's names, where it has those of the widespread port."""
    names = {}
    for index, (block, number) in enumerate(zip(BLOCKS, _PORT, strict=True)):
        names[f"Score{number}"] = f"side.{index}"
        for layer in range(len(block) - 1):  # convolution, ReLU, convolution ...; a pooling first but for block one
            names[f"Vgg{number}.{2 * layer + (index > 0)}"] = f"blocks.{index}.{layer}"
    names["Combine.0"] = "fuse"
    renamed = {}
    for key, value in state.items():
        stem, _, kind = key.removeprefix("net").removeprefix("module").rpartition(".")
        renamed[f"{names[stem]}.{kind}" if stem in names else key] = value
    return renamed
