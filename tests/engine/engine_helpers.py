"""Small simulated projects and tiny networks for the engine's tests."""

from pathlib import Path

import numpy as np
import tifffile
import torch

from mia_tui.engine.bundle import ModelCard
from mia_tui.engine.config import TrainConfig, make_config
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.networks import NetworkSpec, build_network
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.engine.tiling import Tiling
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import shapes_from_labels
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder

SPEC = NetworkSpec("Unet", "tu-mobilenetv3_small_050", 1, 3, (16, 8, 8, 8, 8))

TINY = {
    "encoder": "tu-mobilenetv3_small_050", "decoder_channels": [16, 8, 8, 8, 8], "patch_size": 64, "batch_size": 2,
    "steps_per_epoch": 3, "epochs": 2, "threads": 1, "device": "cpu", "validation": 0.34,
}  # fmt: skip


def disks(seed: int = 0, size: int = 96, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image of bright disks, and their instance masks."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    masks = np.zeros((size, size), np.uint16)
    for number in range(1, count + 1):
        y, x, radius = rng.uniform(8, size - 8), rng.uniform(8, size - 8), rng.uniform(5, 9)
        masks[((yy - y) ** 2 + (xx - x) ** 2 <= radius**2) & (masks == 0)] = number
    image = np.where(masks > 0, 900, 150) + rng.normal(0, 40, masks.shape)
    return image.clip(0).astype(np.uint16), masks


def labels_of(masks: np.ndarray, label_class: str = "cell") -> FrameLabels:
    shapes = shapes_from_labels(masks)
    objects = [LabelObject(number, shape, label_class, "imported") for number, shape in shapes.items()]
    return FrameLabels.of(*masks.shape, objects)


def make_project(folder: Path, images: int = 3, predict: int = 1, task: str = "segmentation") -> Project:
    """A project with labelled training images and some to predict."""
    for split, count, first in (("train", images, 0), ("predict", predict, 100)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image, _ = disks(first + number)
            tifffile.imwrite(folder / split / f"im{number}.tif", image)
    project = Project.create(folder / "project", images=folder / "train", predict_images=folder / "predict", task=task)
    for number in range(images):
        write_frame(project.labels_path(f"im{number}.tif", "image"), labels_of(disks(number)[1]))
    return project


def tiny_config(**changes: object) -> TrainConfig:
    return make_config({**TINY, **changes})


def new_run(project: Project, name: str = "run") -> RunFolder:
    return RunFolder.create(project.runs_folder, name, {})


class Recorder:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.changes: dict = {}

    def event(self, kind: str, **values: object) -> None:
        self.events.append({"event": kind, **values})

    def status(self, **changes: object) -> None:
        self.changes.update(changes)

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["event"] == kind]


def card(**changes: object) -> ModelCard:
    values = {
        "task": "segmentation", "classes": (("cell", "#56B4E9"),), "network": SPEC, "inputs": Inputs(1),
        "normalization": Normalization(), "decoding": Decoding(), "tiling": Tiling(64, 16, 2),
    }  # fmt: skip
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


def tiny_network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network(SPEC)
