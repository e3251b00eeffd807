"""What learns: network, its running average, optimiser, gradient scaler; and one step of it."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mia_tui.engine import networks
from mia_tui.engine.checkpoint import restore_rng, rng_state
from mia_tui.engine.config import TrainConfig, decay_of, rate_of
from mia_tui.engine.device import Precision, make_deterministic, pick_device, pick_precision, set_threads
from mia_tui.engine.optimizers import freeze_encoder, make_optimizer, set_learning_rate
from mia_tui.engine.tasks import Task
from mia_tui.errors import MiaError

Batch = dict[str, torch.Tensor]


@dataclass
class Learner:
    """The things that learn. `network` is what is called: `model`, compiled or not."""

    task: Task
    config: TrainConfig
    model: torch.nn.Module
    network: Any
    averaged: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    precision: Precision
    class_weights: torch.Tensor | None = None
    frozen: bool = False
    losses: torch.Tensor | float = 0.0
    """Sum of the losses since `take_losses`. It stays on the device: asking a GPU for a number makes it wait."""

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": rng_state(self.device),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        restore_rng(state["rng"], self.device)

    def freeze(self, frozen: bool) -> None:
        """Stop or let the encoder learn."""
        self.frozen = frozen
        freeze_encoder(self.model, frozen)

    def take_losses(self) -> float:
        """The sum of the losses of the batches since the last call.

        Raises
        ------
        MiaError
            When it is no number any more.
        """
        value, self.losses = float(self.losses), 0.0
        if not math.isfinite(value):
            raise MiaError("the loss is no longer a number. Lower the learning rate, e.g. --set learning_rate=0.0005")
        return value

    def train_mode(self) -> None:
        self.model.train()
        if self.frozen:
            freeze_encoder(self.model, True)  # its batch norms keep their statistics


def build(config: TrainConfig, task: Task, spec: networks.NetworkSpec, model: torch.nn.Module) -> Learner:
    """A learner around a network with its first weights."""
    device = pick_device(config.device)
    precision = pick_precision(device, config.amp)
    networks.place(model, device, channels_last=config.channels_last)
    optimizer = make_optimizer(
        config.optimizer, model, learning_rate=rate_of(config), weight_decay=decay_of(config),
        encoder_factor=config.encoder_rate,
    )  # fmt: skip
    scaler = torch.amp.GradScaler(device.type, enabled=precision.scaler)
    network = torch.compile(model) if config.compile else model
    return Learner(
        task, config, model, network, copy.deepcopy(model).eval(), optimizer, scaler, device, precision
    )  # fmt: skip


def start_torch(config: TrainConfig) -> None:
    """Threads, seed and determinism, before anything is drawn."""
    set_threads(config.threads)
    torch.manual_seed(config.seed)
    make_deterministic(config.deterministic)


def step(learner: Learner, batches: Sequence[Batch], rate: float, number: int) -> None:
    """Optimiser step `number` on the mean gradient of one or several batches."""
    set_learning_rate(learner.optimizer, rate)
    learner.train_mode()
    learner.optimizer.zero_grad(set_to_none=True)
    for batch in batches:
        backward(learner, batch, 1 / len(batches))
    learner.scaler.unscale_(learner.optimizer)
    if learner.config.clip:
        torch.nn.utils.clip_grad_norm_(learner.model.parameters(), learner.config.clip, foreach=True)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    # while few steps are done, remember fewer of them, or the random start would linger
    ema = learner.config.ema
    average(learner, min(ema, (1 + number) / (10 + number)) if ema else 0.0)


def backward(learner: Learner, batch: Batch, share: float) -> None:
    """Add `share` of the gradients of a batch."""
    on_device = {name: tensor.to(learner.device, non_blocking=True) for name, tensor in batch.items()}
    image = on_device["image"]
    if learner.config.channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    with learner.precision.autocast():
        output = learner.network(image)
    loss = learner.task.loss(output.float(), on_device, learner.config, learner.class_weights)
    torch.autograd.backward(learner.scaler.scale(loss * share))
    learner.losses = learner.losses + loss.detach()


@torch.no_grad()
def average(learner: Learner, decay: float) -> None:
    """Move the averaged weights towards the present ones: a <- decay a + (1 - decay) w; integers are copied."""
    own, new = learner.averaged.state_dict(), learner.model.state_dict()
    floats = [key for key, value in own.items() if value.dtype.is_floating_point]
    torch._foreach_lerp_([own[key] for key in floats], [new[key] for key in floats], 1 - decay)
    for key in own.keys() - set(floats):
        own[key].copy_(new[key])
