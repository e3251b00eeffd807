"""Tiny hand-made networks that do on purpose what large ones learn, exported as a user would, with their cards."""

import json
import warnings
from pathlib import Path

import numpy as np
import torch

SIZE = 64


class Bright(torch.nn.Module):
    """Bright pixels are the object: logits from the first channel, smoothed by a fixed 3 x 3 mean."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.nn.functional.avg_pool2d(x[:, :1], 3, 1, 1) - 0.5) * 20.0


class NearClicks(torch.nn.Module):
    """The object is where positive clicks are nearer than negative ones, and the picture is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, :1] > 0.5, (x[:, 1:2] - x[:, 2:3] + 0.01) * 20.0, -20.0)


class Sobel(torch.nn.Module):
    """Edge strength as a probability."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = torch.tensor([[[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]]]) / 4
        x = torch.nn.functional.pad(x[:, :1], [1, 1, 1, 1], mode="replicate")
        dx, dy = torch.nn.functional.conv2d(x, kernel), torch.nn.functional.conv2d(x, kernel.transpose(2, 3))
        return (dx * dx + dy * dy).sqrt().clamp(0, 1)


class Slow(torch.nn.Module):
    """Takes some tens of milliseconds a tile."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3000):
            x = (x + 0.1).clamp(0.0, 1.0)
        return x[:, :1]


class Endless(torch.nn.Module):
    """Never answers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.max() < 1e30):
            x = x * 0.5
        return x


class Raising(torch.nn.Module):
    """Fails."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.max() > -1e30):
            raise RuntimeError("weights of another world")
        return x


class Halving(torch.nn.Module):
    """Answers with a map of half the size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(x[:, :1], 2)


def add(folder: Path, name: str, network: torch.nn.Module, kind: str, suffix: str = ".pt", **card: object) -> Path:
    """Export a network into `folder` with a card of `kind`; the path of the card."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}{suffix}"
    if suffix == ".pt2":
        channels = 1 + {"dextr": 1, "points": 2, "edges": 0}[kind]
        program = torch.export.export(network.eval(), (torch.zeros(1, channels, SIZE, SIZE),))
        torch.export.save(program, str(file))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is on its way out, but files of it exist
            torch.jit.script(network.eval()).save(str(file))
    path = folder / f"{name}.json"
    values = {"kind": kind, "file": file.name, "size": SIZE, "mean": [0.0], "std": [1.0], **card}
    path.write_text(json.dumps(values))
    return path


def disc(y: float = 100, x: float = 150, radius: float = 30, shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    """(1, Y, X) uint16 picture of a bright disc."""
    yy, xx = np.indices(shape) + 0.5
    inside = (yy - y) ** 2 + (xx - x) ** 2 < radius**2
    return np.where(inside, 1000, 100).astype(np.uint16)[None]
