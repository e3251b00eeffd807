"""Batches of patches from one process or several."""

import math
from collections.abc import Iterator

import cv2
import torch

from mia_tui.engine.config import TrainConfig
from mia_tui.engine.material import Material
from mia_tui.engine.patches import Item, Patches, patches_per_epoch

MIN_STEPS = 50
"""An epoch of patches has at least this many steps, so that validation stays a small part of the time."""


def patches_of(material: Material, config: TrainConfig, class_count: int, length: int) -> Patches:
    """`length` patches of the training frames."""
    return Patches(
        material.train, material.task, config, material.normalization, class_count, length, material.rgb
    )  # fmt: skip


def _one_thread(worker: int) -> None:
    """Loader processes share the cores between them: each works in one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


class Loader:
    """Batches of a training; `steps` of them are an epoch."""

    def __init__(self, material: Material, config: TrainConfig, class_count: int, device: torch.device) -> None:
        assert config.batch_size is not None, "the batch size is chosen before"
        size = config.patch_size if material.task.dense else config.image_size
        cover = math.ceil(patches_per_epoch(material.train, size) / config.batch_size)
        least = MIN_STEPS if material.task.dense else 1
        self.steps = config.steps_per_epoch or max(least, cover)
        self.batch_size = config.batch_size
        self.device = device
        self.patches = patches_of(material, config, class_count, self.steps * config.batch_size)
        automatic = min(torch.get_num_threads(), 8) if device.type == "cuda" else 0
        self.workers = automatic if config.workers is None else config.workers

    def batches(self, epoch: int, skip: int) -> Iterator[Item]:
        """Batches of one epoch, without the first `skip`."""
        self.patches.epoch = epoch
        yield from torch.utils.data.DataLoader(
            self.patches, batch_size=self.batch_size, sampler=range(skip * self.batch_size, len(self.patches)),
            num_workers=self.workers, pin_memory=self.device.type == "cuda",
            multiprocessing_context="fork" if self.workers else None, worker_init_fn=_one_thread,
        )  # fmt: skip
