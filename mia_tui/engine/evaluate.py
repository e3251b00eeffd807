"""How good a model is on labelled frames."""

from collections.abc import Callable, Sequence
from typing import Any

from mia_tui.engine.config import TrainConfig
from mia_tui.engine.data import TrainingFrame, annotate, check_size, frame_title
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.splits import labelled_frames
from mia_tui.engine.tasks import Annotation
from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.store import read_frame
from mia_tui.project import LabelClass, Project


def validate(
    predictor: Predictor, frames: Sequence[TrainingFrame], config: TrainConfig, class_count: int
) -> tuple[dict[str, float], float, Any]:
    """Metrics and mean loss of a network on frames in memory, and the decoding whose thresholds suit them best.

    The metrics are those with the chosen thresholds.
    """
    task, decoding = predictor.task, predictor.card.decoding
    scores: list[Any] = []
    candidates: list[tuple[Any, Annotation]] = []
    losses = weights = 0.0
    for frame in frames:
        maps, _ = predictor.maps(frame.plane, frame.limits)
        loss, weight = task.map_loss(maps, frame.annotation, config, class_count)
        losses, weights = losses + loss, weights + weight
        if task.tunes:
            candidates.append((task.candidates(maps, decoding), frame.annotation))
        else:  # scored at once: the maps of all frames need not fit into memory
            found = task.decode(maps, decoding)
            scores.append(task.score(frame.name, found, frame.annotation, decoding, class_count))
    if task.tunes:
        decoding = task.tune(decoding, candidates)
        scores = [
            task.score(frame.name, task.chosen(found, decoding), truth, decoding, class_count)
            for frame, (found, truth) in zip(frames, candidates, strict=True)
        ]
    return task.summarize(scores), losses / max(weights, 1.0), decoding


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
    "all" every labelled frame. The result is that of the task's `report` with `model`, `task` and `split`.
    """
    predictor = Predictor.load(project.models_folder / model, device=device, tta=tta)
    task, card = predictor.task, predictor.card
    known = [LabelClass(name, color) for name, color in card.classes]
    decoding = task.enlarged(card.decoding, card.inputs.downscale)
    frames = _of_split(labelled_frames(project), card.training, split)
    scores = []
    for index, (ref, frame) in enumerate(frames):
        if report is not None:
            report(index, len(frames), ref.key)
        labels = read_frame(project.labels_path(ref.key, frame))
        if labels is None or (truth := annotate(task, labels, (labels.height, labels.width), known)) is None:
            continue
        with open_ref(project, ref) as image:
            check_size(labels, image.info, project.labels_path(ref.key, frame))
            found = predictor.frame(image, frame, ref.key).found
        scores.append(task.score(frame_title(ref.key, frame), found, truth, decoding, len(known)))
    if not scores:
        raise MiaError(
            f"project {project.name} has no labelled frames in split {split} of model {model}. Try --split all"
        )
    return {"model": model, "task": card.task, "split": split, **task.report(scores, [c.name for c in known])}


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
