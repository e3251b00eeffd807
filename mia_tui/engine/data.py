"""Labelled frames as training data: the image decoded once, the labels turned into arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely.affinity
from numpy.typing import NDArray

from mia_tui.engine.fitting import fit
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.networks import NetworkSpec
from mia_tui.engine.normalize import SAMPLES, Normalization, sample
from mia_tui.engine.options import TrainConfig
from mia_tui.engine.planes import PlaneCache
from mia_tui.engine.splits import Frame
from mia_tui.engine.tasks import Annotation, Task
from mia_tui.errors import MiaError
from mia_tui.imaging.image import ImageInfo, open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import area_mask
from mia_tui.labeling.store import read_frame
from mia_tui.project import LabelClass, Project

POOLED = 2**24
"""Percentiles of all training frames together come from at most about this many pixels: thousands of frames fit."""


@dataclass(frozen=True)
class TrainingFrame:
    """One labelled frame.

    `plane` is (C, Y, X) with the values of the file at the size that the network sees, in memory or memory-mapped;
    `limits` (C, 2) what becomes 0 and 1; `annotation` of the same size.
    """

    key: str
    frame: str
    plane: NDArray[Any]
    limits: NDArray[np.float32]
    annotation: Annotation

    @property
    def shape(self) -> tuple[int, int]:
        return self.plane.shape[1], self.plane.shape[2]

    @property
    def name(self) -> str:
        """For reports."""
        return frame_title(self.key, self.frame)


def frame_title(key: str, frame: str) -> str:
    return key if frame == "image" else f"{key} {frame}"


def load_frames(
    project: Project, frames: Sequence[Frame], task: Task, inputs: Inputs, config: TrainConfig, cache: PlaneCache
) -> list[TrainingFrame]:
    """Read labelled frames. Their limits are still empty: `with_limits` sets them.

    Frames without anything for this task (an image without a class, in classification) are left out.

    Raises
    ------
    MiaError
        When labels were made for an image of another size.
    """
    loaded = []
    for ref, frame in frames:
        labels = read_frame(project.labels_path(ref.key, frame))
        if labels is None:
            continue
        with open_ref(project, ref) as image:
            check_size(labels, image.info, project.labels_path(ref.key, frame))
            annotation = annotate(task, labels, inputs.size(labels.height, labels.width), project.classes)
            if annotation is None:
                continue
            if task.dense:
                plane = cache.read(image, ref, frame, inputs)
            else:  # only the small picture is kept
                plane = cache.keep(fit(inputs.read(image, frame, ref.key), config.image_size))
        if annotation.labels is not None:
            annotation = replace(annotation, labels=cache.keep(annotation.labels))
        loaded.append(TrainingFrame(ref.key, frame, plane, np.empty((0, 2), np.float32), annotation))
    return loaded


def check_size(labels: FrameLabels, info: ImageInfo, path: Path) -> None:
    """Refuse labels (of the file `path`) that were made for an image of another size.

    Raises
    ------
    MiaError
        When they were.
    """
    height, width = info.sizes[3:]
    if (labels.height, labels.width) != (height, width):
        raise MiaError(
            f"{path} was made for {labels.height} x {labels.width} pixels, but {info.path} has {height} x {width}. "
            "Is it another image?"
        )


def annotate(
    task: Task, labels: FrameLabels, shape: tuple[int, int], classes: Sequence[LabelClass]
) -> Annotation | None:
    """The labels of a frame as arrays of `shape`, which may be smaller than the frame."""
    scaled = scaled_labels(labels, shape)
    annotation = task.annotate(scaled, classes)
    if annotation is None or not task.dense:  # the class of an image holds for all of it
        return annotation
    return replace(annotation, known=area_mask(scaled))


def scaled_labels(labels: FrameLabels, shape: tuple[int, int]) -> FrameLabels:
    """The same objects and areas on a frame of another size."""
    if (labels.height, labels.width) == shape:
        return labels
    y, x = shape[0] / labels.height, shape[1] / labels.width

    def scaled(item: LabelObject) -> LabelObject:
        return replace(item, geometry=shapely.affinity.scale(item.geometry, x, y, origin=(0, 0)))

    areas = tuple(shapely.affinity.scale(area, x, y, origin=(0, 0)) for area in labels.areas)
    objects = {number: scaled(item) for number, item in labels.objects.items()}
    return replace(labels, height=shape[0], width=shape[1], objects=objects, areas=areas)


def fit_normalization(
    config: TrainConfig, frames: Sequence[TrainingFrame], spec: NetworkSpec | None = None
) -> Normalization:
    """The normalisation that the settings ask for; the last step of `imagenet` only for the `spec` of a network.

    With normalization=dataset the percentiles are those of the values of all training frames together.
    """
    kind, low, high = config.normalization, config.low_percentile, config.high_percentile
    plain = Normalization(low, high, kind)
    if kind == "dataset":
        own = len(frames[0].plane) // (2 * config.neighbours + 1)
        most = min(SAMPLES, max(POOLED / len(frames), 1000))
        pooled = [np.concatenate([sample(frame.plane[c], most) for frame in frames]) for c in range(own)]
        limits = [np.percentile(values, [low, high]) if values.size else (0.0, 1.0) for values in pooled]
        return replace(plain, fixed=tuple((float(a), float(b)) for a, b in limits))
    if kind == "imagenet" and spec is not None:
        from mia_tui.engine.weights import input_statistics  # imports timm

        mean, deviation = input_statistics(spec)
        return replace(plain, mean=mean, std=deviation)
    return plain


def with_limits(frames: Sequence[TrainingFrame], normalization: Normalization) -> list[TrainingFrame]:
    """The frames with the limits that the normalisation gives them."""
    return [replace(frame, limits=normalization.limits(frame.plane)) for frame in frames]
