"""Prediction of frames, images and whole projects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from mia_tui.engine.bundle import ModelCard, load_model
from mia_tui.engine.device import pick_device, pick_precision
from mia_tui.engine.normalize import apply_limits
from mia_tui.engine.tasks.segmentation import Objects, decode, quantize
from mia_tui.engine.tiling import Progress, TiledNetwork
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_image, open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import shapes_from_labels
from mia_tui.labeling.store import write_frame
from mia_tui.project import IMAGE_SUFFIXES, PREDICT_PREFIX, ImageRef, Project
from mia_tui.storage import atomic_writer

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FramePrediction:
    """What a model sees in one frame; `probabilities` is (C, Y, X) uint8, 255 = certain."""

    objects: Objects
    probabilities: NDArray[np.uint8]


class Predictor:
    """A model on a device, ready for frames. The same model and frame give the same bits."""

    def __init__(self, card: ModelCard, model: torch.nn.Module, *, device: str = "auto", tta: bool = False) -> None:
        self.card = card
        torch_device = pick_device(device)
        # float32 on the CPU always: a model must not answer differently on a CPU that happens to have bf16
        precision = pick_precision(torch_device, "auto" if torch_device.type == "cuda" else "off")
        self.network = TiledNetwork(model, torch_device, precision, card.tiling, tta)

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", tta: bool = False) -> "Predictor":
        card, model = load_model(folder)
        return cls(card, model, device=device, tta=tta)

    def frame(self, plane: NDArray[Any], *, rgb: bool, name: str, progress: Progress | None = None) -> FramePrediction:
        """Objects and probabilities of a (channels, Y, X) plane of a file; `name` is for error messages."""
        picked = self.card.channels.pick(plane, rgb, name)
        return self.find(picked, self.card.normalization.limits(picked), progress)

    def find(
        self, picked: NDArray[Any], limits: NDArray[np.float32], progress: Progress | None = None
    ) -> FramePrediction:
        """The same for the (C, Y, X) channels that the network sees, with the `limits` of their whole frame."""
        height, width = picked.shape[1:]

        def read(rows: slice, columns: slice) -> NDArray[np.float32]:
            return apply_limits(np.asarray(picked[:, rows, columns]), limits)

        out = np.empty((self.card.network.out_channels, height, width), np.uint8)
        for rows, band in self.network.bands(height, width, read, progress):
            out[:, rows] = quantize(band)
        return FramePrediction(decode(out, self.card.decoding), out)


def to_frame_labels(objects: Objects, classes: Sequence[str]) -> FrameLabels:
    """Decoded objects as shapes, source "predicted", ids those of the label image."""
    height, width = objects.labels.shape
    shapes = shapes_from_labels(objects.labels)
    listed = {
        index: LabelObject(
            id=index, geometry=geometry, label_class=classes[int(objects.classes[index]) - 1],
            source="predicted", score=round(float(objects.scores[index]), 4),
        )
        for index, geometry in shapes.items()
    }  # fmt: skip
    return FrameLabels(height=height, width=width, objects=listed)


# ---- whole projects --------------------------------------------------------------------------------------------------


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
    device: str = "auto",
    report: Report | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PredictionSummary:
    """Predict images into `predictions/<model>/`, or as label TIFFs into `out`.

    An image that fails is named in the summary and the rest goes on. Finished images stay when it is stopped.
    """
    refs = choose_images(project, images)
    outside = [ref.key for ref in refs if ref.split == "outside"]
    if outside and out is None:
        raise MiaError(f"{outside[0]} is not an image of the project: give --out DIR for its prediction")
    predictor = Predictor.load(project.models_folder / model, device=device, tta=tta)
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
    count = 0
    label_frames: list[NDArray[np.int32]] = []
    with _open(project, ref) as image:
        for frame in image.frames:
            found = predictor.frame(image.frame(frame), rgb=image.info.rgb, name=ref.key)
            count += len(found.objects.scores) - 1
            if out is not None:
                label_frames.append(found.objects.labels)
            else:
                _store(project, predictor, model, ref, frame, found)
            if probabilities:
                base = project.prediction_path(model, ref.key, frame) if out is None else _out_path(out, ref, frame)
                write_tiff(base.with_name(f"{base.stem}.probabilities.tif"), found.probabilities)
        if out is not None:
            write_tiff(_out_path(out, ref), stack_frames(label_frames, image))
        return len(image.frames), count


def _open(project: Project, ref: ImageRef) -> Image:
    return open_image(ref.path) if ref.split == "outside" else open_ref(project, ref)


def _store(
    project: Project, predictor: Predictor, model: str, ref: ImageRef, frame: str, found: FramePrediction
) -> None:
    """Write one frame's prediction: shapes and label image. A rejection stays where the same outline comes back."""
    path = project.prediction_path(model, ref.key, frame)
    write_tiff(path.with_suffix(".tif"), _narrow(found.objects.labels))
    classes = dict(predictor.card.classes)
    write_frame(path, to_frame_labels(found.objects, list(classes)), classes)


def _out_path(out: Path, ref: ImageRef, frame: str = "") -> Path:
    """`DIR/<image path>.tif`; the prefix of the predict root is no part of the image's path."""
    key = ref.key.removeprefix(PREDICT_PREFIX)
    return out / (f"{key}.{frame}.tif" if frame else f"{key}.tif")


def stack_frames(frames: list[NDArray[np.int32]], image: Image) -> NDArray[Any]:
    """Label frames as one (Y, X), (T, Y, X), (Z, Y, X) or (T, Z, Y, X) array, as narrow as the ids allow."""
    t, _, z, y, x = image.info.sizes
    shape = (*(n for n in (t, z) if n > 1), y, x)
    return _narrow(np.stack(frames).reshape(shape))


def _narrow(labels: NDArray[np.int32]) -> NDArray[Any]:
    return labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)


def write_tiff(path: Path, data: NDArray[Any]) -> None:
    """Write an array as a zlib-compressed TIFF, atomically."""
    with atomic_writer(path) as stream:
        tifffile.imwrite(stream, data, compression="zlib", photometric="minisblack")
