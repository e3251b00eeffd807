"""Prediction of a 4096 x 4096 image, reading to objects, against the bare network on the same tiles.

Ours: normalisation, overlapping tiles, blending, watershed, objects. Bare: the same network, channels last and in
inference mode, on one such tile again and again. Goal: at least 0.9 x the tiles per second. The network has random
weights; its answers are replaced by true ones, so that there are objects, parted by flows (the default) and by borders.
And the peak memory of a process that predicts 10,000 x 10,000 pixels. Goal: under 4 GB.
"""

import itertools
import subprocess
import sys
import time

import numpy as np
import torch
from _output import show

from mia_tui.engine.bundle import ModelCard
from mia_tui.engine.config import make_config
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.memory import peak_of
from mia_tui.engine.networks import LIGHT_DECODER, NetworkSpec, build_network
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.separation import flow
from mia_tui.engine.separation.border import border_mask
from mia_tui.engine.tasks import get_task
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.engine.tiling import Tiling, starts, tile_shape
from mia_tui.simulate import simulate

ROUNDS, SIDE = 2, 4096
NARROW = ("tu-mobilenetv3_small_050", (16, 8, 8, 8, 8))
"""A small network for the memory test: the memory beyond it is the same for every network."""


def predictor(way: str, encoder: str = "resnet18", decoder: tuple[int, ...] = LIGHT_DECODER) -> Predictor:
    """A network with random weights that parts touching objects in this way."""
    torch.manual_seed(0)
    task, config = get_task("segmentation"), make_config({"touching": way})
    spec = NetworkSpec("Unet", encoder, 1, task.outputs(config, 1), decoder)
    card = ModelCard("segmentation", (("cell", "#56B4E9"),), spec, Inputs(1), Normalization(), Decoding(way), Tiling())
    return Predictor(card, build_network(spec), device="cpu")


def field(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A (1, side, side) uint16 field of simulated cells, mirrored from one of 1024 pixels, and its (Y, X) labels."""
    made = simulate(1, 1024, 1024, seed=1, density="touching")
    times = -(-side // 1024)

    def mirrored(tile: np.ndarray) -> np.ndarray:
        rows = np.concatenate([tile if i % 2 else tile[::-1] for i in range(times)])[:side]
        return np.concatenate([rows if i % 2 else rows[:, ::-1] for i in range(times)], axis=1)[:, :side]

    labels = mirrored(made.masks[0]).astype(np.int32)
    for number, (row, column) in enumerate(np.ndindex(times, times)):
        part = labels[row * 1024 : (row + 1) * 1024, column * 1024 : (column + 1) * 1024]
        part[part > 0] += number * int(made.masks.max())
    return mirrored(made.images[0])[None], labels


def true_maps(labels: np.ndarray, way: str) -> np.ndarray:
    """(C, Y, X) uint8: what a perfect network would say of the field."""
    if way == "border":
        rim = border_mask(labels, 3)
        layers = [labels == 0, (labels > 0) & ~rim, rim]
        return np.stack(layers).astype(np.uint8) * 255
    arrows = np.rint((flow.target(labels) + 1) * 127.5).astype(np.uint8)
    return np.concatenate([np.stack([labels == 0, labels > 0]).astype(np.uint8) * 255, arrows])


def teach(ours: Predictor, maps: np.ndarray) -> None:
    """Replace the answers (not the work) of the network by true ones, so that objects are decoded as in earnest."""
    network, tiling = ours.network, ours.card.tiling
    compute = network.answer
    tall, wide = tile_shape(*maps.shape[1:], tiling)
    tops, lefts = (starts(side, tile, tiling.overlap) for side, tile in zip(maps.shape[1:], (tall, wide), strict=True))
    places = itertools.cycle(itertools.product(tops, lefts))

    def answer(tensor: torch.Tensor) -> torch.Tensor:
        out = compute(tensor)
        with torch.inference_mode():
            for tile in out:
                top, left = next(places)
                truth = torch.from_numpy(maps[:, top : top + tall, left : left + wide])
                tile[:, : truth.shape[1], : truth.shape[2]].copy_(truth).div_(255)
        return out

    network.answer = answer  # type: ignore[method-assign]


def bare_tiles(model: torch.nn.Module, batch: torch.Tensor, times: int) -> float:
    """Tiles per second of the network alone."""
    began = time.perf_counter()
    with torch.inference_mode():
        for _ in range(times):
            model(batch)
    return times * len(batch) / (time.perf_counter() - began)


def compare(way: str) -> dict[str, float]:
    """Ours against the bare network, in turns; best of `ROUNDS`."""
    ours = predictor(way)
    plane, labels = field(SIDE)
    tiling, counted = ours.card.tiling, []
    batch = torch.rand(1, 1, tiling.size, tiling.size).contiguous(memory_format=torch.channels_last)
    speeds: dict[str, list[float]] = {"ours": [], "bare": []}
    bare_tiles(ours.network.model, batch, 1)
    teach(ours, true_maps(labels, way))
    for _ in range(ROUNDS):
        began = time.perf_counter()
        limits = ours.card.normalization.limits(plane)
        found = ours.find(plane, limits, lambda done, total: counted.append(total)).found
        speeds["ours"].append(counted[-1] / (time.perf_counter() - began))
        speeds["bare"].append(bare_tiles(ours.network.model, batch, counted[-1]))
    best = {name: max(values) for name, values in speeds.items()}
    there = len(np.unique(labels)) - 1
    return {"bare tiles/s": best["bare"], "ours tiles/s": best["ours"], "ours / bare": best["ours"] / best["bare"],
            "tiles": counted[-1], "objects": len(found.scores) - 1, "objects there": there}  # fmt: skip


def main() -> None:
    values = {f"{way}: {name}": value for way in ("flow", "border") for name, value in compare(way).items()}
    program = [sys.executable, __file__, "memory"]
    for way in ("flow", "border"):
        megabytes = subprocess.run([*program, way], capture_output=True, check=True).stdout.split()[-1]
        values[f"{way}: 10k x 10k peak MB"] = int(megabytes)
    show("predict_large", values, goal="ratio at least 0.9, memory under 4000 MB")


def memory(way: str) -> None:
    """Print the peak memory (MB) of predicting 10,000 x 10,000 pixels, without the truth that stands in for answers."""
    small = predictor(way, *NARROW)
    plane, labels = field(10_000)
    maps = true_maps(labels, way)
    del labels
    teach(small, maps)
    found = []
    peak = peak_of(
        lambda: found.append(small.find(plane, small.card.normalization.limits(plane)).found), torch.device("cpu")
    )
    assert found[0].labels.max() > 1000
    print((peak - maps.nbytes) // 2**20)


if __name__ == "__main__":
    memory(sys.argv[2]) if sys.argv[1:2] == ["memory"] else main()
