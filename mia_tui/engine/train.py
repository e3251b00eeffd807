"""Training: one loop to read from top to bottom."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mia_tui.engine import networks
from mia_tui.engine.bundle import ModelCard, save_model
from mia_tui.engine.checkpoint import load_checkpoint, restore_rng, rng_state, save_checkpoint
from mia_tui.engine.config import TrainConfig
from mia_tui.engine.data import (
    Channels,
    Patches,
    TrainingFrame,
    choose_channels,
    labelled_frames,
    load_frames,
    split_frames,
    tiles_per_epoch,
)
from mia_tui.engine.device import (
    Precision,
    device_name,
    peak_memory_mb,
    pick_device,
    pick_precision,
    set_threads,
)
from mia_tui.engine.evaluate import headline, validate
from mia_tui.engine.losses import segmentation_loss
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.predict import Predictor
from mia_tui.engine.preview import write_preview
from mia_tui.engine.tasks import segmentation
from mia_tui.engine.tiling import Tiling
from mia_tui.errors import MiaError
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder

MIN_STEPS = 50
"""An epoch has at least this many steps, so that validation stays a small part of the time."""

REPORT_S = 0.5
SAVE_S = 20.0
"""Least seconds between two reports and between two checkpoints in the middle of an epoch."""


class Reporter(Protocol):
    """Where a training says what it does."""

    def event(self, kind: str, **values: Any) -> None: ...

    def status(self, **changes: Any) -> None: ...


@dataclass
class Progress:
    """Where a training stands; everything here is in the checkpoint."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    elapsed: float = 0.0
    loss_sum: float = 0.0
    best: float = -math.inf
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Learner:
    """The things that learn: network, its running average, optimiser, gradient scaler."""

    model: torch.nn.Module
    averaged: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    precision: Precision

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


@dataclass(frozen=True)
class Material:
    """What is learnt from."""

    train: list[TrainingFrame]
    validation: list[TrainingFrame]
    channels: Channels
    normalization: Normalization
    decoding: segmentation.Decoding


@dataclass(frozen=True)
class Job:
    """What was asked for, and where its results go: the run folder, and `models/<model_name>`."""

    project: Project
    config: TrainConfig
    run: RunFolder
    model_name: str
    reporter: Reporter


def train(job: Job, *, should_stop: Callable[[], bool] = lambda: False, started: float | None = None) -> str:
    """Train until the epochs, the minutes or a stop request end it; the best weights become the model.

    A run folder with a checkpoint is continued where it stopped. Returns "finished" or "stopped"; a stopped run can be
    resumed. `started` (time.monotonic) is when the wall time of `max_minutes` began.
    """
    config, run = job.config, job.run
    clock = _Clock(config, time.monotonic() if started is None else started)
    material = prepare(job)
    learner = build(config, spec_of(job, material))
    progress = Progress()
    if run.last_checkpoint.exists():
        saved = load_checkpoint(run.last_checkpoint)
        learner.load(saved["learner"])
        progress = Progress(**saved["progress"])
        clock.before = progress.elapsed
    loader = _Loader(job, material.train, learner.device)
    saver = _Saver(run, learner, progress, clock)
    announce(job, material, learner, progress, loader.steps)

    while progress.epoch < config.epochs and not clock.over():
        for batch in loader.batches(progress.epoch, progress.step):
            done = loader.share(progress)
            rate = learning_rate(config, max(done, clock.share()))
            progress.loss_sum += step(learner, batch, config, rate, loader.steps_done(progress))
            progress.step += 1
            loader.report(progress, clock, rate)
            if should_stop():
                saver.save()
                export(job, material, progress)
                return "stopped"
            if clock.over():
                break
            saver.save_now_and_then()
        finish_epoch(job, material, learner, progress, clock)
        job.reporter.status(step=loader.steps_done(progress))
        saver.save()
    export(job, material, progress)
    return "finished"


def announce(job: Job, material: Material, learner: Learner, progress: Progress, steps: int) -> None:
    """Say what is about to be learnt, and on what."""
    device = device_name(learner.device)
    job.reporter.event(
        "start", epochs=job.config.epochs, steps_per_epoch=steps, device=device,
        images=len(material.train), validation_images=len(material.validation),
    )  # fmt: skip
    job.reporter.status(
        state="running", device=device, epochs=job.config.epochs, steps=job.config.epochs * steps,
        epoch=progress.epoch, step=progress.epoch * steps + progress.step,
    )  # fmt: skip


def prepare(job: Job) -> Material:
    """Read and split the labelled frames."""
    project, config = job.project, job.config
    if project.task != "segmentation":
        raise MiaError(f"project {project.name} is of task {project.task}; this version trains segmentation only")
    frames = labelled_frames(project)
    if not frames:
        raise MiaError(
            f"project {project.name} has no labels to learn from. Import some: mia-tui import {project.folder} ..."
        )
    train_frames, held = split_frames(frames, config.validation, config.seed)
    channels = choose_channels(project, list({ref.key: ref for ref, _ in frames}.values()), config.channels)
    normalization = Normalization()
    loaded = list(load_frames(project, train_frames, channels, config, normalization))
    validation = list(load_frames(project, held, channels, config, normalization, with_truth=True))
    areas = [area for frame in loaded for area in frame.areas]
    if not areas:
        raise MiaError("the training images hold no labelled object. Label some, or lower the validation share.")
    if not validation:
        job.reporter.event("message", text="no validation image: the last weights are kept, not the best")
    decoding = segmentation.with_min_size(segmentation.Decoding(config.touching), areas)
    return Material(loaded, validation, channels, normalization, decoding)


def spec_of(job: Job, material: Material) -> networks.NetworkSpec:
    """The network that the job asks for."""
    config = job.config
    outputs = segmentation.output_channels(len(job.project.classes), config.touching)
    inputs = material.channels.count
    return networks.make_spec(config.architecture, config.encoder, inputs, outputs, config.decoder_channels)


def build(config: TrainConfig, spec: networks.NetworkSpec) -> Learner:
    """Network, optimiser and precision, seeded."""
    set_threads(config.threads)
    device = pick_device(config.device)
    precision = pick_precision(device, config.amp)
    torch.manual_seed(config.seed)
    model = networks.build_network(spec)
    if config.encoder_weights:
        model = networks.load_encoder_weights(spec, config.encoder_weights, model)
    model = networks.place(model, device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    scaler = torch.amp.GradScaler(device.type, enabled=precision.scaler)
    return Learner(model, copy.deepcopy(model).eval(), optimizer, scaler, device, precision)


def step(learner: Learner, batch: dict[str, torch.Tensor], config: TrainConfig, rate: float, number: int) -> float:
    """Optimiser step `number`; the loss of the batch."""
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    device = learner.device
    image = batch["image"].to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
    target = batch["target"].to(device, non_blocking=True)
    weights = batch["weights"].to(device, non_blocking=True) if "weights" in batch else None
    learner.model.train()
    with learner.precision.autocast():
        logits = learner.model(image)
    loss = segmentation_loss(logits, target, weights, cross_entropy=config.cross_entropy, dice=config.dice)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise MiaError("the loss is no longer a number. Lower the learning rate, e.g. --set learning_rate=0.0005")
    learner.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(learner.scaler.scale(loss))
    learner.scaler.unscale_(learner.optimizer)
    torch.nn.utils.clip_grad_norm_(learner.model.parameters(), 5.0, foreach=True)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    # while few steps are done, remember fewer of them, or the random start would linger
    average(learner, min(config.ema, (1 + number) / (10 + number)) if config.ema else 0.0)
    return value


@torch.no_grad()
def average(learner: Learner, decay: float) -> None:
    """Move the averaged weights towards the present ones: a <- decay a + (1 - decay) w; integers are copied."""
    own, new = learner.averaged.state_dict(), learner.model.state_dict()
    floats = [key for key, value in own.items() if value.dtype.is_floating_point]
    torch._foreach_lerp_([own[key] for key in floats], [new[key] for key in floats], 1 - decay)
    for key in own.keys() - set(floats):
        own[key].copy_(new[key])


def learning_rate(config: TrainConfig, done: float) -> float:
    """Linear warm-up over `warmup`, then a cosine to a hundredth; `done` is the share of the training behind us."""
    if done < config.warmup:
        return config.learning_rate * max(done / config.warmup, 0.02)
    fall = (min(done, 1.0) - config.warmup) / (1 - config.warmup)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * fall)) / 2)


def finish_epoch(job: Job, material: Material, learner: Learner, progress: Progress, clock: "_Clock") -> None:
    """Validate, keep the weights when they are the best so far, draw the preview, report."""
    began = time.monotonic()
    predictor = Predictor(card_of(job, material, progress), learner.averaged, device=str(learner.device))
    metrics: dict[str, float] = {}
    loss: float | None = None
    if material.validation:
        scores, loss = validate(predictor, material.validation, len(job.project.classes))
        metrics = headline(scores)
    value = metrics.get("ap", float(progress.epoch))
    best = value >= progress.best
    number = progress.epoch + 1
    if best:
        progress.best, progress.best_epoch, progress.best_metrics = value, number, metrics
        save_checkpoint(job.run.best_checkpoint, {"model": learner.averaged.state_dict()})
    shown = (material.validation or material.train)[0]
    picture = job.run.path / "preview" / f"epoch_{number:04d}.png"
    write_preview(picture, predictor, shown)
    train_loss = progress.loss_sum / max(progress.step, 1)
    record = {"epoch": number, "train_loss": train_loss, "val_loss": loss, "metrics": metrics, "best": best}
    progress.history.append(record)
    progress.epoch, progress.step, progress.loss_sum = number, 0, 0.0
    clock.validation = time.monotonic() - began
    eta = clock.eta(number / job.config.epochs)
    job.reporter.event("epoch", **record, eta_s=eta)
    job.reporter.event("preview", epoch=number, file=f"preview/{picture.name}", image=shown.key)
    job.reporter.status(epoch=number, eta_s=eta)


def card_of(job: Job, material: Material, progress: Progress) -> ModelCard:
    """The model card of the weights kept so far."""
    return ModelCard(
        task=job.project.task,
        classes=tuple((c.name, c.color) for c in job.project.classes),
        network=spec_of(job, material),
        channels=material.channels,
        normalization=material.normalization,
        decoding=material.decoding,
        tiling=Tiling(size=max(512, job.config.patch_size), least=job.config.patch_size),
        pixel_size=job.project.pixel_size,
        training={
            "run": job.run.id,
            "config": job.config.model_dump(),
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "seconds": round(progress.elapsed, 1),
            "train_images": sorted({f.key for f in material.train}),
            "validation_images": sorted({f.key for f in material.validation}),
            "objects": sum(len(f.areas) for f in material.train),
        },
        metrics=progress.best_metrics,
    )


def export(job: Job, material: Material, progress: Progress) -> None:
    """Write the best weights as the model; nothing before the first epoch is through."""
    if job.run.best_checkpoint.exists():
        state = load_checkpoint(job.run.best_checkpoint)["model"]
        save_model(job.project.models_folder / job.model_name, card_of(job, material, progress), state)
        job.reporter.event("model", name=job.model_name)


class _Clock:
    """Wall time of a training over all its resumes, and how much of `max_minutes` is used."""

    def __init__(self, config: TrainConfig, started: float) -> None:
        self.started = started
        self.before = 0.0
        self.validation = 0.0
        self.budget = None if config.max_minutes is None else config.max_minutes * 60

    def elapsed(self) -> float:
        return self.before + time.monotonic() - self.started

    def share(self) -> float:
        """Used part of the budget, 0 without one. Time for the last validation and the export is set aside."""
        if self.budget is None:
            return 0.0
        return self.elapsed() / max(self.budget - 1.5 * self.validation - 5, 1)

    def over(self) -> bool:
        return self.share() >= 1

    def eta(self, done: float) -> float | None:
        """Seconds left, from the share `done` of the epochs or of the budget, whichever ends first."""
        share = max(done, self.share())
        return None if share <= 0 else round(self.elapsed() * (1 - min(share, 1)) / share, 1)


class _Loader:
    """Batches of patches, and the speed at which they are learnt."""

    def __init__(self, job: Job, frames: list[TrainingFrame], device: torch.device) -> None:
        config = job.config
        cover = math.ceil(tiles_per_epoch(frames, config.patch_size) / config.batch_size)
        self.steps = config.steps_per_epoch or max(MIN_STEPS, cover)
        self.patches = Patches(frames, config, self.steps)
        self.job = job
        self.device = device
        automatic = min(torch.get_num_threads(), 8) if device.type == "cuda" else 0
        self.workers = automatic if config.workers is None else config.workers
        self._reported = time.monotonic()
        self._since = 0

    def steps_done(self, progress: Progress) -> int:
        return progress.epoch * self.steps + progress.step

    def share(self, progress: Progress) -> float:
        """Share of all steps that is done."""
        return self.steps_done(progress) / (self.job.config.epochs * self.steps)

    def batches(self, epoch: int, skip: int) -> Iterator[dict[str, torch.Tensor]]:
        """Batches of one epoch, without the first `skip`."""
        self.patches.epoch = epoch
        size = self.job.config.batch_size
        yield from torch.utils.data.DataLoader(
            self.patches, batch_size=size, sampler=range(skip * size, self.steps * size), num_workers=self.workers,
            pin_memory=self.device.type == "cuda", multiprocessing_context="fork" if self.workers else None,
        )  # fmt: skip

    def report(self, progress: Progress, clock: _Clock, rate: float) -> None:
        """Report loss and speed, at most every `REPORT_S` seconds."""
        self._since += 1
        passed = time.monotonic() - self._reported
        if passed < REPORT_S:
            return
        speed = self._since * self.job.config.batch_size / passed
        self._reported, self._since = time.monotonic(), 0
        done = self.steps_done(progress)
        self.job.reporter.event(
            "step", step=done, epoch=progress.epoch + 1, loss=progress.loss_sum / progress.step, lr=rate,
            samples_per_s=round(speed, 2), memory_mb=round(peak_memory_mb(self.device)),
        )  # fmt: skip
        self.job.reporter.status(step=done, epoch=progress.epoch, eta_s=clock.eta(self.share(progress)))


class _Saver:
    """Writes `last.pt`, not so often that it costs more than a few percent."""

    def __init__(self, run: RunFolder, learner: Learner, progress: Progress, clock: _Clock) -> None:
        self.run, self.learner, self.progress, self.clock = run, learner, progress, clock
        self._saved = time.monotonic()

    def save(self) -> None:
        self.progress.elapsed = self.clock.elapsed()
        save_checkpoint(
            self.run.last_checkpoint, {"learner": self.learner.state(), "progress": vars(self.progress).copy()}
        )
        self._saved = time.monotonic()

    def save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > SAVE_S:
            self.save()
