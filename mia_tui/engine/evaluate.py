"""How good a model is on labelled frames."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from mia_tui.engine.config import TrainConfig
from mia_tui.engine.data import TrainingFrame, annotate, check_size, frame_title
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.splits import Frame, labelled_frames
from mia_tui.engine.tasks import Annotation
from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.store import read_frame
from mia_tui.project import ImageRef, LabelClass, Project


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
    return task.summarize(scores, 1 / config.downscale), losses / max(weights, 1.0), decoding


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
    frames = _of_split(labelled_frames(project), predictor.card.training, split)
    scores = _scores(project, predictor, frames, report)
    if not scores:
        raise MiaError(
            f"project {project.name} has no labelled frames in split {split} of model {model}. Try --split all"
        )
    return {"model": model, "task": predictor.card.task, "split": split, **_report(predictor, scores)}


def evaluate_folds(
    project: Project,
    models: Sequence[str],
    *,
    device: str = "auto",
    report: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Scores of the models of a cross-validation: every labelled frame by the one model that has not seen its image.

    Returns
    -------
    dict
        That of the task's `report` over all frames, with `task`, `folds` (by model its number of frames and the few
        numbers of the task's `summarize`), and their `mean` and `deviation` (of a sample, n - 1) over the folds.

    Raises
    ------
    MiaError
        When an image is held out by none of the models or by several, as after labelling further images.
    """
    every = labelled_frames(project)
    predictors = [Predictor.load(project.models_folder / model, device=device) for model in models]
    _check_folds(project, predictors, every)
    rows: list[dict[str, Any]] = []
    scores: list[Any] = []
    for model, predictor in zip(models, predictors, strict=True):
        own = _scores(project, predictor, _of_split(every, predictor.card.training, "val"), report)
        rows.append({"model": model, "frames": len(own), **predictor.task.summarize(own)})
        scores += own
    values: dict[str, list[float]] = {}  # a number that a fold does not have (no ROC with one class) is left out
    for key, number in (item for row in rows for item in row.items() if item[0] not in ("model", "frames")):
        values.setdefault(key, []).append(number)
    return {
        "task": project.task,
        "folds": rows,
        "mean": {key: statistics.fmean(numbers) for key, numbers in values.items()},
        "deviation": {key: statistics.stdev(numbers) for key, numbers in values.items() if len(numbers) > 1},
        **_report(predictors[0], scores),
    }


def _check_folds(project: Project, predictors: Sequence[Predictor], every: Sequence[Frame]) -> None:
    """Each labelled image must be held out by one of the models and known to all."""
    held = [key for predictor in predictors for key in predictor.card.training["validation_images"]]
    seen = [{*p.card.training["train_images"], *p.card.training["validation_images"]} for p in predictors]
    new = (at for at in every if at[0].key not in seen[0] and _truth(project, predictors[0], *at) is not None)
    if any(new) or any(keys != seen[0] for keys in seen) or sorted(held) != sorted(seen[0]):
        raise MiaError("the labelled images are no longer those of these trainings: begin again under another name")


def _scores(
    project: Project,
    predictor: Predictor,
    frames: Sequence[Frame],
    report: Callable[[int, int, str], None] | None,
) -> list[Any]:
    """The task's score of each frame that has labels it can use."""
    task, card = predictor.task, predictor.card
    decoding = task.enlarged(card.decoding, card.inputs.downscale)
    scores = []
    for index, (ref, frame) in enumerate(frames):
        if report is not None:
            report(index, len(frames), ref.key)
        truth = _truth(project, predictor, ref, frame)
        if truth is None:
            continue
        with open_ref(project, ref) as image:
            check_size(truth[0], image.info, project.labels_path(ref.key, frame))
            found = predictor.frame(image, frame, ref.key).found
        scores.append(task.score(frame_title(ref.key, frame), found, truth[1], decoding, len(card.classes)))
    return scores


def _truth(project: Project, predictor: Predictor, ref: ImageRef, frame: str) -> tuple[FrameLabels, Annotation] | None:
    """The labels of a frame, also as arrays; None when there are none that the task can use."""
    labels = read_frame(project.labels_path(ref.key, frame))
    if labels is None:
        return None
    known = [LabelClass(name, color) for name, color in predictor.card.classes]
    truth = annotate(predictor.task, labels, (labels.height, labels.width), known)
    return None if truth is None else (labels, truth)


def _report(predictor: Predictor, scores: Sequence[Any]) -> dict[str, Any]:
    return predictor.task.report(scores, [name for name, _ in predictor.card.classes])


def _of_split(frames: Sequence[Frame], training: dict[str, Any], split: str) -> list[Frame]:
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
