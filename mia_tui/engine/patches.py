"""Drawing training patches: item i of an epoch depends on (seed, epoch, i) only.

So the patches are the same with any number of loader processes, and a resumed training goes on with the next one.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.augment import geometry
from mia_tui.engine.augment.pipeline import Augmenter
from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.config import TrainConfig, strengths_of
from mia_tui.engine.data import TrainingFrame
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.tasks import Annotation, Task

Item = dict[str, torch.Tensor]


class Patches(torch.utils.data.Dataset[Item]):
    """Random patches of frames (whole images in classification), augmented, with their targets.

    Frames are drawn in proportion to their area and to their number of objects, half and half. Within a frame all
    pixels are as likely to be the middle of a patch; one that would reach over the edge is moved to the edge, so that
    the rim of a frame is learnt as well as the rest. A patch with too few labels is drawn again up to `prefer_labelled`
    times (MIA's "prefer labelled parts"). A share `oversample` of the patches is drawn around an object of a class that
    is chosen evenly among the classes.
    """

    def __init__(
        self,
        frames: Sequence[TrainingFrame],
        task: Task,
        config: TrainConfig,
        normalization: Normalization,
        class_count: int,
        length: int,
        rgb: bool = False,
    ) -> None:
        self.frames = frames
        self.task = task
        self.config = config
        self.normalization = normalization
        self.class_count = class_count
        self.length = length
        self.epoch = 0
        self.size = config.patch_size if task.dense else config.image_size
        self._augment = Augmenter(strengths_of(config), rgb=rgb, unit=normalization.unit)
        self._chances = np.cumsum(_chances(frames, self.size))
        self._by_class = [
            [(index, where) for index, frame in enumerate(frames) for where in _places(frame, number)]
            for number in range(1, class_count + 1)
        ]  # fmt: skip
        self._present = [places for places in self._by_class if places]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Item:
        sample, annotation = self.sample(index)
        image = self.normalization.finish(sample.image.transpose(2, 0, 1))
        target = self.task.target(annotation, (self.size, self.size), self.config, self.class_count)
        arrays = {"image": image, **target}
        return {name: torch.from_numpy(np.asarray(array, order="C")) for name, array in arrays.items()}

    def sample(self, index: int) -> tuple[Sample, Annotation]:
        """The augmented patch as it is before the last step of normalisation, and what is on it."""
        rng = np.random.default_rng([self.config.seed, self.epoch, index])
        frame, top, left = self._place(rng)
        seed, size = int(rng.integers(2**31)), (self.size, self.size)
        warp = self._augment.warp(seed, size)
        drawn, annotation, place = self._cut(frame, top, left, geometry.margins(warp))
        changed = self._augment(seed, drawn, place, size)
        classes = annotation.classes if changed.kept is None else annotation.classes[changed.kept]
        return changed, replace(
            annotation, labels=changed.labels, points=changed.points, known=changed.known, classes=classes,
            cut=self._rim(frame, top, left, warp),
        )  # fmt: skip

    # ---- where

    def _place(self, rng: np.random.Generator) -> tuple[TrainingFrame, int, int]:
        """The frame and the first pixel of a patch."""
        if self._present and rng.random() < self.config.oversample:
            places = self._present[int(rng.integers(len(self._present)))]
            index, where = places[int(rng.integers(len(places)))]
            frame = self.frames[index]
            top, left = (self._around(rng, at, side) for at, side in zip(where, frame.shape, strict=True))
            return frame, top, left
        frame = self.frames[min(int(np.searchsorted(self._chances, rng.random())), len(self.frames) - 1)]
        top = left = 0
        for _ in range(self.config.prefer_labelled + 1):
            top, left = (self._first(int(rng.integers(side)), side) for side in frame.shape)
            if not self.task.dense or self._labelled(frame, top, left) >= self.config.min_labelled:
                break
        return frame, top, left

    def _first(self, middle: int, side: int) -> int:
        """First pixel of the patch about `middle`, along one axis."""
        return min(max(middle - self.size // 2, 0), max(side - self.size, 0))

    def _around(self, rng: np.random.Generator, at: float, side: int) -> int:
        """First pixel of a patch that holds `at`, along one axis."""
        low, high = max(0, math.ceil(at) - self.size + 1), min(int(at), max(side - self.size, 0))
        return int(rng.integers(min(low, high), high + 1))

    def _labelled(self, frame: TrainingFrame, top: int, left: int) -> int:
        """Labelled pixels, or points, in a patch."""
        annotation = frame.annotation
        rows, columns = slice(top, top + self.size), slice(left, left + self.size)
        if annotation.labels is not None:
            return int(np.count_nonzero(annotation.labels[rows, columns]))
        assert annotation.points is not None
        return int(_inside(annotation.points, rows, columns).sum())

    # ---- what

    def _cut(
        self, frame: TrainingFrame, top: int, left: int, margins: tuple[int, int, int, int]
    ) -> tuple[Sample, Annotation, tuple[int, int]]:
        """The patch with its part of the annotation and what of the margins around it (above, below, left, right) the
        frame has; and its first pixel in there. Images smaller than a patch are mirrored, unknown there."""
        above, below, before, after = margins
        rows, columns = (
            slice(max(first - less, 0), first + self.size + more)
            for first, less, more in ((top, above, below), (left, before, after))
        )
        place = top - rows.start, left - columns.start
        image = self.normalization.apply(np.asarray(frame.plane[:, rows, columns]), frame.limits).transpose(1, 2, 0)
        annotation = frame.annotation
        labels = points = None
        known = None if annotation.known is None else annotation.known[rows, columns]
        classes = annotation.classes
        if annotation.labels is not None:
            labels, classes = consecutive(annotation.labels[rows, columns], classes)
        if annotation.points is not None:
            inside = _inside(annotation.points, rows, columns)
            points = annotation.points[inside] - np.array([rows.start, columns.start], np.float32)
            classes = classes[inside]
        missing = [(0, max(first + self.size - side, 0)) for first, side in zip(place, image.shape, strict=False)]
        if any(after for _, after in missing):
            known = np.pad(np.ones(image.shape[:2], bool) if known is None else known, missing)
            image = np.pad(image, [*missing, (0, 0)], mode="symmetric")
            labels = None if labels is None else np.pad(labels, missing)
        sample = Sample(np.ascontiguousarray(image), labels, known, points, None)
        return sample, replace(annotation, classes=classes), place

    def _rim(self, frame: TrainingFrame, top: int, left: int, warp: geometry.Warp | None) -> NDArray[np.bool_] | None:
        """Where the patch is cut through objects (`Task.rim`); None is nowhere.

        The sides of a warped patch are within the frame, or unknown.
        """
        width = min(self.task.rim(self.config), self.size // 4)  # most of a patch teaches, however large objects are
        if not width:
            return None
        height, length = frame.shape
        warped = warp is not None and warp.resampled
        cut = np.zeros((self.size, self.size), np.uint8)
        cut[:width] |= warped or top > 0
        cut[self.size - width :] |= warped or top + self.size < height
        cut[:, :width] |= warped or left > 0
        cut[:, self.size - width :] |= warped or left + self.size < length
        if warp is not None and not warped:
            cut = geometry.warp_labels(cut, warp, None)
        return cut.view(np.bool_)


def consecutive(labels: NDArray[np.integer], classes: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:  # type: ignore[type-arg]
    """A label image with ids 1..n in place of those that occur, and the classes of these."""
    there = np.zeros(len(classes), bool)
    there[labels.ravel()] = True
    there[0] = True
    numbers = np.cumsum(there, dtype=np.int32) - 1
    renumbered: NDArray[np.int32] = numbers.take(labels)
    return renumbered, classes[there]


def _inside(points: NDArray[np.float32], rows: slice, columns: slice) -> NDArray[np.bool_]:
    low, high = (rows.start, columns.start), (rows.stop, columns.stop)
    inside: NDArray[np.bool_] = np.asarray(
        ((points >= np.array(low) - 0.5) & (points < np.array(high) - 0.5)).all(axis=1)
    )
    return inside


def _chances(frames: Sequence[TrainingFrame], size: int) -> NDArray[np.float64]:
    """Chance of each frame."""
    areas = np.array([max(f.shape[0] * f.shape[1], size**2) for f in frames], float)
    objects = np.array([f.annotation.count for f in frames], float)
    chances = areas / areas.sum() + objects / max(objects.sum(), 1)
    shares: NDArray[np.float64] = chances / chances.sum()
    return shares


def _places(frame: TrainingFrame, number: int) -> list[tuple[float, float]]:
    """(y, x) in each object of class `number`; the middle of the frame for an image of this class."""
    annotation = frame.annotation
    if annotation.points is not None:
        return [(float(y), float(x)) for y, x in annotation.points[annotation.classes == number]]
    if annotation.labels is None:
        return [(frame.shape[0] / 2, frame.shape[1] / 2)] if annotation.classes[0] == number else []
    flat = np.flatnonzero(annotation.labels)
    ids, first = np.unique(np.asarray(annotation.labels).ravel()[flat], return_index=True)
    chosen = annotation.classes[ids] == number
    y, x = np.unravel_index(flat[first[chosen]], frame.shape)
    return list(zip(y.astype(float).tolist(), x.astype(float).tolist(), strict=True))


def patches_per_epoch(frames: Sequence[TrainingFrame], size: int) -> int:
    """Patches that cover all frames once."""
    return sum(math.ceil(f.shape[0] / size) * math.ceil(f.shape[1] / size) for f in frames)
