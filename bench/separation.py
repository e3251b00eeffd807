"""Separation of touching objects without a network: what targets and decoders cost, and what exact maps give back.

Times are the best of five on one thread. "AP" is tp / (tp + fp + fn), pooled over all images; the noisy maps and
foreground carry Gaussian noise with a standard deviation of 0.1; the soft ones are blurred by 1.5 pixels after noise of
0.3, more like what a network paints. Real masks are those of `$MIA_TUI_DATA` (default ../shared/data); a set that is
not there is left out.

    python bench/separation.py [--quick]
"""

import argparse
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from _output import show
from skimage.io import imread

from mia_tui.analysis.matching import match, pool
from mia_tui.engine.separation import distance, flow
from mia_tui.simulate import simulate

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
METHODS = {"distance": distance, "flow": flow}
SETS = {
    "fluorescence": ("dsb2018", "fluo_*"), "histology": ("dsb2018", "he*"), "bright field": ("dsb2018", "bf_*"),
    "phase contrast": ("usiigaci_phase", "*"),
}  # fmt: skip
PAINTED = {"exact": (0.0, 0.0), "noisy": (0.1, 0.0), "soft": (0.3, 1.5)}
"""Noise (standard deviation) and blur (pixels) of the maps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="every eighth real image, no frame of 4096 x 4096")
    quick = parser.parse_args().quick
    cv2.setNumThreads(1)
    values: dict[str, float] = {}
    for name, method in METHODS.items():
        values |= {f"{name}: {key}": value for key, value in costs(method, quick).items()}
    for kind, source in SETS.items():
        images = [imread(path) for path in sorted((DATA / source[0] / "train/labels").glob(source[1]))]
        for name, method in METHODS.items():
            scored = scores(method, images[:: 8 if quick else 1])
            values |= {f"{name}, {kind}: {key}": value for key, value in scored.items()}
    show("separation", values, goal="target 10 ms for 256^2 and 25 ms for 512^2, 16 bytes a pixel, exact AP@0.9 1.0")


def costs(method, quick: bool) -> dict[str, float]:
    """Milliseconds per target of a patch, seconds and bytes per pixel of a decoded frame of crowded small nuclei."""
    values = {}
    for size, cells in ((256, 50), (512, 200)):
        labels = simulate(1, size, size, cells, seed=1, density="touching").masks[0]
        values[f"target {size}^2, {labels.max()} nuclei, ms"] = 1000 * best(lambda at=labels: method.target(at))
    tile = simulate(1, 1024, 1024, 1250, seed=3, radius=8, density="touching").masks[0]
    for times in (1,) if quick else (1, 4):
        maps, foreground = (np.tile(part, (times, times)) for part in painted(method, tile, 0.1, 0.0))
        size = 1024 * times
        values[f"decode {size}^2, s"] = best(lambda m=maps, f=foreground: method.separate(m, f))
        tracemalloc.start()
        values[f"decode {size}^2, objects"] = int(method.separate(maps, foreground).max())
        values[f"decode {size}^2, bytes a pixel"] = tracemalloc.get_traced_memory()[1] / foreground.size
        tracemalloc.stop()
    return values


def best(work: Callable[[], object]) -> float:
    """Seconds of the quickest of five runs."""

    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(once() for _ in range(5))


def painted(method, labels: np.ndarray, noise: float, blur: float) -> tuple[np.ndarray, np.ndarray]:
    """Maps and foreground as the decoder gets them, from the true target with noise and then blur."""
    rng = np.random.default_rng(0)
    lowest = 0 if method is distance else -1
    wanted = [*method.target(labels), (labels > 0).astype(np.float32)]
    layers = [layer + noise * rng.standard_normal(labels.shape, np.float32) for layer in wanted]
    if blur:
        layers = [cv2.GaussianBlur(layer, (0, 0), blur) for layer in layers]
    maps = (np.stack(layers[:-1]).clip(lowest, 1) - lowest) / (1 - lowest)
    return np.rint(255 * maps).astype(np.uint8), np.rint(255 * layers[-1].clip(0, 1)).astype(np.uint8)


def scores(method, images: list[np.ndarray]) -> dict[str, float]:
    """Pooled AP at 0.5 and 0.9 of what is decoded from the targets, as they are, with noise, and softened."""
    values = {}
    for how, (noise, blur) in PAINTED.items() if images else ():
        pairs = list(zip(*matchings(method, images, noise, blur), strict=True))
        values |= {f"{how} AP@{found[0].threshold}": pool(found).ap for found in pairs}
    return values


def matchings(method, images: list[np.ndarray], noise: float, blur: float) -> Iterator[tuple]:
    for labels in images:
        yield match(labels, method.separate(*painted(method, labels, noise, blur)), (0.5, 0.9))


if __name__ == "__main__":
    main()
