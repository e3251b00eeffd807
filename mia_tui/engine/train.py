"""Training: one loop to read from top to bottom."""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from mia_tui.engine.batch_size import choose_batch_size
from mia_tui.engine.bundle import ModelCard, save_model
from mia_tui.engine.checkpoint import load_checkpoint, save_checkpoint
from mia_tui.engine.clock import Clock
from mia_tui.engine.config import TrainConfig, rate_of
from mia_tui.engine.device import device_name, peak_memory_mb
from mia_tui.engine.evaluate import validate
from mia_tui.engine.learner import Learner, build, start_torch, step
from mia_tui.engine.loader import Loader
from mia_tui.engine.material import Material, prepare
from mia_tui.engine.networks import build_network
from mia_tui.engine.patches import Item
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.preview import write_preview
from mia_tui.engine.schedules import EarlyStopping, Plateau, learning_rate
from mia_tui.engine.start import first_weights
from mia_tui.engine.tiling import Tiling
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder

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
    """Batches done in this epoch."""
    elapsed: float = 0.0
    loss_sum: float = 0.0
    batch_size: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    plateau: dict[str, Any] = field(default_factory=dict)
    early: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """What was asked for, and where its results go: the run folder, and `models/<model_name>`."""

    project: Project
    config: TrainConfig
    run: RunFolder
    model_name: str
    reporter: Reporter

    @property
    def class_count(self) -> int:
        return len(self.project.classes)


def train(job: Job, *, should_stop: Callable[[], bool] = lambda: False, started: float | None = None) -> str:
    """Train until the epochs, the minutes, early stopping or a stop request end it; the best weights become the model.

    A run folder with a checkpoint is continued where it stopped; with more epochs than before it is extended. Returns
    "finished" or "stopped"; a stopped run can be resumed. `started` (time.monotonic) is when the wall time of
    `max_minutes` began.
    """
    clock = Clock(job.config.max_minutes, time.monotonic() if started is None else started)
    start_torch(job.config)
    material = prepare(job.project, job.config)
    learner, progress, job = begin(job, material, clock)
    config = job.config
    loader = Loader(material, config, job.class_count, learner.device)
    saver = _Saver(job.run, learner, progress, clock)
    speed = _Speed(job, loader)
    announce(job, material, learner, progress, loader.steps)

    while progress.epoch < config.epochs and not clock.over() and not _stale(config, progress):
        learner.freeze(progress.epoch < config.frozen_epochs)
        for batches in grouped(loader.batches(progress.epoch, progress.step), config.accumulate):
            rate = rate_now(config, progress, loader.steps, clock)
            step(learner, batches, rate, (progress.epoch * loader.steps + progress.step) // config.accumulate)
            progress.step += len(batches)
            speed.report(progress, clock, learner, rate)
            if should_stop():
                saver.save()
                export(job, material, progress)
                return "stopped"
            if clock.over():
                break
            saver.save_now_and_then()
        finish_epoch(job, material, learner, progress, clock)
        job.reporter.status(step=progress.epoch * loader.steps)
        saver.save()
    export(job, material, progress)
    return "finished"


def begin(job: Job, material: Material, clock: Clock) -> tuple[Learner, Progress, Job]:
    """The learner and progress at the start, or where a checkpoint left them; the job with its batch size."""
    config, progress, saved = job.config, Progress(), None
    if job.run.last_checkpoint.exists():
        saved = load_checkpoint(job.run.last_checkpoint)
        progress = Progress(**saved["progress"])
        clock.before = progress.elapsed
    # a run that goes on has its weights: those that it started with need not be there any more
    started = first_weights(job.project, config, material.spec) if saved is None else None
    model, note = started or (build_network(material.spec), "")
    learner = build(config, material.task, material.spec, model)
    size = config.batch_size or progress.batch_size or choose_batch_size(learner, material, config, job.class_count)
    progress.batch_size = size
    job = replace(job, config=config.model_copy(update={"batch_size": size}))
    if material.class_weights is not None:
        learner.class_weights = torch.tensor(material.class_weights, device=learner.device)
    if saved is not None:
        learner.load(saved["learner"])
    elif note:
        job.reporter.event("message", text=note)
    if config.batch_size is None:
        job.reporter.event("message", text=f"batch size {size}: what the memory takes")
    return learner, progress, job


def announce(job: Job, material: Material, learner: Learner, progress: Progress, steps: int) -> None:
    """Say what is about to be learnt, and on what."""
    device = device_name(learner.device)
    if not material.validation:
        job.reporter.event("message", text="no validation image: the last weights are kept, not the best")
    job.reporter.event(
        "start", epochs=job.config.epochs, steps_per_epoch=steps, device=device,
        images=len(material.train), validation_images=len(material.validation),
    )  # fmt: skip
    job.reporter.status(
        state="running", device=device, epochs=job.config.epochs, steps=job.config.epochs * steps,
        epoch=progress.epoch, step=progress.epoch * steps + progress.step,
    )  # fmt: skip


def grouped(batches: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` batches; the last one may be shorter."""
    iterator = iter(batches)
    while group := list(itertools.islice(iterator, size)):
        yield group


def rate_now(config: TrainConfig, progress: Progress, steps: int, clock: Clock) -> float:
    """The learning rate of the next step."""
    done = (progress.epoch * steps + progress.step) / (config.epochs * steps)
    if config.schedule != "step":  # steps are counted in epochs, also when the minutes end first
        done = max(done, clock.share())
    rate = learning_rate(
        config.schedule, rate_of(config), done, warmup=config.warmup,
        step_every=config.step_epochs / config.epochs, step_factor=config.rate_factor,
    )  # fmt: skip
    return rate * Plateau(**progress.plateau).multiplier if progress.plateau else rate


def finish_epoch(job: Job, material: Material, learner: Learner, progress: Progress, clock: Clock) -> None:
    """Validate, keep the weights when they are the best so far, draw the preview, report."""
    began = time.monotonic()
    progress.loss_sum += learner.take_losses()  # first: when it is no number, the best weights stay as they are
    config, task, number = job.config, material.task, progress.epoch + 1
    predictor = Predictor(card_of(job, material, progress), learner.averaged, device=str(learner.device))
    metrics: dict[str, float] = {}
    loss: float | None = None
    decoding = material.decoding
    if material.validation:
        metrics, loss, decoding = validate(predictor, material.validation, config, job.class_count)
        predictor.card = replace(predictor.card, decoding=decoding)
    value = metrics.get(task.headline, float(progress.epoch))
    best = value >= progress.best
    if best:
        progress.best, progress.best_epoch, progress.best_metrics = value, number, metrics
        state = {"model": learner.averaged.state_dict(), "decoding": task.decoding_to_json(decoding)}
        save_checkpoint(job.run.best_checkpoint, state)
    _watch(config, progress, value, bool(metrics))
    shown = (material.validation or material.train)[0]
    picture = job.run.path / "preview" / f"epoch_{number:04d}.png"
    write_preview(picture, predictor, shown)
    train_loss = progress.loss_sum / max(progress.step, 1)
    record = {"epoch": number, "train_loss": train_loss, "val_loss": loss, "metrics": metrics, "best": best}
    progress.history.append(record)
    progress.epoch, progress.step, progress.loss_sum = number, 0, 0.0
    clock.validation = time.monotonic() - began
    eta = clock.eta(number / config.epochs)
    headline = {"value": value, "value_name": task.headline} if metrics else {}
    job.reporter.event("epoch", **record, **headline, eta_s=eta)
    job.reporter.event("preview", epoch=number, file=f"preview/{picture.name}", image=shown.key)
    job.reporter.status(epoch=number, eta_s=eta)


def _watch(config: TrainConfig, progress: Progress, value: float, validated: bool) -> None:
    """Let the plateau schedule and early stopping see the validation of an epoch."""
    if not validated:
        return
    if config.schedule == "plateau":
        plateau = Plateau(**progress.plateau) if progress.plateau else Plateau(config.rate_factor, config.patience)
        progress.plateau = plateau.update(value).to_json()
    if config.stop_after:
        early = replace(EarlyStopping(**progress.early), patience=config.stop_after)  # an extension may change it
        progress.early = early.update(value).to_json()


def _stale(config: TrainConfig, progress: Progress) -> bool:
    """Whether early stopping ends the training."""
    return replace(EarlyStopping(**progress.early), patience=config.stop_after).over


def card_of(job: Job, material: Material, progress: Progress, decoding: Any = None) -> ModelCard:
    """The model card of the weights kept so far."""
    config = job.config
    return ModelCard(
        task=job.project.task,
        classes=tuple((c.name, c.color) for c in job.project.classes),
        network=material.spec,
        inputs=material.inputs,
        normalization=material.normalization,
        decoding=material.decoding if decoding is None else decoding,
        tiling=tiling_of(config, material),
        image_size=None if material.task.dense else config.image_size,
        pixel_size=job.project.pixel_size,
        training={
            "run": job.run.id,
            "config": config.model_dump(),
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "seconds": round(progress.elapsed, 1),
            "train_images": sorted({f.key for f in material.train}),
            "validation_images": sorted({f.key for f in material.validation}),
            "objects": sum(f.annotation.count for f in material.train),
        },
        metrics=progress.best_metrics,
    )


def tiling_of(config: TrainConfig, material: Material) -> Tiling:
    """Tiles larger than the patches, for speed, but for networks that take one size only."""
    own = material.spec.image_size
    size = own or max(512, config.patch_size)
    return Tiling(size=size, overlap=min(64, size // 2), least=own or config.patch_size)


def export(job: Job, material: Material, progress: Progress) -> None:
    """Write the best weights as the model; nothing before the first epoch is through."""
    if not job.run.best_checkpoint.exists():
        return
    best = load_checkpoint(job.run.best_checkpoint)
    card = card_of(job, material, progress, material.task.decoding_from_json(best["decoding"]))
    card.training["data"] = material.fingerprint()
    save_model(job.project.models_folder / job.model_name, card, best["model"])
    job.reporter.event("model", name=job.model_name)


class _Speed:
    """Reports loss and speed: the first step at once, then at most every `REPORT_S` seconds."""

    def __init__(self, job: Job, loader: Loader) -> None:
        self.job, self.loader = job, loader
        self._reported = time.monotonic()
        self._since = 0
        self._silent = True

    def report(self, progress: Progress, clock: Clock, learner: Learner, rate: float) -> None:
        self._since += self.job.config.accumulate
        passed = time.monotonic() - self._reported
        if passed < REPORT_S and not self._silent:
            return
        samples = self._since * self.loader.batch_size / passed
        self._reported, self._since, self._silent = time.monotonic(), 0, False
        done = progress.epoch * self.loader.steps + progress.step
        progress.loss_sum += learner.take_losses()
        self.job.reporter.event(
            "step", step=done, epoch=progress.epoch + 1, loss=progress.loss_sum / progress.step, lr=rate,
            samples_per_s=round(samples, 2), memory_mb=round(peak_memory_mb(learner.device)),
        )  # fmt: skip
        eta = clock.eta(done / (self.job.config.epochs * self.loader.steps))
        self.job.reporter.status(step=done, epoch=progress.epoch, eta_s=eta)


class _Saver:
    """Writes `last.pt`, not so often that it costs more than a few percent."""

    def __init__(self, run: RunFolder, learner: Learner, progress: Progress, clock: Clock) -> None:
        self.run, self.learner, self.progress, self.clock = run, learner, progress, clock
        self._saved = time.monotonic()

    def save(self) -> None:
        self.progress.loss_sum += self.learner.take_losses()
        self.progress.elapsed = self.clock.elapsed()
        save_checkpoint(
            self.run.last_checkpoint, {"learner": self.learner.state(), "progress": vars(self.progress).copy()}
        )
        self._saved = time.monotonic()

    def save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > SAVE_S:
            self.save()
