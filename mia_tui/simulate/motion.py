"""Moving points with exact links, for tests and benches of tracking: no picture, only what a detector would report.

Objects move by Brownian steps and a velocity of their own (autoregressive of first order) in a field that reflects them
and is larger than the view, while the stage drifts, turning slowly, and jumps where told; so objects enter and leave.
They divide and die at constant rates. Each sighting is off by the localisation noise, some are missed, some are false.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError

Array = NDArray[Any]


@dataclass(frozen=True)
class Motion:
    """How points move and are seen. Lengths in pixels, rates per frame and object.

    Attributes
    ----------
    spacing : float
        Side of the square (cube) that holds one object on average; the mean nearest neighbour is at half of it.
    step : float
        Standard deviation of the Brownian step along each axis.
    velocity, memory : float
        Standard deviation of the own velocity along each axis, and its correlation from frame to frame.
    drift : tuple of two floats
        Of the stage (y, x) per frame; it turns once in `turn` frames.
    noise : float
        Standard deviation of the localisation along each axis.
    missed, false : float
        Share of sightings that are missing, and false ones per object.
    division, death : float
    daughters : float
        Distance of a daughter from where the mother was.
    jumps : dict
        Frame -> shift (y, x) of the stage before it.
    classes : int
    flips : float
        Share of sightings with a wrong class.
    """

    spacing: float = 70.0
    step: float = 3.0
    velocity: float = 1.0
    memory: float = 0.9
    drift: tuple[float, float] = (1.5, -0.7)
    turn: float = 120.0
    noise: float = 0.7
    missed: float = 0.05
    false: float = 0.02
    division: float = 0.004
    death: float = 0.004
    daughters: float = 8.0
    jumps: dict[int, tuple[float, float]] = field(default_factory=dict)
    classes: int = 1
    flips: float = 0.0


EASY = Motion()
HARD = Motion(step=6.0, drift=(5.0, -3.0))


@dataclass(frozen=True)
class PointMovie:
    """What was seen and what belongs together. Rows are sightings, sorted by frame, in random order within one.

    Attributes
    ----------
    frame : (N,) int32
    position : (N, 2) or (N, 3) float64
        (y, x) or (z, y, x).
    label : (N,) int16
    edges : (E, 2) int64
        Rows (from, to): from each sighting to the object's next one in view, from a mother's last to the first of each
        daughter. An object that left the view comes back as another.
    frames : int
    """

    frame: Array
    position: Array
    label: Array
    edges: Array
    frames: int


@dataclass
class _Crowd:
    """The objects that live: place in the field, velocity, class, and the row of the last sighting in view or -1."""

    place: Array
    velocity: Array
    label: Array
    seen: Array

    def rows(self, which: Array) -> "_Crowd":
        return _Crowd(self.place[which], self.velocity[which], self.label[which], self.seen[which])


def simulate_points(frames: int, objects: int, motion: Motion = EASY, *, seed: int, axes: int = 2) -> PointMovie:
    """Simulate sightings of about `objects` moving points in view on each frame. The same arguments give the same bits.

    Raises
    ------
    MiaError
        Without frames or with a negative number of objects, or for other than 2 or 3 axes.
    """
    if frames < 1 or objects < 0 or axes not in (2, 3):
        raise MiaError(f"{frames} frames of {objects} points with {axes} axes cannot be simulated: give at least one "
                       "frame, no negative number of points, and 2 or 3 axes.")  # fmt: skip
    rng = np.random.default_rng(seed)
    side = motion.spacing * max(objects, 1) ** (1 / axes)
    stage = _stage(frames, motion, axes)
    low, high = stage.min(0) - motion.spacing, stage.max(0) + side + motion.spacing
    alive = rng.poisson(objects * float(np.prod((high - low) / side))) if objects else 0
    crowd = _Crowd(
        rng.uniform(low, high, (alive, axes)), motion.velocity * rng.standard_normal((alive, axes)),
        rng.integers(motion.classes, size=alive), np.full(alive, -1),
    )  # fmt: skip
    found: list[tuple[Array, Array]] = []
    edges: list[Array] = []
    total = 0
    for t in range(frames):
        if t:
            crowd = _advance(crowd, motion, low, high, rng)
        places, labels, links = _look(crowd, stage[t], side, total, objects, motion, rng)
        found.append((places, labels))
        edges.append(links)
        total += len(places)
    frame = np.repeat(np.arange(frames, dtype=np.int32), [len(places) for places, _ in found])
    return PointMovie(
        frame, np.concatenate([places for places, _ in found]), np.concatenate([labels for _, labels in found]),
        np.concatenate(edges), frames,
    )  # fmt: skip


def _stage(frames: int, motion: Motion, axes: int) -> Array:
    """(frames, axes): where the view's corner is in the field."""
    angle = 2 * np.pi * np.arange(frames) / motion.turn
    y, x = motion.drift
    steps = np.zeros((frames, axes))
    steps[:, -2] = -(y * np.cos(angle) - x * np.sin(angle))
    steps[:, -1] = -(y * np.sin(angle) + x * np.cos(angle))
    for t, jump in motion.jumps.items():
        steps[t, -2:] -= jump
    steps[0] = 0
    path: Array = np.cumsum(steps, axis=0)
    return path


def _advance(crowd: _Crowd, motion: Motion, low: Array, high: Array, rng: np.random.Generator) -> _Crowd:
    """One frame later: deaths, divisions, steps."""
    crowd = crowd.rows(rng.random(len(crowd.place)) >= motion.death)
    divides = rng.random(len(crowd.place)) < motion.division
    axis = rng.standard_normal((int(divides.sum()), crowd.place.shape[1]))
    axis *= motion.daughters / np.linalg.norm(axis, axis=1, keepdims=True)
    twin = crowd.rows(divides)
    crowd.place[divides] += axis
    twin.place -= axis
    twin.velocity = motion.velocity * rng.standard_normal(twin.velocity.shape)
    crowd = _Crowd(*(np.concatenate([getattr(crowd, name), getattr(twin, name)]) for name in vars(crowd)))
    fresh = motion.velocity * np.sqrt(1 - motion.memory**2) * rng.standard_normal(crowd.velocity.shape)
    crowd.velocity = motion.memory * crowd.velocity + fresh
    crowd.place = crowd.place + crowd.velocity + motion.step * rng.standard_normal(crowd.place.shape)
    outside = (crowd.place < low) | (crowd.place > high)
    crowd.velocity[outside] *= -1
    crowd.place = np.where(crowd.place < low, 2 * low - crowd.place, crowd.place)
    crowd.place = np.where(crowd.place > high, 2 * high - crowd.place, crowd.place)
    return crowd


def _look(
    crowd: _Crowd, corner: Array, side: float, total: int, objects: int, motion: Motion, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """(places, labels, links) of one frame's sightings, whose rows begin at `total`; notes them in the crowd."""
    local = crowd.place - corner
    inside = np.all((local >= 0) & (local < side), axis=1)
    crowd.seen[~inside] = -1
    seen = np.flatnonzero(inside & (rng.random(len(local)) >= motion.missed))
    false = rng.uniform(0, side, (rng.poisson(objects * motion.false), local.shape[1]))
    places = local[seen] + motion.noise * rng.standard_normal((len(seen), local.shape[1]))
    labels = np.concatenate([crowd.label[seen], rng.integers(motion.classes, size=len(false))])
    flipped = rng.random(len(labels)) < motion.flips
    labels[flipped] = (labels[flipped] + 1) % motion.classes
    order = rng.permutation(len(labels))
    rows = np.empty(len(labels), np.int64)
    rows[order] = total + np.arange(len(labels))
    known = crowd.seen[seen] >= 0
    links = np.stack([crowd.seen[seen][known], rows[: len(seen)][known]], 1)
    crowd.seen[seen] = rows[: len(seen)]
    return np.concatenate([places, false])[order], labels[order].astype(np.int16), links
