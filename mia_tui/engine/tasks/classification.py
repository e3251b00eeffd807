"""Classification of whole images: one softmax over the classes."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from mia_tui.analysis.classification import classification_report
from mia_tui.engine.config import TrainConfig, loss_of
from mia_tui.engine.losses.image import image_loss
from mia_tui.engine.tasks.task import FOUND, TRUTH, Annotation, Batch, Maps, Task, class_numbers
from mia_tui.labeling.image_class import image_label
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.project import LabelClass
from mia_tui.storage import write_bytes

TABLE = "classes.csv"


@dataclass(frozen=True)
class NoDecoding:
    """The most probable class wins: there is nothing to set."""


@dataclass(frozen=True)
class ImageScore:
    """True class (0-based) and probabilities (K,) of one frame."""

    name: str
    truth: int
    probabilities: NDArray[np.float32]


class ClassificationTask(Task):
    name = "classification"
    dense = False
    headline = "macro_f1"

    # ---- before training

    def annotate(self, labels: FrameLabels, classes: Sequence[LabelClass]) -> Annotation | None:
        label = image_label(labels)
        return None if label is None else Annotation(class_numbers([label], classes))

    def outputs(self, config: TrainConfig, class_count: int) -> int:
        return class_count

    def decoding(self, config: TrainConfig, annotations: Sequence[Annotation]) -> NoDecoding:
        return NoDecoding()

    def decoding_from_json(self, values: dict[str, Any]) -> NoDecoding:
        return NoDecoding()

    def class_counts(self, annotation: Annotation, config: TrainConfig, class_count: int) -> NDArray[np.float64]:
        return np.bincount(annotation.classes, minlength=class_count + 1)[1:].astype(float)

    # ---- training

    def target(
        self, annotation: Annotation, shape: tuple[int, int], config: TrainConfig, class_count: int
    ) -> dict[str, NDArray[Any]]:
        return {"class": np.array(int(annotation.classes[0]) - 1)}

    def loss(
        self, output: torch.Tensor, batch: Batch, config: TrainConfig, class_weights: torch.Tensor | None
    ) -> torch.Tensor:
        return image_loss(
            output, batch["class"], loss_of(config, self.name), class_weights=class_weights, gamma=config.focal_gamma,
            smoothing=config.label_smoothing,
        )  # fmt: skip

    # ---- prediction

    def activate(self, output: torch.Tensor, decoding: NoDecoding) -> torch.Tensor:
        return output.float().softmax(1)

    def decode(self, maps: NDArray[Any], decoding: NoDecoding) -> NDArray[np.float32]:
        """(K,) probabilities."""
        return maps.reshape(-1).astype(np.float32)

    def count(self, found: NDArray[np.float32]) -> int:
        return 1

    def probabilities(self, maps: NDArray[Any], decoding: NoDecoding) -> NDArray[np.float32]:
        return maps.astype(np.float32)

    def at_objects(self, found: NDArray[np.float32], layer: NDArray[Any]) -> NDArray[np.float64]:
        return layer.reshape(-1)[:1].astype(np.float64)

    def to_labels(self, found: NDArray[np.float32], size: tuple[int, int], classes: Sequence[str]) -> FrameLabels:
        best = int(found.argmax())
        shares = {f"p: {name}": round(float(value), 4) for name, value in zip(classes, found, strict=True)}
        item = LabelObject(
            1, shapely.box(0, 0, size[1], size[0]), classes[best], "predicted", shares[f"p: {classes[best]}"],
            extra={"properties": {"measurements": shares}},
        )  # fmt: skip
        return FrameLabels.of(*size, [item])

    def start_out(self, out: Path, classes: Sequence[str]) -> None:
        header = ["image", "frame", "class", "probability", *(f"p:{name}" for name in classes)]
        write_bytes(out / TABLE, _line(header))

    def write_out(
        self, out: Path, key: str, found: Sequence[NDArray[np.float32]], frames: Sequence[str], stack: tuple[int, ...],
        classes: Sequence[str],
    ) -> None:  # fmt: skip
        with open(out / TABLE, "ab") as table:
            for number, shares in enumerate(found):
                best = int(shares.argmax())
                row = [key, number, classes[best], *(f"{value:.6f}" for value in (shares[best], *shares))]
                table.write(_line(row))

    # ---- scores

    def map_loss(
        self, maps: Maps, annotation: Annotation, config: TrainConfig, class_count: int
    ) -> tuple[float, float]:
        """Cross entropy."""
        share = float(maps.reshape(-1)[int(annotation.classes[0]) - 1])
        return -float(np.log(max(share, 1e-7))), 1.0

    def score(
        self, name: str, found: NDArray[np.float32], truth: Annotation, decoding: NoDecoding, class_count: int
    ) -> ImageScore:
        return ImageScore(name, int(truth.classes[0]) - 1, found)

    def summarize(self, scores: Sequence[ImageScore], pixel: float = 1.0) -> dict[str, float]:
        """Macro F1, accuracy, balanced accuracy, and the area under the ROC curve where there is one."""
        report = self.report(scores, [str(number) for number in range(len(scores[0].probabilities))])
        named = {name: report["totals"][name] for name in ("macro_f1", "accuracy", "balanced_accuracy", "macro_auc")}
        return {name: value for name, value in named.items() if value is not None}

    def report(self, scores: Sequence[ImageScore], classes: Sequence[str]) -> dict[str, Any]:
        probabilities = np.stack([score.probabilities for score in scores])
        truth = np.array([score.truth for score in scores])
        names = [score.name for score in scores]
        return classification_report(names, truth, probabilities.argmax(1), classes, probabilities)

    # ---- pictures

    def draw(
        self, picture: NDArray[np.uint8], truth: Annotation | None, found: NDArray[np.float32] | None
    ) -> NDArray[np.uint8]:
        """Class numbers in the corners: the true one left, the found one right."""
        for number, color, x in (
            (None if truth is None else int(truth.classes[0]), TRUTH, 4),
            (None if found is None else int(found.argmax()) + 1, FOUND, picture.shape[1] - 24),
        ):
            if number is not None:
                cv2.putText(picture, str(number), (x, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, 2)
        return picture


def _line(values: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
