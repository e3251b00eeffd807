"""Prediction of images and whole projects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mia_tui.engine.predictor import FramePrediction, Predictor
from mia_tui.engine.tasks.files import write_tiff
from mia_tui.engine.uncertainty import measured
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_image, open_ref
from mia_tui.labeling.store import write_frame
from mia_tui.project import IMAGE_SUFFIXES, PREDICT_PREFIX, ImageRef, Project

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class PredictionSummary:
    """What a prediction over many images did; `failed` maps an image to the reason."""

    images: int
    frames: int
    objects: int
    failed: dict[str, str]


def choose_images(project: Project, wanted: Sequence[str] | None) -> list[ImageRef]:
    """The images to predict: keys, files or folders; by default the predict images, else all.

    Files outside the project get their path below the given folder (or their file name) as key.
    """
    if not wanted:
        split = "predict" if "predict" in project.roots else "train"
        found = project.images(split)
        if not found:
            raise MiaError(f"{project.roots[split]} holds no images to predict: put PNG, JPEG, BMP or TIFF files there")
        return found
    refs = {ref.key: ref for ref in project.images()}
    by_path = {ref.path.resolve(): ref for ref in refs.values()}
    chosen: dict[str, ImageRef] = {}
    for text in wanted:
        for ref in _match(text, refs, by_path):
            if chosen.setdefault(ref.key, ref).path != ref.path:
                raise MiaError(f"two images would be written under the same name {ref.key}: predict them one by one")
    return list(chosen.values())


def _match(text: str, refs: dict[str, ImageRef], by_path: dict[Path, ImageRef]) -> list[ImageRef]:
    if text in refs:
        return [refs[text]]
    path = Path(text).expanduser().resolve()
    if path in by_path:
        return [by_path[path]]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise MiaError(f"{path} holds no images")
        return [by_path.get(p) or ImageRef(p.relative_to(path).as_posix(), p, "outside") for p in files]
    if path.is_file():
        return [ImageRef(path.name, path, "outside")]
    raise MiaError(f"{text} is neither an image of the project nor a file or folder")


def predict_project(
    project: Project,
    model: str,
    *,
    images: Sequence[str] | None = None,
    out: Path | None = None,
    tta: bool = False,
    probabilities: bool = False,
    uncertainty: bool = False,
    onnx: bool = False,
    device: str = "auto",
    report: Report | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PredictionSummary:
    """Predict images into `predictions/<model>/`, or as files of the task (label TIFFs, tables) into `out`.

    An image that fails is named in the summary and the rest goes on. Finished images stay when it is stopped.
    """
    refs = choose_images(project, images)
    outside = [ref.key for ref in refs if ref.split == "outside"]
    if outside and out is None:
        raise MiaError(f"{outside[0]} is not an image of the project: give --out DIR for its prediction")
    predictor = Predictor.load(
        project.models_folder / model, device=device, tta=tta, uncertainty=uncertainty, onnx=onnx
    )
    if out is not None:
        predictor.task.start_out(out, [name for name, _ in predictor.card.classes])
    failed: dict[str, str] = {}
    frames = objects = done = 0
    for index, ref in enumerate(refs):
        if should_stop():
            break
        if report is not None:
            report(index, len(refs), ref.key)
        try:
            counted = _predict_image(project, predictor, model, ref, out, probabilities)
        except MiaError as error:
            failed[ref.key] = str(error)
            continue
        done, frames, objects = done + 1, frames + counted[0], objects + counted[1]
    if report is not None:
        report(len(refs), len(refs), "")
    return PredictionSummary(done, frames, objects, failed)


def _predict_image(
    project: Project, predictor: Predictor, model: str, ref: ImageRef, out: Path | None, probabilities: bool
) -> tuple[int, int]:
    """Predict all frames of one image; (frames, objects)."""
    task = predictor.task
    found = []
    count = 0
    with _open(project, ref) as image:
        for frame in image.frames:
            prediction = predictor.frame(image, frame, ref.key)
            count += task.count(prediction.found)
            if out is None:
                size = image.info.sizes[3], image.info.sizes[4]
                _store(predictor, project.prediction_path(model, ref.key, frame), prediction, size)
            else:
                found.append(prediction.found)
            base = project.prediction_path(model, ref.key, frame) if out is None else _out_path(out, ref, frame)
            maps = base.with_name(f"{base.stem}.probabilities.tif")
            if probabilities and task.dense:
                write_tiff(maps, prediction.maps)
            else:
                maps.unlink(missing_ok=True)  # those of an earlier prediction are not of this one
        if out is not None:
            t, _, z, _, _ = image.info.sizes
            stack = tuple(n for n in (t, z) if n > 1)
            task.write_out(out, _out_key(ref), found, image.frames, stack, [name for name, _ in predictor.card.classes])
        return len(image.frames), count


def _open(project: Project, ref: ImageRef) -> Image:
    return open_image(ref.path) if ref.split == "outside" else open_ref(project, ref)


def _store(predictor: Predictor, path: Path, prediction: FramePrediction, size: tuple[int, int]) -> None:
    """Write one frame's prediction: shapes and what the task keeps beside them. A rejection stays where the same
    outline comes back."""
    classes = dict(predictor.card.classes)
    labels = predictor.task.to_labels(prediction.found, size, list(classes))
    if predictor.uncertainty:
        labels = replace(labels, objects=measured(predictor.task, labels.objects, prediction, predictor.card.decoding))
    write_frame(path, labels, classes)  # first: it refuses what a person is looking through
    predictor.task.write_beside(path, prediction.found)


def _out_key(ref: ImageRef) -> str:
    """The prefix of the predict root is no part of the image's path."""
    return ref.key.removeprefix(PREDICT_PREFIX)


def _out_path(out: Path, ref: ImageRef, frame: str) -> Path:
    return out / f"{_out_key(ref)}.{frame}.tif"
