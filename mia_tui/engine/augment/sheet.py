"""What augmentation does and what it costs: a sheet of augmented samples, and the price of each switch."""

import time
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from mia_tui.engine.augment.pipeline import Augmenter
from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.augment.strengths import BOUNDS, PRESETS, Strengths
from mia_tui.imaging.contrast import contrast_limits, to_display

MARK = (230, 159, 0)
"""Orange of the outlines and crosses, distinct with every kind of colour vision (Okabe and Ito)."""

_GAP = 2
_ARM = 3
"""Pixels between the pictures, and of each arm of a cross."""

_SECONDS = 1.6
"""Time that all prices together are measured for."""


def contact_sheet(samples: Sequence[Sample], columns: int = 4) -> NDArray[np.uint8]:
    """Samples of one size side by side, outlines of their objects and crosses at their points in orange.

    Where the annotation does not count, the picture is at half brightness. All share one contrast, so that brightness
    can be compared: 0..1, or the percentiles of all together where values lie beyond.

    Returns
    -------
    (Y, X, 3) uint8
    """
    if not samples:
        raise ValueError("a contact sheet needs samples")
    limits = _limits(samples)
    height, width = samples[0].image.shape[:2]
    columns = min(columns, len(samples))
    rows = -(-len(samples) // columns)
    sheet = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), np.uint8)
    for index, sample in enumerate(samples):
        y, x = index // columns * (height + _GAP), index % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = _picture(sample, limits)
    return sheet


def _limits(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    low, high = min(s.image.min() for s in samples), max(s.image.max() for s in samples)
    if low >= 0 and high <= 1:
        return [(0.0, 1.0)] * samples[0].image.shape[2]
    return contrast_limits(np.concatenate([s.image for s in samples]).transpose(2, 0, 1))


def _picture(sample: Sample, limits: list[tuple[float, float]]) -> NDArray[np.uint8]:
    picture = to_display(sample.image.transpose(2, 0, 1), limits)
    if sample.known is not None:
        picture[~sample.known] //= 2
    if sample.labels is not None:
        picture[find_boundaries(sample.labels, mode="inner")] = MARK
    for y, x in np.rint(sample.points).astype(int) if sample.points is not None else ():
        picture[max(y - _ARM, 0) : y + _ARM + 1, x] = MARK
        picture[y, max(x - _ARM, 0) : x + _ARM + 1] = MARK
    return picture


def prices(size: int, channels: int) -> list[tuple[str, float]]:
    """(switch, samples per second of one core) with only that switch on, measured here and now in under two seconds.

    Samples are `size` x `size` with a label image; each switch has the strength of the first preset that uses it and
    touches as many samples as in training. Switches without effect on so many channels are left out. Creating the
    first augmenter, which imports albumentations, comes on top.
    """
    rng = np.random.default_rng(0)
    labels = np.zeros((size, size), np.int32)
    labels[size // 4 : size // 2, size // 4 : size // 2] = 1
    sample = Sample(rng.random((size, size, channels), dtype=np.float32), labels)
    switches = [field.name for field in fields(Strengths)]
    switches = [s for s in switches if not (s == "channel" and channels == 1) and not (s == "stain" and channels != 3)]
    return [(switch, _rate(switch, sample, _SECONDS / len(switches))) for switch in switches]


def _rate(switch: str, sample: Sample, seconds: float) -> float:
    used = [value for preset in PRESETS.values() if (value := getattr(preset, switch)) > 0]
    strength = used[0] if used else BOUNDS[switch][1] / 4
    augment = Augmenter(Strengths(**{switch: strength}), rgb=sample.image.shape[2] == 3)
    augment(0, sample)
    count, began, end = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        count += 1
        augment(count, sample)
    return count / (time.process_time() - began)
