"""Detection of centre points: one heat map per class with a peak at each point."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from mia_tui.analysis.points import FrameMatching, ScoredPoints, best_threshold, match_classes, point_report, pool
from mia_tui.engine.config import TrainConfig, loss_of
from mia_tui.engine.heatmaps import Points, find_points, gaussian_targets
from mia_tui.engine.losses.heatmap import heatmap_loss
from mia_tui.engine.tasks.task import FOUND, TRUTH, Annotation, Batch, Maps, Task, class_numbers
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.project import LabelClass
from mia_tui.storage import write_bytes

THRESHOLDS = tuple(step / 100 for step in range(10, 91))
"""Among these peak heights the validation chooses."""

PIXEL_CENTRE = 0.5
"""From array coordinates, where pixel [0, 0] has its centre at 0, to those of files, where its corner is at 0."""


@dataclass(frozen=True)
class PointDecoding:
    """A point is a local maximum of at least `threshold` (0..1) with no higher one within `distance` pixels; a point
    within `radius` of a true one counts as found. Both in pixels that the network sees."""

    threshold: float = 0.3
    distance: float = 4.0
    radius: float = 6.0


@dataclass(frozen=True)
class PointScore:
    """How the points of one frame were found."""

    name: str
    matching: FrameMatching


class DetectionTask(Task):
    name = "detection"
    dense = True
    headline = "f1"
    tunes = True

    # ---- before training

    def annotate(self, labels: FrameLabels, classes: Sequence[LabelClass]) -> Annotation:
        listed = [item for item in labels.objects.values() if not item.geometry.is_empty]
        # outlines teach by their centres, so that a segmentation project can be tried as detection
        centres = [item.geometry.centroid for item in listed]
        points = np.array([(point.y, point.x) for point in centres], np.float32).reshape(-1, 2) - PIXEL_CENTRE
        return Annotation(class_numbers(listed, classes), points=points.astype(np.float32))

    def outputs(self, config: TrainConfig, class_count: int) -> int:
        return class_count

    def decoding(self, config: TrainConfig, annotations: Sequence[Annotation]) -> PointDecoding:
        # lengths are asked for in pixels of the image, however much it is shrunk
        distance = max(1.0, config.point_size * config.downscale / 2)
        return PointDecoding(distance=distance, radius=config.match_radius * config.downscale)

    def decoding_from_json(self, values: dict[str, Any]) -> PointDecoding:
        return PointDecoding(**values)

    def class_counts(self, annotation: Annotation, config: TrainConfig, class_count: int) -> NDArray[np.float64]:
        return np.bincount(annotation.classes, minlength=class_count + 1)[1:].astype(float)

    def first_weights(self, model: torch.nn.Module) -> None:
        """Heat maps are nearly empty: a network that starts with 0.1 everywhere need not unlearn 0.5 first (CenterNet,
        Zhou et al. 2019, and RetinaNet before it)."""
        head = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        if head.bias is not None:
            torch.nn.init.constant_(head.bias, -2.19)

    # ---- training

    def rim(self, config: TrainConfig) -> int:
        """About the radius of an object. People mark the middle of what they see of an object at the edge of an image;
        that of an object which only the patch cuts is elsewhere, even outside, and would teach to miss the former."""
        return round(config.point_size * config.downscale)

    def target(
        self, annotation: Annotation, shape: tuple[int, int], config: TrainConfig, class_count: int
    ) -> dict[str, NDArray[Any]]:
        assert annotation.points is not None
        heat = gaussian_targets(
            annotation.points, annotation.classes, class_count, shape, config.point_size * config.downscale
        )
        known = np.ones(shape, bool) if annotation.known is None else annotation.known | (heat.max(0) > 0)
        if annotation.cut is not None:
            known &= ~annotation.cut
        return {"heat": heat, "known": known}

    def loss(
        self, output: torch.Tensor, batch: Batch, config: TrainConfig, class_weights: torch.Tensor | None
    ) -> torch.Tensor:
        return heatmap_loss(
            output, batch["heat"], loss_of(config, self.name), known=batch["known"], class_weights=class_weights,
            gamma=config.focal_gamma,
        )  # fmt: skip

    # ---- prediction

    def activate(self, output: torch.Tensor, decoding: PointDecoding) -> torch.Tensor:
        return output.float().sigmoid()

    def decode(self, maps: Maps, decoding: PointDecoding) -> Points:
        return find_points(maps, threshold=decoding.threshold, distance=decoding.distance)

    def count(self, found: Points) -> int:
        return len(found.positions)

    def probabilities(self, maps: NDArray[Any], decoding: PointDecoding) -> NDArray[np.float32]:
        heat = maps.max(0) / np.float32(255)
        return np.stack([heat, 1 - heat]).astype(np.float32)

    def at_objects(self, found: Points, layer: NDArray[Any]) -> NDArray[np.float64]:
        y, x = (np.clip(np.rint(p).astype(int), 0, n - 1) for p, n in zip(found.positions.T, layer.shape, strict=True))
        values: NDArray[np.float64] = layer[y, x].astype(np.float64)
        return values

    def enlarge(self, found: Points, shape: tuple[int, int], size: tuple[int, int]) -> Points:
        factor = np.array(size, np.float32) / np.array(shape, np.float32)
        positions = (found.positions + PIXEL_CENTRE) * factor - PIXEL_CENTRE
        return replace(found, positions=positions.astype(np.float32))

    def enlarged(self, decoding: PointDecoding, downscale: float) -> PointDecoding:
        return replace(decoding, radius=decoding.radius / downscale)

    def to_labels(self, found: Points, size: tuple[int, int], classes: Sequence[str]) -> FrameLabels:
        listed = [
            LabelObject(number, shapely.Point(*xy), classes[int(label) - 1], "predicted", round(float(score), 4))
            for number, (xy, label, score) in enumerate(_rows(found, size), 1)
        ]
        return FrameLabels.of(*size, listed)

    def write_out(
        self, out: Path, key: str, found: Sequence[Points], frames: Sequence[str], stack: tuple[int, ...],
        classes: Sequence[str],
    ) -> None:  # fmt: skip
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(["frame"] if stack else []), "y", "x", "class", "score"])
        for number, item in enumerate(found):
            for (x, y), label, score in _rows(item, None):
                row = [f"{y:.3f}", f"{x:.3f}", classes[int(label) - 1], f"{score:.4f}"]
                writer.writerow([*([number] if stack else []), *row])
        write_bytes(out / f"{key}.csv", text.getvalue().encode())

    # ---- scores

    def map_loss(
        self, maps: Maps, annotation: Annotation, config: TrainConfig, class_count: int
    ) -> tuple[float, float]:
        """Squared error of the heat maps, summed, per point."""
        target = self.target(annotation, (maps.shape[1], maps.shape[2]), config, class_count)
        error = (maps / np.float32(255) - target["heat"]) ** 2 * target["known"]
        return float(error.sum(dtype=np.float64)), float(max(annotation.count, 1))

    def score(
        self, name: str, found: Points, truth: Annotation, decoding: PointDecoding, class_count: int
    ) -> PointScore:
        assert truth.points is not None
        true_names, found_names = ([str(number) for number in classes] for classes in (truth.classes, found.classes))
        return PointScore(name, match_classes(
            truth.points, true_names, found.positions, found_names, decoding.radius, area=truth.known
        ))  # fmt: skip

    def summarize(self, scores: Sequence[PointScore], pixel: float = 1.0) -> dict[str, float]:
        """F1, precision, recall at the radius; localisation error in pixels; mean absolute error of the count."""
        total = pool(score.matching.right_class for score in scores)
        values = {
            "f1": total.f1, "precision": total.precision, "recall": total.recall,
            "localization": None if total.mean_distance is None else total.mean_distance * pixel,
            "count_mae": total.count_mae,
        }  # fmt: skip
        return {name: value for name, value in values.items() if value is not None}

    def report(self, scores: Sequence[PointScore], classes: Sequence[str]) -> dict[str, Any]:
        return point_report({score.name: _named(score.matching, classes) for score in scores})

    def candidates(self, maps: Maps, decoding: PointDecoding) -> Points:
        return self.decode(maps, replace(decoding, threshold=THRESHOLDS[0]))

    def chosen(self, candidates: Points, decoding: PointDecoding) -> Points:
        return candidates.above(decoding.threshold)

    def tune(self, decoding: PointDecoding, validated: Sequence[tuple[Points, Annotation]]) -> PointDecoding:
        """That of `analysis.points.best_threshold`."""
        frames = [
            ScoredPoints(np.asarray(truth.points), found.positions, found.scores, truth.known)
            for found, truth in validated
        ]
        return replace(decoding, threshold=best_threshold(frames, decoding.radius, THRESHOLDS)[0])

    # ---- pictures

    def draw(self, picture: NDArray[np.uint8], truth: Annotation | None, found: Points | None) -> NDArray[np.uint8]:
        for points, color, arm in (
            (truth.points if truth else None, TRUTH, 3), (found.positions if found else None, FOUND, 2)
        ):  # fmt: skip
            if points is not None:
                _crosses(picture, points, color, arm)
        return picture


def _named(matching: FrameMatching, classes: Sequence[str]) -> FrameMatching:
    """The classes by their names in place of their numbers."""
    return replace(matching, by_class={classes[int(number) - 1]: own for number, own in matching.by_class.items()})


def _rows(found: Points, size: tuple[int, int] | None) -> list[tuple[tuple[float, float], int, float]]:
    """((x, y) as files have them, class, score) of each point, inside the frame when its `size` is given."""
    xy = found.positions[:, ::-1].astype(np.float64) + PIXEL_CENTRE
    if size is not None:
        xy = np.clip(xy, 0, [size[1], size[0]])
    return [
        ((float(x), float(y)), int(label), float(score))
        for (x, y), label, score in zip(xy, found.classes, found.scores, strict=True)
    ]


def _crosses(picture: NDArray[np.uint8], points: NDArray[np.float32], color: tuple[int, int, int], arm: int) -> None:
    height, width = picture.shape[:2]
    for y, x in np.rint(points).astype(int):
        if -arm <= y < height + arm and -arm <= x < width + arm:
            if 0 <= y < height:
                picture[y, max(x - arm, 0) : max(x + arm + 1, 0)] = color
            if 0 <= x < width:
                picture[max(y - arm, 0) : max(y + arm + 1, 0), x] = color
