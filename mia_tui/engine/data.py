"""Labelled frames as training data: reading, caching, splitting, and drawing patches."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import psutil
import torch
from numpy.typing import NDArray

from mia_tui.engine.augment import make_augment
from mia_tui.engine.config import TrainConfig
from mia_tui.engine.normalize import Normalization, apply_limits, match_channels
from mia_tui.engine.tasks import segmentation
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_ref
from mia_tui.labeling.raster import area_mask
from mia_tui.labeling.store import read_frame
from mia_tui.project import ImageRef, Project

RAM_SHARE = 0.25
"""Decoded images stay in memory up to this share of what is free; beyond it they are memory-mapped from the cache."""

CACHE_LIMIT = 50 * 2**30
"""Bytes of decoded images kept in the cache folder; the longest unused go first."""


@dataclass(frozen=True)
class Truth:
    """What a prediction is scored against: a label image (Y, X), the class of each pixel (Y, X) uint8 (0 background),
    and where the frame is annotated (Y, X) bool, None for everywhere."""

    instances: NDArray[Any]
    classes: NDArray[np.uint8]
    annotated: NDArray[np.bool_] | None


@dataclass(frozen=True)
class TrainingFrame:
    """One labelled frame, ready for patches.

    `plane` is (C, Y, X) with the values of the file, in memory or memory-mapped; `target` (Y, X) uint8; `weights`
    (Y, X) float16 or None; `areas` of its objects in pixels; `truth` for validation frames only.
    """

    key: str
    frame: str
    plane: NDArray[Any]
    limits: NDArray[np.float32]
    target: NDArray[np.uint8]
    weights: NDArray[np.float16] | None
    areas: list[int]
    truth: Truth | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.target.shape[0], self.target.shape[1]


@dataclass(frozen=True)
class Channels:
    """Which channels of an image the network sees, and how many: `chosen` None takes all."""

    count: int
    chosen: tuple[int, ...] | None = None

    def pick(self, plane: NDArray[Any], rgb: bool, name: str) -> NDArray[Any]:
        """The channels of a (C, Y, X) plane that the network sees."""
        if self.chosen is not None:
            if max(self.chosen) >= len(plane):
                raise MiaError(f"{name} has {len(plane)} channels; channel {max(self.chosen)} was asked for")
            return plane[list(self.chosen)]
        return match_channels(plane, self.count, rgb, name)


# ---- which frames ---------------------------------------------------------------------------------------------------


def labelled_frames(project: Project) -> list[tuple[ImageRef, str]]:
    """Every frame of the project that has labels and whose image is there."""
    refs = {ref.key: ref for ref in project.images()}
    return [(refs[key], frame) for key, frame in project.frames_under("labels") if key in refs]


def split_frames(
    frames: Sequence[tuple[ImageRef, str]], validation: float, seed: int
) -> tuple[list[tuple[ImageRef, str]], list[tuple[ImageRef, str]]]:
    """Training and validation frames. Whole images go to one side, so frames of a sequence are never torn apart.

    With `validation` > 0 and two images or more at least one image validates and one trains.
    """
    keys = sorted({ref.key for ref, _ in frames})
    order = np.random.default_rng(seed).permutation(len(keys))
    count = round(validation * len(keys))
    if validation > 0 and len(keys) > 1:
        count = min(max(count, 1), len(keys) - 1)
    held = {keys[i] for i in order[: count if len(keys) > 1 else 0]}
    return [f for f in frames if f[0].key not in held], [f for f in frames if f[0].key in held]


def choose_channels(project: Project, refs: Sequence[ImageRef], chosen: list[int] | None) -> Channels:
    """The channels the network will see.

    All images with the same number: all of them. Grey mixed with RGB: three, grey repeated. Anything else is an error
    that names an image of each kind.
    """
    if chosen:
        return Channels(len(chosen), tuple(chosen))
    example: dict[tuple[int, bool], str] = {}
    for ref in refs:
        with open_ref(project, ref) as image:
            example.setdefault((image.info.sizes[1], image.info.rgb), ref.key)
    counts = {count for count, _ in example}
    if len(counts) == 1:
        return Channels(counts.pop())
    if all(count == 1 or (count == 3 and rgb) for count, rgb in example):
        return Channels(3)
    found = "; ".join(f"{name}: {count}" for (count, _), name in example.items())
    raise MiaError(f"the images differ in their number of channels ({found}). Choose with --set channels=0,1,...")


# ---- reading --------------------------------------------------------------------------------------------------------


def load_frames(
    project: Project,
    frames: Sequence[tuple[ImageRef, str]],
    channels: Channels,
    config: TrainConfig,
    normalization: Normalization,
    *,
    with_truth: bool = False,
) -> Iterator[TrainingFrame]:
    """Read the labelled frames one by one: the image decoded once, the labels turned into targets.

    `with_truth` keeps what validation needs, six bytes a pixel.
    """
    budget = RAM_SHARE * psutil.virtual_memory().available
    for ref, frame in frames:
        labels = read_frame(project.labels_path(ref.key, frame))
        if labels is None:
            continue
        with open_ref(project, ref) as image:
            plane, in_memory = _decoded(image, ref, frame, channels, budget)
        if in_memory:
            budget -= plane.nbytes
        shape = (plane.shape[1], plane.shape[2])
        if (labels.height, labels.width) != shape:
            raise MiaError(
                f"{project.labels_path(ref.key, frame)} was made for {labels.height} x {labels.width} pixels, "
                f"but {ref.path} has {shape[0]} x {shape[1]}. Is it another image?"
            )
        instances, classes = segmentation.rasterize(labels.objects.values(), shape, project.classes)
        annotated = area_mask(labels)
        target = segmentation.make_target(
            instances, classes, len(project.classes), config.touching, config.border_width
        )
        if annotated is not None:
            target[~annotated & (instances == 0)] = segmentation.IGNORED
        weights = None
        if config.border_weight > 0:
            weights = segmentation.border_weights(instances, config.border_weight, config.border_sigma)
        areas = np.bincount(instances.ravel())[1:]
        yield TrainingFrame(
            ref.key, frame, plane, normalization.limits(plane), target,
            None if weights is None else weights.astype(np.float16),
            [int(a) for a in areas[areas > 0]], Truth(instances, classes, annotated) if with_truth else None,
        )  # fmt: skip


def _decoded(image: Image, ref: ImageRef, frame: str, channels: Channels, budget: float) -> tuple[NDArray[Any], bool]:
    """The plane in memory when it fits the budget, else memory-mapped from the cache of decoded images."""
    sizes = image.info.sizes
    expected = channels.count * sizes[3] * sizes[4] * np.dtype(image.info.dtype).itemsize
    if expected <= budget:
        return channels.pick(image.frame(frame), image.info.rgb, ref.key), True
    path = cache_folder() / f"{_fingerprint(ref.path, frame, channels)}.npy"
    if not path.exists():
        plane = np.ascontiguousarray(channels.pick(image.frame(frame), image.info.rgb, ref.key))
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with open(temporary, "wb") as stream:
            np.save(stream, plane)
        os.replace(temporary, path)
        prune_cache(path.parent, CACHE_LIMIT)
    os.utime(path)
    return np.load(path, mmap_mode="r"), False


def cache_folder() -> Path:
    """Where decoded images are kept between trainings (`MIA_TUI_CACHE` overrides)."""
    base = os.environ.get("MIA_TUI_CACHE") or platformdirs.user_cache_dir("mia-tui")
    folder = Path(base) / "planes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prune_cache(folder: Path, limit: int) -> None:
    """Remove the longest unused files until the folder holds at most `limit` bytes."""
    files = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.npy")), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > limit:
            path.unlink(missing_ok=True)


def _fingerprint(path: Path, frame: str, channels: Channels) -> str:
    stat = path.stat()
    text = f"{path.resolve()}|{stat.st_mtime_ns}|{stat.st_size}|{frame}|{channels}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# ---- patches --------------------------------------------------------------------------------------------------------


class Patches(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Random patches: item i of an epoch depends on (seed, epoch, i) only.

    So the patches are the same with any number of loader processes, and a resumed training goes on with the next one.
    Images are drawn in proportion to their area and to their number of objects, half and half; a patch without a
    labelled pixel is drawn again up to `prefer_labelled` times (MIA's "prefer labelled parts").
    """

    def __init__(self, frames: Sequence[TrainingFrame], config: TrainConfig, steps: int) -> None:
        self.frames = frames
        self.size = config.patch_size
        self.seed = config.seed
        self.redraws = config.prefer_labelled
        self.length = steps * config.batch_size
        self.epoch = 0
        self.preset = config.augmentation
        self._augment = make_augment(self.preset)
        areas = np.array([max(f.target.size, self.size**2) for f in frames], float)
        objects = np.array([len(f.areas) for f in frames], float)
        self._chances = np.cumsum(areas / areas.sum() + objects / objects.sum()) / 2

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        image, target, weights = self._draw(rng)
        image, target, weights = self._augment(int(rng.integers(2**31)), image, target, weights)
        item = {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "target": torch.from_numpy(np.ascontiguousarray(target)).long(),
        }
        if weights is not None:
            item["weights"] = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))
        return item

    def _draw(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32] | None]:
        frame = self.frames[min(int(np.searchsorted(self._chances, rng.random())), len(self.frames) - 1)]
        height, width = frame.shape
        for _ in range(self.redraws + 1):
            y = int(rng.integers(max(height - self.size, 0) + 1))
            x = int(rng.integers(max(width - self.size, 0) + 1))
            box = (slice(y, y + self.size), slice(x, x + self.size))
            target = frame.target[box]
            if ((target > 0) & (target != segmentation.IGNORED)).any():
                break
        image = apply_limits(np.asarray(frame.plane[:, box[0], box[1]]), frame.limits).transpose(1, 2, 0)
        weights = None if frame.weights is None else frame.weights[box].astype(np.float32)
        return self._pad(image, target, weights)

    def _pad(
        self, image: NDArray[np.float32], target: NDArray[np.uint8], weights: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32] | None]:
        """Images smaller than a patch are mirrored; the mirrored part teaches like the rest."""
        missing = [(0, max(self.size - n, 0)) for n in target.shape]
        if not any(after for _, after in missing):
            return image, target, weights
        image = np.pad(image, [*missing, (0, 0)], mode="symmetric")
        target = np.pad(target, missing, mode="symmetric")
        return image, target, None if weights is None else np.pad(weights, missing, mode="symmetric")


def tiles_per_epoch(frames: Sequence[TrainingFrame], size: int) -> int:
    """Patches that cover all frames once."""
    return sum(-(-f.shape[0] // size) * -(-f.shape[1] // size) for f in frames)
