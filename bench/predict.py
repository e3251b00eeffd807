"""Prediction of a 4096 x 4096 image, reading to objects, against the bare network on the same tiles.

Ours: normalisation, overlapping tiles, blending, watershed, objects. Bare: the same network, channels last and in
inference mode, on one batch of such tiles again and again. Goal: at least 0.9 x the tiles per second.
And the peak memory of a process that predicts 10,000 x 10,000 pixels (small network; the memory beyond it is the same
for every network). Goal: under 4 GB.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import torch
from _output import show

from mia_tui.engine.bundle import ModelCard
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.networks import LIGHT_DECODER, NetworkSpec, build_network
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.engine.tiling import Tiling
from mia_tui.simulate import simulate

ROUNDS = 2


def predictor(spec: NetworkSpec) -> Predictor:
    torch.manual_seed(0)
    card = ModelCard("segmentation", (("cell", "#56B4E9"),), spec, Inputs(1), Normalization(), Decoding(), Tiling())
    return Predictor(card, build_network(spec), device="cpu")


def field(side: int) -> np.ndarray:
    """A (1, side, side) uint16 field of simulated cells, mirrored from one of 1024 pixels."""
    tile = simulate(1, 1024, 1024, seed=1, density="touching").images[0]
    times = -(-side // 1024)
    rows = np.concatenate([tile if i % 2 else tile[::-1] for i in range(times)])[:side]
    return np.concatenate([rows if i % 2 else rows[:, ::-1] for i in range(times)], axis=1)[None, :, :side]


def main() -> None:
    ours = predictor(NetworkSpec("Unet", "resnet18", 1, 3, LIGHT_DECODER))
    # a network with random weights finds nothing; this one sees the cells, so that objects are decoded as in earnest
    plane = field(4096)
    tiling, counted = ours.card.tiling, []
    batch = torch.rand(tiling.batch, 1, tiling.size, tiling.size).contiguous(memory_format=torch.channels_last)
    speeds: dict[str, list[float]] = {"ours": [], "bare": []}
    bare_tiles(ours.network.model, batch, 1)
    teach(ours)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        limits = ours.card.normalization.limits(plane)
        found = ours.find(plane, limits, lambda done, total: counted.append(total)).found
        speeds["ours"].append(counted[-1] / (time.perf_counter() - began))
        speeds["bare"].append(bare_tiles(ours.network.model, batch, counted[-1] // tiling.batch))
    best = {name: max(values) for name, values in speeds.items()}
    megabytes = int(
        subprocess.run([sys.executable, __file__, "memory"], capture_output=True, check=True).stdout.split()[-1]
    )
    show(
        "predict_large",
        {"bare tiles/s": best["bare"], "ours tiles/s": best["ours"], "ours / bare": best["ours"] / best["bare"],
         "tiles": counted[-1], "objects": len(found.scores) - 1, "10k x 10k peak MB": megabytes},
        goal="ratio at least 0.9, memory under 4000 MB",
    )  # fmt: skip


def teach(ours: Predictor) -> None:
    """Replace the answer (not the work) of the network by a threshold on the image, so that there are objects."""
    network = ours.network
    compute = network.answer

    def answer(tensor: torch.Tensor) -> torch.Tensor:
        out = compute(tensor).clone()
        inside = (tensor[:, 0] > 0.35).float()
        out[:, 0], out[:, 1], out[:, 2] = 1 - inside, inside, 0
        return out

    network.answer = answer  # type: ignore[method-assign]


def bare_tiles(model: torch.nn.Module, batch: torch.Tensor, times: int) -> float:
    """Tiles per second of the network alone."""
    began = time.perf_counter()
    with torch.inference_mode():
        for _ in range(times):
            model(batch)
    return times * len(batch) / (time.perf_counter() - began)


def memory() -> None:
    """Predict 10,000 x 10,000 pixels and print the peak resident memory in MB."""
    small = predictor(NetworkSpec("Unet", "tu-mobilenetv3_small_050", 1, 3, (16, 8, 8, 8, 8)))
    teach(small)
    plane = field(10_000)
    found = small.find(plane, small.card.normalization.limits(plane)).found
    assert found.labels.max() > 1000
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    memory() if sys.argv[1:] == ["memory"] else main()
