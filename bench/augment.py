"""Augmented samples per second of one core: ours against albumentations' own transforms, in turns in one process.

Both move an image (float32) and a label image (int32) through a `Compose`; ours also tells which pixels came from
outside. First single transforms, each touching every sample, then whole presets with equal chances. Rates are samples
per second of CPU time in one thread, the median of the rounds.
Goals: the fluorescence preset, elastic and shot noise included, at least 4 x the equivalent pipeline with
ElasticTransform (and without shot noise), and at least 400 samples/s at 256 x 256 x 1.
"""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import albumentations as A
import cv2
import numpy as np
from _output import show

from mia_tui.engine.augment.pipeline import Augmenter
from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.augment.strengths import CHANCE, PRESETS, Strengths

ROUNDS, SECONDS = 3, 0.15
"""Each contender runs this often for this long, or once for a single sample where that takes longer."""

ALWAYS = dict.fromkeys(CHANCE, 1.0)
USUAL = dict(CHANCE)
FLUORESCENCE, HISTOLOGY = PRESETS["fluorescence"], PRESETS["histology"]

Augment = Callable[[int, Sample], object]


def main() -> None:
    cv2.setNumThreads(1)
    values: dict[str, float] = {}
    for size in (256, 512):
        for channels in (1, 3):
            sample = make_sample(size, channels)
            print(f"\n{size} x {size} x {channels:<14}{'ours/s':>10}{'theirs/s':>10}{'times':>8}")
            for name, mine, theirs, chance in contenders(channels):
                ours, other = compare(mine, theirs, sample, chance)
                print(f"{name:28}{ours:10.0f}{other:10.1f}{ours / other:8.1f}")
                values[f"{name} {size}x{channels} ours/s"] = ours
                values[f"{name} {size}x{channels} theirs/s"] = other
            values[f"Compose and draws {size}x{channels} us"] = 1e6 / idle_rate(sample)
    print()
    show("augment", values, goal="fluorescence >= 4 x albumentations with ElasticTransform, >= 400/s at 256x1")


def make_sample(size: int, channels: int) -> Sample:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((size, size, channels), dtype=np.float32), (0, 0), 3)
    image = (image - image.min()) / (image.max() - image.min())
    image = np.clip(image, 0, 1).reshape(size, size, channels)
    return Sample(image, (image[..., 0] > 0.5).astype(np.int32))


def contenders(channels: int) -> list[tuple[str, Strengths, list[Any], dict[str, float]]]:
    """Name, our switches, their transforms, how often groups of ours are applied."""
    stain = [A.HEStain(p=1)]
    pairs = [
        ("D4", Strengths(flip=0.5, turn=0.75), [A.D4(p=1)]),
        ("Affine", Strengths(rotate=180, scale=0.4, stretch=0.1, shear=8), [affine(1)]),
        ("ElasticTransform", Strengths(elastic=3), [elastic(1)]),
        ("  its approximate mode", Strengths(elastic=3), [elastic(1, approximate=True)]),
        ("PiecewiseAffine", Strengths(elastic=3), [A.PiecewiseAffine(p=1)]),
        ("GaussianBlur", Strengths(blur=1), [A.GaussianBlur(blur_limit=(3, 7), p=1)]),
        ("RandomBrightnessContrast", Strengths(brightness=0.1, contrast=0.3), [bright(1)]),
        ("RandomGamma", Strengths(gamma=0.6), [gamma(1)]),
        ("GaussNoise", Strengths(noise=0.05), [noise(1)]),
        ("ShotNoise", Strengths(shot=0.05), [A.ShotNoise(p=1)]),
        ("CoarseDropout", Strengths(dropout=0.1), [A.CoarseDropout(p=1)]),
        *([("HEStain", Strengths(stain=0.15), stain)] if channels == 3 else []),
    ]
    shape = [A.D4(p=1), affine(0.8), elastic(0.4)]
    tone = [bright(0.8), gamma(0.8), A.GaussianBlur(blur_limit=(3, 7), p=0.3), noise(0.5)]
    presets = [
        ("fluorescence", FLUORESCENCE, shape + tone),
        ("  theirs with ShotNoise", FLUORESCENCE, [*shape, *tone, A.ShotNoise(p=0.5)]),
        ("  neither with elastic, shot", replace(FLUORESCENCE, elastic=0, shot=0), shape[:2] + tone),
        ("histology, theirs no stain", HISTOLOGY, shape + tone),
        *([("histology with HEStain", HISTOLOGY, [*shape, *tone, A.HEStain(p=0.8)])] if channels == 3 else []),
    ]
    return [(*pair, ALWAYS) for pair in pairs] + [(*preset, USUAL) for preset in presets]


def affine(p: float) -> Any:
    return A.Affine(
        scale=(0.7, 1.4), rotate=(-180, 180), shear=(-8, 8), keep_ratio=True, p=p,
        border_mode=cv2.BORDER_REFLECT_101, fill_mask=-1,
    )  # fmt: skip


def elastic(p: float, approximate: bool = False) -> Any:
    """Smoothed over 12 pixels, half our distance of control points, for displacements of about three pixels."""
    return A.ElasticTransform(alpha=80, sigma=12, approximate=approximate, p=p)


def bright(p: float) -> Any:
    return A.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0.3, p=p)


def gamma(p: float) -> Any:
    return A.RandomGamma(gamma_limit=(60, 160), p=p)


def noise(p: float) -> Any:
    return A.GaussNoise(std_range=(0.005, 0.05), per_channel=True, p=p)


def compare(
    strengths: Strengths, transforms: list[Any], sample: Sample, chance: dict[str, float]
) -> tuple[float, float]:
    """Samples per second of ours and of theirs, measured in turns."""
    CHANCE.update(chance)
    ours = Augmenter(strengths, rgb=sample.image.shape[2] == 3)
    compose = A.Compose(transforms)

    def theirs(seed: int, sample: Sample) -> object:
        compose.set_random_seed(seed)
        return compose(image=sample.image, mask=sample.labels)

    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    slow = once(theirs, sample) > SECONDS
    once(ours, sample)
    for index in range(ROUNDS):
        rates["ours"].append(rate(ours, sample, index))
        if not (slow and index):
            rates["theirs"].append(rate(theirs, sample, index))
    CHANCE.update(USUAL)
    return statistics.median(rates["ours"]), statistics.median(rates["theirs"])


def once(augment: Augment, sample: Sample) -> float:
    began = time.process_time()
    augment(0, sample)
    return time.process_time() - began


def rate(augment: Augment, sample: Sample, round_: int) -> float:
    began, count = time.process_time(), 0
    while (spent := time.process_time() - began) < SECONDS:
        augment(round_ * 1000 + count, sample)
        count += 1
    return count / spent


def idle_rate(sample: Sample) -> float:
    """All stages on, none of them touching the sample: what albumentations' frame and the draws cost."""
    CHANCE.update(dict.fromkeys(CHANCE, 0.0))
    augment = Augmenter(replace(FLUORESCENCE, flip=0, turn=0, dropout=0.1), rgb=sample.image.shape[2] == 3)
    once(augment, sample)
    found = statistics.median(rate(augment, sample, index) for index in range(ROUNDS))
    CHANCE.update(USUAL)
    return found


if __name__ == "__main__":
    main()
