"""How many patches fit into memory at once, measured on two small batches."""

import copy

import psutil
import torch

from mia_tui.engine.config import TrainConfig, rate_of
from mia_tui.engine.learner import Learner, step
from mia_tui.engine.loader import patches_of
from mia_tui.engine.material import Material
from mia_tui.engine.memory import fit_batch_size, peak_of


def choose_batch_size(learner: Learner, material: Material, config: TrainConfig, class_count: int) -> int:
    """The largest batch whose step fits; the learner is left as it was."""
    before = copy.deepcopy(learner.state())
    item = patches_of(material, config, class_count, 1)[0]

    def measure(size: int) -> float:
        batch = torch.utils.data.default_collate([item] * size)
        return peak_of(lambda: step(learner, [batch], rate_of(config), 0), learner.device)

    try:
        return fit_batch_size(measure, available(learner.device))
    finally:
        learner.load(before)
        learner.losses = 0.0
        learner.optimizer.zero_grad(set_to_none=True)


def available(device: torch.device) -> float:
    """Bytes that are free or held by this process already, as `peak_of` counts them."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    return float(psutil.virtual_memory().available + psutil.Process().memory_info().rss)
