"""The demo's data set: simulated images and masks as files."""

import io
from dataclasses import replace
from pathlib import Path

from mia_tui.simulate.cells import COVERAGE, Array
from mia_tui.simulate.lapse import man_track, simulate
from mia_tui.simulate.picture import Optics
from mia_tui.storage import write_bytes

PIXEL_SIZE_UM = 0.65
FRAME_INTERVAL_S = 300.0


def write_dataset(
    folder: Path, *, seed: int = 1, train: int = 12, predict: int = 4, size: int = 256, frames: int = 8
) -> dict[str, int]:
    """Write the demo's images: folders `train`, `predict`, and `train_masks`, `predict_masks` with instance masks.

    A mask has its image's name. The densities take turns from sparse to touching; the last image of `predict` is a time
    lapse of `frames` frames, with its tracks beside its masks as `<name>_man_track.txt`. Images are ImageJ TIFFs that
    know their pixel size (0.65 um) and frame interval (300 s).

    Returns
    -------
    dict
        How many images each of the four folders got.
    """
    densities = tuple(COVERAGE)
    for i in range(train + predict):
        split, number = ("train", i) if i < train else ("predict", i - train)
        movie = split == "predict" and number == predict - 1
        density = densities[(i + 1) % len(densities)]
        dim = Optics() if i % 4 else replace(Optics(), photons=120.0)
        result = simulate(frames if movie else 1, size, size, seed=seed * 1000 + i, density=density, optics=dim)
        name = f"timelapse_{number + 1:02d}" if movie else f"{density}_{number + 1:02d}"
        _write_tiff(folder / split / f"{name}.tif", result.images)
        _write_tiff(folder / f"{split}_masks" / f"{name}.tif", result.masks)
        if movie:
            path = folder / f"{split}_masks" / f"{name}_man_track.txt"
            write_bytes(path, man_track(result.tracks).encode())
    return {"train": train, "train_masks": train, "predict": predict, "predict_masks": predict}


def _write_tiff(path: Path, stack: Array) -> None:
    """A (T, Y, X) stack as an ImageJ TIFF with the demo's calibration; one frame is written as an image."""
    import tifffile

    many = len(stack) > 1
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        stack if many else stack[0],
        imagej=True,
        resolution=(1 / PIXEL_SIZE_UM, 1 / PIXEL_SIZE_UM),
        metadata={"axes": "TYX" if many else "YX", "unit": "um"} | ({"finterval": FRAME_INTERVAL_S} if many else {}),
    )
    write_bytes(path, buffer.getvalue())
