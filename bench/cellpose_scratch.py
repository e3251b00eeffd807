"""Cellpose 3 trained from scratch for the same minutes on the same images as ours: beside `accuracy.py` in the README.

It gets its own defaults: batches of 8, the whole training set in every epoch, its augmentation, images scaled to a mean
diameter of 30 pixels, no image of fewer than five objects; like ours no validation, and one thread of the CPU. Its
training is bounded by epochs, not by time, and its learning rate follows from their number: some epochs of a network
that is thrown away are timed (not counted), and as many are asked for as fill the minutes beside the flows of the
labels. Test images are segmented with the mean diameter of the training labels. Pictures in colour are averaged to
grey, as Cellpose does it.

`train_seg` takes AdamW and a rate of 0.005 unless told otherwise, Cellpose's command line SGD and 0.2: that is `--sgd`.
Its rate rises over 10 epochs and falls over the last 50 of more than 100, which a small machine may not reach:
`--images-per-epoch 8` cuts the same training into shorter epochs.

Cellpose 3.1 wants an older NumPy than `constraints.txt` names, so give it an environment of its own without them; with
them pip takes Cellpose 3.0.

    python bench/cellpose_scratch.py                       # lists the experiments
    python bench/cellpose_scratch.py dsb2018-fluo [--minutes 15] [--seed 0] [--threads 1] [--keep DIR]
                                   [--sgd] [--images-per-epoch 8]
"""

import argparse
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _output import show
from accuracy import DATA, EXPERIMENTS, score_masks

from mia_tui.engine.tasks.files import narrow, write_tiff

try:
    from cellpose import dynamics, io, train
    from cellpose.models import CellposeModel
except ImportError as error:
    print(f"skipped: {error}. In an environment of its own: pip install -e '.[bench]'")
    sys.exit(0)

SPLITS = {
    name.rpartition("-")[0]: experiment.split
    for name, experiment in EXPERIMENTS.items()
    if experiment.task == "segmentation"
}
GREY = [0, 0]
"""Cellpose's channels: the mean of all, and none of nuclei beside it."""

ADAMW = {"SGD": False, "learning_rate": 0.005}
SGD = {"SGD": True, "learning_rate": 0.2}
TIMED = 4
"""Epochs of the network that is thrown away; the first and the last are not timed."""


@dataclass(frozen=True)
class Material:
    """What `train_seg` gets: images as in their files, labels with their flows (4, H, W), and further settings."""

    images: list[np.ndarray]
    flows: list[np.ndarray]
    settings: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("experiment", nargs="?", choices=SPLITS)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--sgd", action="store_true", help="SGD at 0.2, as Cellpose's command line, in place of AdamW")
    parser.add_argument("--images-per-epoch", type=int, help="in place of all (its nimg_per_epoch)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="work here and keep everything")
    options = parser.parse_args()
    if options.experiment is None:
        print("\n".join(SPLITS))
        return
    if not DATA.is_dir():
        print(f"skipped: {DATA} is not there")
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        run(options, (options.keep or Path(scratch)).resolve())


def run(options: argparse.Namespace, folder: Path) -> None:
    """Split, train, segment the test images, score: all below `folder`."""
    SPLITS[options.experiment](folder)
    began = time.perf_counter()
    settings = {**(SGD if options.sgd else ADAMW), "nimg_per_epoch": options.images_per_epoch}
    material = read(folder / "train", settings)
    flows = time.perf_counter() - began
    preparation, epoch = timed(material, options.seed, folder)
    epochs = max(1, int((options.minutes * 60 - flows - preparation) / epoch))
    print(f"{flows:.1f} s for flows, {preparation:.1f} s for preparation, {epoch:.2f} s an epoch: {epochs} epochs")
    began = time.perf_counter()
    model = trained(material, options.seed, epochs, folder)
    minutes = (flows + time.perf_counter() - began) / 60
    diameter = model.net.diam_labels.item()
    segment(model, diameter, folder / "test" / "images", folder / "found-cellpose")
    values = {
        **score_masks(folder, "found-cellpose"),
        "minutes": minutes,
        "epochs": epochs,
        "seconds per epoch": epoch,
        "diameter": diameter,
        "seed": options.seed,
    }
    variant = ("-sgd" if options.sgd else "") + (f"-{options.images_per_epoch}" if options.images_per_epoch else "")
    show(
        f"cellpose-{options.experiment}{variant}",
        values,
        f"none; Cellpose {version('cellpose')}, {options.minutes:g} minutes asked for",
    )


def read(part: Path, settings: dict[str, Any]) -> Material:
    """The training images; Cellpose computes the flows of the labels here, once for all its trainings."""
    images = sorted((part / "images").iterdir())
    labels = [io.imread(str(part / "labels" / f"{image.stem}.tif")) for image in images]
    flows = dynamics.labels_to_flows(labels, device=torch.device("cpu"))
    return Material([io.imread(str(image)) for image in images], flows, settings)


def fresh(seed: int) -> CellposeModel:
    """A Cellpose with random weights; the oneDNN layouts that it would segment with cannot be trained."""
    torch.manual_seed(seed)
    model = CellposeModel(gpu=False, pretrained_model=False)
    model.net.mkldnn = False
    return model


def timed(material: Material, seed: int, folder: Path) -> tuple[float, float]:
    """Seconds until `train_seg` begins with the first batch, and seconds of an epoch."""
    model, batches = fresh(seed), []
    model.net.register_forward_pre_hook(lambda *_: batches.append(time.perf_counter()))
    began = time.perf_counter()
    fit(model, material, TIMED, folder)
    first_of_epoch = batches[:: len(batches) // TIMED]
    return batches[0] - began, (first_of_epoch[-1] - first_of_epoch[1]) / (TIMED - 2)


def trained(material: Material, seed: int, epochs: int, folder: Path) -> CellposeModel:
    model = fresh(seed)
    fit(model, material, epochs, folder)
    return model


def fit(model: CellposeModel, material: Material, epochs: int, folder: Path) -> None:
    train.train_seg(
        model.net, train_data=material.images, train_labels=material.flows, channels=GREY, n_epochs=epochs,
        batch_size=8, save_path=folder, model_name="cellpose", **material.settings,
    )  # fmt: skip


def segment(model: CellposeModel, diameter: float, images: Path, out: Path) -> None:
    """Label images, named as `mia-tui predict --out` names them."""
    for image in sorted(images.iterdir()):
        masks, *_ = model.eval(io.imread(str(image)), channels=GREY, diameter=diameter)
        write_tiff(out / f"{image.name}.tif", narrow(masks.astype(np.int32)))


if __name__ == "__main__":
    main()
