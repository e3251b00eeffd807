"""Segmentation: what the network is asked to paint, and how objects are read from what it painted.

The first output channels are a softmax over background, one class each (its inside, with touching = "border") and with
"border" one common border. With "distance" and "flow" further channels follow, which part touching objects; with "off"
touching objects fuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.analysis.matching import THRESHOLDS, Matching, match, pool
from mia_tui.analysis.scores import class_report, instance_report
from mia_tui.analysis.semantic import confusion_matrix
from mia_tui.engine.config import TrainConfig, loss_of
from mia_tui.engine.losses.pixel import pixel_loss
from mia_tui.engine.losses.regression import FLOW_SCALE, distance_loss, flow_loss
from mia_tui.engine.separation import border, distance, flow
from mia_tui.engine.separation.basins import renumber
from mia_tui.engine.separation.blocks import summed
from mia_tui.engine.separation.border import border_mask, border_weights, rim_distance
from mia_tui.engine.tasks.files import narrow, write_tiff
from mia_tui.engine.tasks.task import FOUND, IGNORED, TRUTH, Annotation, Batch, Maps, Task, class_numbers
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import label_image, shapes_from_labels
from mia_tui.project import LabelClass

EXTRA = {"border": 0, "off": 0, "distance": distance.CHANNELS, "flow": flow.CHANNELS}
"""Output channels behind the classes."""

OPTIONS: dict[str, type[Any]] = {"border": border.Options, "distance": distance.Options, "flow": flow.Options}


@dataclass(frozen=True)
class Decoding:
    """How maps become objects: the way touching ones are parted, the smallest area in pixels to believe in, and the
    options of the way (its defaults when none are given; None with "off")."""

    touching: str = "border"
    min_size: int = 10
    options: Any = None

    def __post_init__(self) -> None:
        if self.options is None and self.touching != "off":
            object.__setattr__(self, "options", OPTIONS[self.touching]())


@dataclass(frozen=True)
class Objects:
    """Decoded objects of one frame: a label image, and by object id (index 0 is background) its class and score."""

    labels: NDArray[np.int32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class FrameScore:
    """Matchings at `THRESHOLDS` and the confusion of classes of one frame."""

    name: str
    matchings: tuple[Matching, ...]
    confusion: NDArray[np.int64]


class SegmentationTask(Task):
    name = "segmentation"
    dense = True
    headline = "ap"

    # ---- before training

    def annotate(self, labels: FrameLabels, classes: Sequence[LabelClass]) -> Annotation:
        listed = list(labels.objects.values())
        numbered = [replace(item, id=number) for number, item in enumerate(listed, 1)]
        numbers = np.concatenate([np.zeros(1, np.uint8), class_numbers(listed, classes)])
        return Annotation(numbers, labels=label_image(numbered, (labels.height, labels.width)))

    def outputs(self, config: TrainConfig, class_count: int) -> int:
        return 1 + class_count + (config.touching == "border") + EXTRA[config.touching]

    def decoding(self, config: TrainConfig, annotations: Sequence[Annotation]) -> Decoding:
        areas = [np.bincount(np.asarray(a.labels).ravel())[1:] for a in annotations]
        size = smallest_size(np.concatenate(areas) if areas else np.empty(0))
        return Decoding(config.touching, size, _options(config.touching, size))

    def decoding_from_json(self, values: dict[str, Any]) -> Decoding:
        touching, size = values["touching"], values["min_size"]
        options = values.get("options")
        if "inside" in values:  # model files of version 0.1
            options = {key: values[key] for key in ("foreground", "inside", "min_seed", "waist")}
        if options is None or touching == "off":
            return Decoding(touching, size)
        return Decoding(touching, size, OPTIONS[touching](**options))

    def class_counts(self, annotation: Annotation, config: TrainConfig, class_count: int) -> NDArray[np.float64]:
        target = paint(annotation, config, class_count)
        channels = 1 + class_count + (config.touching == "border")
        return np.bincount(target[target != IGNORED], minlength=channels).astype(float)

    # ---- training

    def target(
        self, annotation: Annotation, shape: tuple[int, int], config: TrainConfig, class_count: int
    ) -> dict[str, NDArray[Any]]:
        labels = annotation.labels
        assert labels is not None
        target: dict[str, NDArray[Any]] = {"target": paint(annotation, config, class_count).astype(np.int64)}
        if config.border_weight > 0:
            target["weights"] = border_weights(labels, config.border_weight, config.border_sigma)
        if config.touching == "distance":
            target["distance"] = distance.target(labels)
        elif config.touching == "flow":
            target["flow"] = flow.target(labels)
        return target

    def loss(
        self, output: torch.Tensor, batch: Batch, config: TrainConfig, class_weights: torch.Tensor | None
    ) -> torch.Tensor:
        classes = output.shape[1] - EXTRA[config.touching]
        target = batch["target"]
        loss = pixel_loss(
            output[:, :classes], target, loss_of(config, self.name), weights=batch.get("weights"),
            class_weights=class_weights, gamma=config.focal_gamma, alpha=config.tversky_alpha,
            smoothing=config.label_smoothing,
        )  # fmt: skip
        known = target != IGNORED
        if config.touching == "distance":
            loss = loss + distance_loss(output[:, classes:], batch["distance"], known)
        elif config.touching == "flow":
            loss = loss + flow_loss(output[:, classes:], batch["flow"], known)
        return loss

    # ---- prediction

    def activate(self, output: torch.Tensor, decoding: Decoding) -> torch.Tensor:
        classes = output.shape[1] - EXTRA[decoding.touching]
        probabilities = output[:, :classes].float().softmax(1)
        if decoding.touching == "distance":
            return torch.cat([probabilities, output[:, classes:].float().sigmoid()], 1)
        if decoding.touching == "flow":
            direction = (output[:, classes:].float() / FLOW_SCALE).clamp(-1, 1)
            return torch.cat([probabilities, (direction + 1) / 2], 1)
        return probabilities

    def turned(self, maps: torch.Tensor, turns: int, flip: bool, decoding: Decoding) -> torch.Tensor:
        if decoding.touching != "flow":
            return maps
        y, x = maps[:, -2], maps[:, -1]  # (v + 1) / 2: the opposite direction is 1 - v
        if flip:
            x = 1 - x
        for _ in range(turns):
            y, x = x, 1 - y
        return torch.cat([maps[:, :-2], y[:, None], x[:, None]], 1)

    def decode(self, maps: Maps, decoding: Decoding) -> Objects:
        extra = EXTRA[decoding.touching]
        classes = maps[1 : len(maps) - extra - (decoding.touching == "border")]
        foreground = 255 - maps[0]
        if decoding.touching == "off":
            labels = _components(maps)
        elif decoding.touching == "border":
            labels = border.separate(_sum(classes), foreground, decoding.options)
        else:
            way = {"distance": distance, "flow": flow}[decoding.touching]
            labels = way.separate(maps[len(maps) - extra :], foreground, decoding.options)
        return _describe(labels, classes, foreground, decoding.min_size)

    def count(self, found: Objects) -> int:
        return len(found.scores) - 1

    def probabilities(self, maps: NDArray[Any], decoding: Decoding) -> NDArray[np.float32]:
        return (maps[: len(maps) - EXTRA[decoding.touching]] / np.float32(255)).astype(np.float32)

    def at_objects(self, found: Objects, layer: NDArray[Any]) -> NDArray[np.float64]:
        area, total = _sums(found.labels, [layer])
        mean: NDArray[np.float64] = total / np.maximum(area, 1)
        return mean[1:]

    def enlarge(self, found: Objects, shape: tuple[int, int], size: tuple[int, int]) -> Objects:
        labels = cv2.resize(found.labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
        return replace(found, labels=labels)

    def to_labels(self, found: Objects, size: tuple[int, int], classes: Sequence[str]) -> FrameLabels:
        shapes = shapes_from_labels(found.labels)
        listed = {
            index: LabelObject(
                id=index, geometry=geometry, label_class=classes[int(found.classes[index]) - 1],
                source="predicted", score=round(float(found.scores[index]), 4),
            )
            for index, geometry in shapes.items()
        }  # fmt: skip
        return FrameLabels(height=size[0], width=size[1], objects=listed)

    def write_beside(self, path: Path, found: Objects) -> None:
        write_tiff(path.with_suffix(".tif"), narrow(found.labels))

    def write_out(
        self, out: Path, key: str, found: Sequence[Objects], frames: Sequence[str], stack: tuple[int, ...],
        classes: Sequence[str],
    ) -> None:  # fmt: skip
        labels = np.stack([item.labels for item in found])
        write_tiff(out / f"{key}.tif", narrow(labels.reshape(*stack, *labels.shape[1:])))

    # ---- scores

    def map_loss(
        self, maps: Maps, annotation: Annotation, config: TrainConfig, class_count: int
    ) -> tuple[float, float]:
        """Cross entropy over the known pixels; a probability is known to 1/255, 1/510 at least."""
        target = paint(annotation, config, class_count)
        table = -np.log(np.maximum(np.arange(256), 0.5) / 255)
        known = target != IGNORED
        chosen = np.take_along_axis(maps, np.where(known, target, 0)[None].astype(np.intp), axis=0)[0]
        return float(table[chosen[known]].sum()), float(known.sum())

    def score(self, name: str, found: Objects, truth: Annotation, decoding: Decoding, class_count: int) -> FrameScore:
        assert truth.labels is not None
        return FrameScore(
            name,
            match(truth.labels, found.labels, THRESHOLDS, area=truth.known),
            confusion_matrix(
                truth.classes[truth.labels], np.where(found.labels > 0, found.classes[found.labels], 0),
                class_count + 1, area=truth.known,
            ),
        )  # fmt: skip

    def summarize(self, scores: Sequence[FrameScore], pixel: float = 1.0) -> dict[str, float]:
        """AP averaged over IoU 0.5 to 0.9, AP and F1 at 0.5, panoptic quality; pooled over the objects."""
        pooled = [pool(m) for m in zip(*(s.matchings for s in scores), strict=True)]
        return {
            "ap": float(np.mean([m.ap for m in pooled])),
            "ap50": pooled[0].ap,
            "f1": pooled[0].f1,
            "pq": pooled[0].panoptic_quality,
        }

    def report(self, scores: Sequence[FrameScore], classes: Sequence[str]) -> dict[str, Any]:
        """That of `analysis.scores.instance_report`, and under `classes` that of `class_report`."""
        return {
            **instance_report({s.name: s.matchings for s in scores}),
            "classes": class_report({s.name: s.confusion for s in scores}, ["background", *classes]),
        }

    # ---- pictures

    def draw(self, picture: NDArray[np.uint8], truth: Annotation | None, found: Objects | None) -> NDArray[np.uint8]:
        for labels, color in ((truth and truth.labels, TRUTH), (found and found.labels, FOUND)):
            if labels is not None:
                outline(picture, np.asarray(labels), color)
        return picture


def outline(picture: NDArray[np.uint8], labels: NDArray[np.integer[Any]], color: tuple[int, int, int]) -> None:
    """Paint the rim of each object of a (Y, X) label image into a (Y, X, 3) picture."""
    picture[rim_distance(labels) == 1] = color


# ---- targets --------------------------------------------------------------------------------------------------------


def paint(annotation: Annotation, config: TrainConfig, class_count: int) -> NDArray[np.uint8]:
    """(Y, X) uint8: 0 background, 1..K (the inside of) a class, K + 1 border, `IGNORED` outside the annotated area."""
    assert annotation.labels is not None
    labels = np.asarray(annotation.labels)
    target: NDArray[np.uint8] = annotation.classes[labels]
    if config.touching == "border":
        target[border_mask(labels, config.border_width)] = class_count + 1
    if annotation.known is not None:
        target[~annotation.known & (labels == 0)] = IGNORED
    return target


def smallest_size(areas: NDArray[Any]) -> int:
    """Smallest object to believe in: a quarter of the 2nd percentile of the labelled areas, at least 4 pixels."""
    areas = areas[areas > 0]
    return max(4, int(np.percentile(areas, 2) / 4)) if len(areas) else 4


def _options(touching: str, min_size: int) -> Any:
    """The defaults of a way, which drop what is smaller than `min_size` pixels where they can."""
    if touching in ("distance", "flow"):
        return OPTIONS[touching](min_size=min_size)
    return None


# ---- decoding -------------------------------------------------------------------------------------------------------


def _sum(classes: Maps) -> NDArray[np.uint8]:
    total: NDArray[np.uint8] = classes[0]
    if len(classes) > 1:
        total = np.minimum(classes.sum(0, dtype=np.uint16), 255).astype(np.uint8)
    return total


def _components(probabilities: Maps) -> NDArray[np.int32]:
    """Connected components of each class of the most probable class image."""
    winner = probabilities.argmax(0)
    labels = np.zeros(winner.shape, np.int32)
    count = 0
    for index in range(1, len(probabilities)):
        number, parts = cv2.connectedComponents((winner == index).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        found = parts > 0
        labels[found] = parts[found] + count
        count += number - 1
    return labels


def _describe(labels: NDArray[np.int32], classes: Maps, foreground: NDArray[np.uint8], min_size: int) -> Objects:
    """Drop what is too small, number the rest 1..n, and give each object its class and score.

    The class is the one with the highest mean probability over the object, the score the mean foreground probability.
    """
    sums = _sums(labels, (foreground, *classes))
    keep = sums[0] >= min_size
    keep[0] = False
    if not keep[1:].all():
        renumber(labels, np.where(keep, np.cumsum(keep), 0).astype(np.int32))
    keep[0] = True
    area, total, *of_classes = sums[:, keep]
    area = np.maximum(area, 1)
    winner = np.stack([layer / area for layer in of_classes]).argmax(0) + 1
    return Objects(labels, winner, (total / (255 * area)).astype(np.float32))


def _sums(labels: NDArray[np.int32], layers: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """(1 + L, labels) number of pixels of each label, and the sums of the (Y, X) layers over it; 0 for background."""
    count, width = int(labels.max(initial=0)) + 1, labels.shape[1]
    flat, values = labels.ravel(), [layer.ravel() for layer in layers]

    def add(rows: slice) -> NDArray[np.float64]:
        at = np.flatnonzero(labels[rows]) + rows.start * width
        ids, weights = flat.take(at), (None, *(layer.take(at) for layer in values))
        return np.stack([np.bincount(ids, of_layer, count) for of_layer in weights])

    return summed(labels, (1 + len(layers), count), add)
