"""What a training learns from: frames read and split, and what is derived from them before the first step."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mia_tui.engine.config import TrainConfig, check_for_task, class_weights_of, encoder_of
from mia_tui.engine.data import TrainingFrame, fit_normalization, load_frames, with_limits
from mia_tui.engine.inputs import Inputs, choose_inputs
from mia_tui.engine.losses.class_weights import auto_weights
from mia_tui.engine.networks import CLASSIFIER, NetworkSpec, check_image_size, make_spec
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.planes import PlaneCache
from mia_tui.engine.splits import labelled_frames, split_frames
from mia_tui.engine.tasks import Task, get_task
from mia_tui.errors import MiaError
from mia_tui.project import Project


@dataclass(frozen=True)
class Material:
    """What is learnt from, and how it is seen.

    `decoding` is that of the task; `class_weights` one number per output class or None; `rgb` whether the network sees
    colour.
    """

    task: Task
    train: list[TrainingFrame]
    validation: list[TrainingFrame]
    inputs: Inputs
    normalization: Normalization
    spec: NetworkSpec
    decoding: Any
    class_weights: list[float] | None
    rgb: bool

    def fingerprint(self) -> dict[str, str]:
        """Hash of the pixels and the annotation of each frame, so that a model says what exactly it learnt from."""
        return {frame.name: _digest(frame) for frame in [*self.train, *self.validation]}


def prepare(project: Project, config: TrainConfig) -> Material:
    """Read and split the labelled frames.

    Raises
    ------
    MiaError
        When the settings do not fit the task, when there is nothing to learn from, when images or labels do not go
        together.
    """
    task = get_task(project.task)
    check_for_task(config, project.task, len(project.classes))
    listed = labelled_frames(project)
    if not listed:
        raise MiaError(
            f"project {project.name} has no labels to learn from. Import some: mia-tui import {project.folder} ..."
        )
    train_frames, held = split_frames(listed, config)
    inputs, rgb = choose_inputs(project, listed, config)
    cache = PlaneCache(config.cache_gb)
    train = load_frames(project, train_frames, task, inputs, config, cache)
    validation = load_frames(project, held, task, inputs, config, cache)
    _check_labels(task, train, len(project.classes))
    spec = spec_of(task, config, inputs, len(project.classes))
    normalization = fit_normalization(config, train, spec)
    return Material(
        task, with_limits(train, normalization), with_limits(validation, normalization), inputs, normalization, spec,
        task.decoding(config, [frame.annotation for frame in train]),
        _class_weights(task, config, train, len(project.classes)), rgb,
    )  # fmt: skip


def spec_of(task: Task, config: TrainConfig, inputs: Inputs, class_count: int) -> NetworkSpec:
    """The network that the settings ask for, which takes images of the size of the patches.

    Raises
    ------
    MiaError
        When it does not.
    """
    size = config.patch_size if task.dense else config.image_size
    spec = make_spec(
        config.architecture if task.dense else CLASSIFIER, encoder_of(config, task.name), inputs.channels,
        task.outputs(config, class_count), config.decoder_channels, image_size=size, dropout=config.dropout,
    )  # fmt: skip
    check_image_size(spec, size, size, config.batch_size)
    return spec


def _check_labels(task: Task, frames: Sequence[TrainingFrame], class_count: int) -> None:
    """There must be something to learn."""
    if not any(frame.annotation.count for frame in frames):
        raise MiaError(
            "the training images hold no labelled object. Label some, or lower the validation share."
            if task.dense else
            "no training image has a class. Give classes to some (g l), or lower the validation share."
        )  # fmt: skip
    seen = {int(number) for frame in frames for number in frame.annotation.classes if number}
    if not task.dense and len(seen) < 2:
        raise MiaError(
            f"the training images are all of one class (of {class_count}): there is nothing to tell apart. Label "
            "images of the others, or lower the validation share."
        )


def _class_weights(
    task: Task, config: TrainConfig, frames: Sequence[TrainingFrame], class_count: int
) -> list[float] | None:
    if config.class_weights != "auto":
        weights = class_weights_of(config, task.name, class_count)
        if weights is not None and task.outputs(config, class_count) > len(weights) and config.touching == "border":
            weights = [*weights, 1.0]  # the border
        return weights
    counts = sum((task.class_counts(frame.annotation, config, class_count) for frame in frames), np.zeros(1))
    return [float(weight) for weight in auto_weights(counts)]


def _digest(frame: TrainingFrame) -> str:
    digest = hashlib.blake2b(digest_size=12)
    annotation = frame.annotation
    for array in (frame.plane, annotation.labels, annotation.points, annotation.classes, annotation.known):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
