"""The strongest closed edge around a point, among outlines that are seen whole from it (star-shaped ones).

The surroundings of the point are sampled along 64 rays at radii in geometric progression. Every sample is worth the
step in brightness from the three samples inside of it to the three outside, and dynamic programming finds the closed
path around the point with the largest sum, whose radius changes by at most one sample (6.7 %) from ray to ray. True
outlines, sampled like this, keep an IoU of 0.99 on real nuclei: the form costs next to nothing, finding the right edge
is all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.window import Floats

RAYS = 64
SAMPLES = 72
SPREAD = 100.0
"""The largest radius over the smallest."""

# Found by random search on every second of 470 real objects of six kinds of images (proposed rung and best rung).
STEP = 3
"""Samples inside and outside that make a step in brightness."""
LOG_TONE = 0.5
"""Brightness goes through log(b + this), b from 0 to 1: edges of dim objects count beside those of bright ones."""
TAME = 0.85
"""Exponent of the steps in brightness."""
STRONGEST, WEAKEST = 1.2, -0.1
CROSSING = 0.25
"""Price of having crossed an edge of the other sign."""
BEND = 0.05
"""Price of a change of radius by one sample."""
OUTSIDE = 0.2
"""Worth of running outside the image."""
SMALL, SMALL_IF_EXPECTED = -0.6, -0.2
"""Preference for small outlines, without and with an expected radius."""
LEAST = -5.0


@dataclass(frozen=True)
class Stars:
    """Closed outlines around one centre, from small to large.

    Attributes
    ----------
    radii : (number, RAYS) float array
        In pixels; ray k points to the angle 2 pi k / RAYS, from right towards down.
    worth : (number,) float array
        Mean worth of the edge along each of them.
    bright : bool
        Whether the object is brighter than its surroundings.
    """

    radii: NDArray[np.float64]
    worth: NDArray[np.float64]
    bright: bool


def directions() -> NDArray[np.float64]:
    """(RAYS, 2) unit vectors (y, x)."""
    turn = 2 * np.pi * np.arange(RAYS) / RAYS
    return np.stack([np.sin(turn), np.cos(turn)], axis=1)


def stars(
    picture: Floats,
    centre: tuple[float, float],
    largest: float,
    sizes: NDArray[np.float64],
    expected: float | NDArray[np.float64] | None = None,
    trust: float = 0.5,
) -> Stars:
    """The strongest closed edges around a point, one for every preference of size.

    Parameters
    ----------
    picture : (Y, X) float32 array
    centre : (y, x)
        In pixels of the picture, (0.5, 0.5) being the middle of the first.
    largest : float
        Largest radius in pixels; the smallest is a hundredth of it.
    sizes : (number,) float array
        Preferences for large (positive) or small (negative) outlines, ascending, 0 among them. An outline for a larger
        one encloses those for the smaller ones.
    expected : float or (RAYS,) array, optional
        Radius that the outline is likely to have, `trust` being the weight of that.
    """
    radii = np.geomspace(largest / SPREAD, largest, SAMPLES)
    samples, inside = _sample(picture, centre, radii)
    steps = _steps(samples)
    ramp = (np.arange(SAMPLES) / SAMPLES - 0.5).astype(np.float32)
    lean = SMALL if expected is None else SMALL_IF_EXPECTED
    worth = np.stack([_worth(steps, inside), _worth(-steps, inside)]) + lean * ramp
    if expected is not None:
        worth -= trust * np.log(radii / np.reshape(expected, (-1, 1))) ** 2
    worth[:, :, 0] += LEAST
    leaning = worth[:, None] + sizes[:, None, None] * ramp
    paths = _closed_paths(leaning.reshape(-1, RAYS, SAMPLES).astype(np.float32))
    paths = paths.reshape(2, len(sizes), RAYS)
    values = np.take_along_axis(worth[:, None], paths[..., None], axis=3)[..., 0].mean(axis=2)
    sign = int(values.max(axis=1).argmax())
    # Sample k lies outside of the edge that it stands for.
    ratio = radii[1] / radii[0]
    return Stars(radii[paths[sign]] / np.sqrt(ratio), values[sign], sign == 0)


def _sample(picture: Floats, centre: tuple[float, float], radii: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """(RAYS, SAMPLES) the picture along the rays, blurred as far as the rays lie apart, and 1 inside of it, else 0."""
    import cv2

    way = directions()[:, :, None] * radii
    y, x = centre[0] + way[:, 0], centre[1] + way[:, 1]
    samples = np.empty((RAYS, SAMPLES), np.float32)
    halvings = np.clip(np.floor(np.log2(radii * 2 * np.pi / RAYS)), 0, 5).astype(int)
    level = cv2.GaussianBlur(picture, (0, 0), 0.6)
    for halving in range(int(halvings.max()) + 1):
        here = halvings == halving
        scale = 2.0**halving
        at_x, at_y = (x[:, here] / scale - 0.5).astype(np.float32), (y[:, here] / scale - 0.5).astype(np.float32)
        samples[:, here] = cv2.remap(level, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        level = cv2.pyrDown(level)
    height, width = picture.shape
    return samples, ((y >= 0) & (y <= height) & (x >= 0) & (x <= width)).astype(np.float32)


def _steps(samples: Floats) -> Floats:
    """The steps down in brightness at every sample, going outwards, the strong ones about 1."""
    low, high = np.percentile(samples, [1, 99])
    tone = np.log(np.clip((samples - low) / max(high - low, 1e-6), 0, 1.5) + LOG_TONE)
    sums = np.pad(np.pad(tone, ((0, 0), (STEP, STEP)), mode="edge").cumsum(axis=1), ((0, 0), (1, 0)))
    before, here, after = (sums[:, start : start + SAMPLES] for start in (0, STEP, 2 * STEP))
    steps = (2 * here - before - after) / STEP
    steps /= max(float(np.percentile(np.abs(steps), 95)), 1e-6)
    tamed: Floats = (np.sign(steps) * np.abs(steps) ** TAME).astype(np.float32)
    return tamed


def _worth(steps: Floats, inside: Floats) -> Floats:
    """What an edge of a bright object is worth at every sample."""
    crossed = np.maximum.accumulate(np.clip(-steps, 0, STRONGEST), axis=1)
    crossed = np.pad(crossed, ((0, 0), (STEP, 0)))[:, :SAMPLES]
    worth: Floats = np.where(inside > 0, np.clip(steps, WEAKEST, STRONGEST) - CROSSING * crossed, OUTSIDE)
    return worth.astype(np.float32)


def _closed_paths(worth: Floats) -> NDArray[np.int64]:
    """(N, RAYS) the samples of the closed path of largest worth, for each of (N, RAYS, SAMPLES) worths.

    The rays are gone through twice; the middle lap, which begins and ends where it likes, closes by itself.
    """
    number = len(worth)
    best = worth[:, 0].copy()
    moves = np.zeros((2 * RAYS, number, SAMPLES), np.int8)
    for turn in range(1, 2 * RAYS):
        chosen, move = best.copy(), moves[turn]
        for shift, here, there in ((-1, np.s_[:, 1:], np.s_[:, :-1]), (1, np.s_[:, :-1], np.s_[:, 1:])):
            offered = best[there] - BEND
            better = offered > chosen[here]
            chosen[here][better] = offered[better]
            move[here][better] = shift
        best = chosen + worth[:, turn % RAYS]
    path = np.empty((2 * RAYS, number), np.int64)
    path[-1] = best.argmax(axis=1)
    every = np.arange(number)
    for turn in range(2 * RAYS - 1, 0, -1):
        path[turn - 1] = path[turn] + moves[turn, every, path[turn]]
    middle = path[RAYS // 2 : RAYS // 2 + RAYS]
    return np.roll(middle, RAYS // 2, axis=0).T
