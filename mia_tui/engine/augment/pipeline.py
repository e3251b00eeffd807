"""Augmenting a sample: the transforms whose switches are on, in the order in which an image comes about."""

import os
import random
from typing import Any

import numpy as np

from mia_tui.engine.augment import geometry
from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.augment.strengths import Strengths

_STAGES: dict[str, tuple[str, ...]] = {
    "geometry": ("flip", "turn", "rotate", "scale", "stretch", "shear", "translate", "elastic"),
    "blur": ("blur",),
    "tone": ("brightness", "contrast", "gamma", "channel", "stain"),
    "noise": ("noise", "shot"),
    "dropout": ("dropout",),
}
"""The stages in order, each with its switches: light is blurred before it is counted, and counted before noise."""

_MOVING = list(_STAGES).index("geometry")
"""Stream of the stage that moves pixels, the first."""


class Augmenter:
    """Random changes of samples, the same for the same seed whatever was drawn before, in any process.

    Creating the first one imports albumentations, which takes seconds. Each stage draws from a stream of its own and in
    a fixed order: turning a switch up, down or off leaves what the others do as it was.

    Parameters
    ----------
    strengths : Strengths
    rgb : bool
        The three channels are red, green and blue (stains need it).
    unit : bool
        Images are in 0..1 and are cut back to it. False: z-scored, never cut; then stains are left alone.
    """

    def __init__(self, strengths: Strengths, *, rgb: bool, unit: bool = True) -> None:
        self.strengths, self.rgb, self.unit = strengths, rgb, unit
        self._streams = [
            index for index, switches in enumerate(_STAGES.values()) if any(getattr(strengths, s) > 0 for s in switches)
        ]
        self._moves = _MOVING in self._streams
        self._compose = _compose(strengths, self._streams, rgb and unit, unit)
        self._coin = random.Random(0)  # albumentations wants one; all its transforms here are certain

    def warp(self, seed: int, size: tuple[int, int]) -> geometry.Warp | None:
        """The change of shape that a patch of `size` (Y, X) gets with this seed; None without a geometric switch."""
        if not self._moves:
            return None
        return geometry.draw_warp(self.strengths, size, np.random.default_rng((seed, _MOVING)))

    def __call__(self, seed: int, sample: Sample, place: geometry.Place = (0, 0), size: Any = None) -> Sample:
        """The changed sample, or the changed patch of `size` (Y, X) at `place` of it.

        `known` is False where pixels came from outside the sample (and is made when labels or points need it); points
        that left the patch are gone and `kept` tells which stayed. The input is not written to, but arrays that
        nothing changed may be shared with it.

        Parameters
        ----------
        seed : int
            Not negative.
        sample : Sample
        place : (int, int)
            First pixel (y, x) of the patch.
        size : (int, int), optional
            Height and width of the patch; None is the whole sample. With the `geometry.margins` of its `warp` around
            it, its corners show what is there.

        Raises
        ------
        ValueError
            When `rgb` was promised and the image has not three channels, or the patch is not inside the sample.
        """
        there = sample.image.shape[:2]
        size = there if size is None else size
        if self.rgb and sample.image.shape[2] != 3:
            raise ValueError(f"an RGB image has three channels, not {sample.image.shape[2]}")
        if any(first < 0 or first + side > whole for first, side, whole in zip(place, size, there, strict=True)):
            raise ValueError(f"a patch of {size} at {place} is not inside a sample of {there}")
        if not self._moves and size != there:
            raise ValueError("without a geometric switch a patch is the whole sample")
        known = sample.known
        if known is None and (sample.labels is not None or sample.points is not None):
            known = np.ones(there, np.bool_)
        for stream, transform in zip(self._streams, self._compose.transforms, strict=True):
            # Not Compose.set_random_seed: it hands the same stream to every transform, and their draws would coincide.
            transform.set_random_state(np.random.default_rng((seed, stream)), self._coin)
        if self._moves:
            self._compose.transforms[0].place, self._compose.transforms[0].size = place, size
        out = self._compose(image=sample.image, labels=sample.labels, known=known, points=sample.points)
        points, kept = out["points"], None
        if points is not None:
            kept = np.flatnonzero(((points >= -0.5) & (points < np.array(size) - 0.5)).all(axis=1))
            points = points[kept]
        return Sample(out["image"], out["labels"], out["known"], points, kept)


def _compose(strengths: Strengths, streams: list[int], stained: bool, unit: bool) -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks the net for news
    import albumentations

    from mia_tui.engine.augment import transforms

    stages = [
        transforms.Geometry(strengths),
        transforms.Blur(strengths),
        transforms.Tone(strengths, stained, unit),
        transforms.Noise(strengths, unit),
        transforms.Dropout(strengths),
    ]
    return albumentations.Compose([stages[stream] for stream in streams])
