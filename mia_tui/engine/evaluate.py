"""How good a model is on labelled frames: objects by AP, F1 and panoptic quality, pixels by IoU and Dice."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.analysis.matching import THRESHOLDS, Matching, match, pool
from mia_tui.analysis.scores import class_report, instance_report
from mia_tui.analysis.semantic import confusion_matrix
from mia_tui.engine.data import TrainingFrame, Truth, labelled_frames
from mia_tui.engine.predict import FramePrediction, Predictor
from mia_tui.engine.tasks.segmentation import IGNORED, Objects, rasterize
from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.raster import area_mask
from mia_tui.labeling.store import read_frame
from mia_tui.project import LabelClass, Project


@dataclass(frozen=True)
class FrameScore:
    """Matchings at `THRESHOLDS` and the confusion of classes of one frame."""

    key: str
    frame: str
    matchings: tuple[Matching, ...]
    confusion: NDArray[np.int64]


def score_frame(key: str, frame: str, found: Objects, truth: Truth, class_count: int) -> FrameScore:
    """Score one prediction against the truth; only the annotated area counts."""
    predicted_classes = np.where(found.labels > 0, found.classes[found.labels], 0)
    return FrameScore(
        key,
        frame,
        match(truth.instances, found.labels, THRESHOLDS, area=truth.annotated),
        confusion_matrix(truth.classes, predicted_classes, class_count + 1, area=truth.annotated),
    )


def summarize(scores: Sequence[FrameScore], class_names: Sequence[str]) -> dict[str, Any]:
    """Report on many frames: that of `analysis.scores.instance_report`, and under `classes` that of `class_report`."""
    named = {f"{s.key} {s.frame}" if s.frame != "image" else s.key: s for s in scores}
    return {
        **instance_report({name: s.matchings for name, s in named.items()}),
        "classes": class_report({name: s.confusion for name, s in named.items()}, ["background", *class_names]),
    }


def headline(scores: Sequence[FrameScore]) -> dict[str, float]:
    """The few numbers that a training shows and keeps: pooled AP and F1 at IoU 0.5, AP averaged over 0.5 to 0.9, PQ."""
    pooled = [pool(m) for m in zip(*(s.matchings for s in scores), strict=True)]
    return {
        "ap50": pooled[0].ap,
        "f1": pooled[0].f1,
        "pq": pooled[0].panoptic_quality,
        "ap": float(np.mean([m.ap for m in pooled])),
    }


def validate(predictor: Predictor, frames: Iterable[TrainingFrame], class_count: int) -> tuple[list[FrameScore], float]:
    """Scores and mean cross entropy of a network on frames in memory."""
    scores, losses, pixels = [], 0.0, 0
    for frame in frames:
        found = predictor.find(frame.plane, frame.limits)
        assert frame.truth is not None, "validation frames are loaded with their truth"
        scores.append(score_frame(frame.key, frame.frame, found.objects, frame.truth, class_count))
        loss, count = cross_entropy(found, frame.target)
        losses, pixels = losses + loss, pixels + count
    return scores, losses / max(pixels, 1)


def cross_entropy(found: FramePrediction, target: NDArray[np.uint8]) -> tuple[float, int]:
    """Sum of -log p(target) over the known pixels, and their number; p is known to 1/255, 1/510 at least."""
    table = -np.log(np.maximum(np.arange(256), 0.5) / 255)
    known = target != IGNORED
    chosen = np.take_along_axis(found.probabilities, np.where(known, target, 0)[None].astype(np.intp), axis=0)[0]
    return float(table[chosen[known]].sum()), int(known.sum())


def evaluate_project(
    project: Project,
    model: str,
    *,
    split: str = "val",
    device: str = "auto",
    tta: bool = False,
    report: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Scores of a model on the labelled frames of a project.

    `split`: "val" the frames that validated its training, "train" those it learnt from, "new" those it never saw,
    "all" every labelled frame. The result is that of `summarize` with `model` and `split`.
    """
    predictor = Predictor.load(project.models_folder / model, device=device, tta=tta)
    known = [LabelClass(name, color) for name, color in predictor.card.classes]
    names = [c.name for c in known]
    frames = _of_split(labelled_frames(project), predictor.card.training, split)
    if not frames:
        raise MiaError(
            f"project {project.name} has no labelled frames in split {split} of model {model}. Try --split all"
        )
    scores = []
    for index, (ref, frame) in enumerate(frames):
        if report is not None:
            report(index, len(frames), ref.key)
        labels = read_frame(project.labels_path(ref.key, frame))
        if labels is None:
            continue
        with open_ref(project, ref) as image:
            found = predictor.frame(image.frame(frame), rgb=image.info.rgb, name=ref.key)
        instances, classes = rasterize(labels.objects.values(), (labels.height, labels.width), known)
        truth = Truth(instances, classes, area_mask(labels))
        scores.append(score_frame(ref.key, frame, found.objects, truth, len(names)))
    return {"model": model, "split": split, **summarize(scores, names)}


def _of_split(frames: list[Any], training: dict[str, Any], split: str) -> list[Any]:
    learnt, held = set(training.get("train_images", [])), set(training.get("validation_images", []))
    chosen: dict[str, Callable[[str], bool]] = {
        "all": lambda key: True,
        "val": lambda key: key in held,
        "train": lambda key: key in learnt,
        "new": lambda key: key not in held and key not in learnt,
    }
    if split not in chosen:
        raise MiaError(f"unknown split {split!r}: choose {', '.join(chosen)}")
    return [(ref, frame) for ref, frame in frames if chosen[split](ref.key)]
