"""Prediction on the CPU by PyTorch (channels last, inference mode) and by ONNX Runtime, the same network in one run.

Tiles per second of Unets with three encoders, 256 and 512 px, one and four tiles at once, in turns, best of `ROUNDS`;
the seconds from the start of a process to the outputs of its first tile of 256 px; and what the export takes once. All
on `THREADS` threads. Goal: ONNX Runtime at least 1.2 x the tiles, its first tile within 1 s.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _output import show

from mia_tui.engine.bundle import ModelCard, load_model, save_model
from mia_tui.engine.exchange.onnx_runtime import OnnxNetwork, fast_network
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.networks import NetworkSpec, build_network, place
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.engine.tiling import Tiling

ROUNDS, TILES, THREADS = 5, 4, 1
ENCODERS = ("resnet18", "mobilenet_v2", "efficientnet-b0")
FIRST = {
    "torch": """
import torch
torch.set_num_threads({threads})
from pathlib import Path
from mia_tui.engine.bundle import load_model
from mia_tui.engine.networks import place
model = place(load_model(Path({folder!r}))[1], torch.device("cpu"))
with torch.inference_mode():
    model(torch.zeros(1, 1, 256, 256).contiguous(memory_format=torch.channels_last))
""",
    "onnxruntime": """
from pathlib import Path
import numpy as np
from mia_tui.engine.exchange.onnx_runtime import fast_network
fast_network(Path({folder!r}), {threads})(np.zeros((1, 1, 256, 256), np.float32))
""",
}


def model_folder(folder: Path, encoder: str) -> Path:
    """A model with random weights."""
    torch.manual_seed(0)
    spec = NetworkSpec("Unet", encoder, 1, 3, (128, 64, 48, 32, 16))
    card = ModelCard(
        "segmentation", (("cell", "#56B4E9"),), spec, Inputs(1), Normalization(), Decoding("border"), Tiling(size=256)
    )
    save_model(folder / encoder, card, build_network(card.network).state_dict())
    return folder / encoder


def tiles_per_second(folder: Path) -> dict[str, float]:
    """Best of `ROUNDS` for each library, size and batch, the libraries in turns."""
    model = place(load_model(folder)[1], torch.device("cpu"))
    network = OnnxNetwork(folder / "model.onnx", THREADS)
    best: dict[str, float] = {}
    for side in (256, 512):
        tiles = np.random.default_rng(0).random((TILES, 1, side, side), np.float32)
        for batch in (1, 4):
            for _ in range(ROUNDS):
                for name, run in (("torch", lambda part: eager(model, part)), ("onnxruntime", network)):
                    began = time.perf_counter()
                    for first in range(0, TILES, batch):
                        run(tiles[first : first + batch])
                    speed = TILES / (time.perf_counter() - began)
                    key = f"{folder.name} {side} px x {batch}: {name}"
                    best[key] = max(speed, best.get(key, 0))
    return best


def eager(model: torch.nn.Module, part: np.ndarray) -> None:
    with torch.inference_mode():
        model(torch.from_numpy(part).contiguous(memory_format=torch.channels_last))


def first_tile(folder: Path, name: str) -> float:
    """Seconds from the start of a process to the outputs of its first tile, best of three."""
    program = FIRST[name].format(folder=str(folder), threads=THREADS)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    torch.set_num_threads(THREADS)
    values: dict[str, float] = {"threads": THREADS}
    with tempfile.TemporaryDirectory() as name:
        for encoder in ENCODERS:
            folder = model_folder(Path(name), encoder)
            began = time.perf_counter()
            fast_network(folder, THREADS)
            values[f"{encoder}: export once, s"] = time.perf_counter() - began
            speeds = tiles_per_second(folder)
            values.update(speeds)
            ours = [speeds[key] for key in speeds if key.endswith("onnxruntime")]
            theirs = [speeds[key] for key in speeds if key.endswith("torch")]
            values[f"{encoder}: onnxruntime / torch, best"] = max(ours[:2]) / max(theirs[:2])
            values[f"{encoder}: the same at 512 px"] = max(ours[2:]) / max(theirs[2:])
        for library in FIRST:
            values[f"first tile, s: {library}"] = first_tile(folder, library)
    show("export", values, goal="onnxruntime at least 1.2 x the tiles of torch; its first tile within 1 s")


if __name__ == "__main__":
    main()
