"""How objects move: every step of a track, and every track as a whole.

Everything is measured between positions where an object was seen. An interpolated position (a filled gap) is a guess
on a straight line: taken as data it would make motion look smooth and slow. A step therefore leads from one seen
position to the next, however many frames it spans; the path goes straight across a gap and is a lower bound there.
Speed and turning angle are left out at a step that spans more than one frame, because their sizes depend on the span:
of random motion, the displacement over n frames divided by n is smaller than that over one frame by the square root
of n.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.imaging.source import Calibration
from mia_tui.tracking.tracks import Tracks

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Units:
    """In what lengths and times are measured.

    Attributes
    ----------
    length, time : str
        "um" or "px"; "s" or "frame".
    sizes : tuple of float
        Length of a pixel (or the distance of planes) along each axis of the positions.
    interval : float
        Time from frame to frame.
    """

    length: str
    time: str
    sizes: tuple[float, ...]
    interval: float

    @property
    def speed(self) -> str:
        return f"{self.length}/{self.time}"

    @property
    def area(self) -> str:
        return f"{self.length}2"


def units_for(calibration: Calibration, dimensions: int = 2) -> Units:
    """Micrometres and seconds where they are known, else pixels and frames.

    In three dimensions micrometres need the step between planes as well; without it lengths are in pixels and a plane
    counts as one.
    """
    pixel, depth, interval = calibration.pixel_size, calibration.z_step, calibration.frame_interval
    sizes: tuple[float, ...] | None = pixel
    if dimensions == 3:
        sizes = (depth, *pixel) if pixel is not None and depth is not None else None
    return Units(
        "px" if sizes is None else "um",
        "frame" if interval is None else "s",
        sizes or (1.0,) * dimensions,
        interval or 1.0,
    )


def drift(tracks: Tracks) -> Array:
    """(frames, D) by how much everything has moved since the first frame, in pixels: the sum of median steps.

    The median over all steps of one frame, axis by axis, does not follow the few that really move far. Where there is
    no such step nothing is added.
    """
    rows = np.flatnonzero(tracks.object > 0)
    owner, frame, places = tracks.track[rows], tracks.frame[rows], tracks.position[rows]
    single = (np.diff(owner) == 0) & (np.diff(frame) == 1)
    moves, into = np.diff(places, axis=0)[single], frame[1:][single]
    medians = [by_group(moves[:, axis], into, tracks.frames).median for axis in range(places.shape[1])]
    moved: Array = np.nan_to_num(np.stack(medians, axis=1)).cumsum(axis=0)
    return moved


def without_drift(tracks: Tracks) -> Tracks:
    """The tracks as if the field of view had stood still."""
    return replace(tracks, position=tracks.position - drift(tracks)[tracks.frame])


@dataclass(frozen=True)
class Steps:
    """What is measured at every row of `Tracks`; NaN where there is nothing to measure.

    Attributes
    ----------
    time : (M,) float64
        Since the first frame of the sequence.
    position : (M, D) float64
        In units of length, also of interpolated rows.
    seen : (M,) bool
        False where the position is interpolated; nothing else is measured there.
    frames : (M,) int64
        Frames that the step to this row spans; 0 at the first row of a track and at interpolated ones.
    displacement : (M, D) float64
        From the seen position before.
    step : (M,) float64
        Length of the displacement.
    speed : (M,) float64
        Of steps over one frame.
    turning : (M,) float64
        Radians, between the step to this row and the next, both over one frame and not of length 0. In 2-D -pi to pi,
        positive is counter-clockwise as seen on the image (whose y axis points down); in 3-D 0 to pi.
    path : (M,) float64
        Sum of the steps up to here.
    distance : (M,) float64
        From the first seen position.
    """

    time: Array
    position: Array
    seen: Array
    frames: Array
    displacement: Array
    step: Array
    speed: Array
    turning: Array
    path: Array
    distance: Array


def measure_steps(tracks: Tracks, units: Units) -> Steps:
    """Measure every row of tracks."""
    seen = tracks.object > 0
    rows = np.flatnonzero(seen)
    places = tracks.position * np.asarray(units.sizes)
    here, owner, frame = places[rows], tracks.track[rows], tracks.frame[rows].astype(np.int64)
    inner = np.zeros(len(rows), bool)
    inner[1:] = owner[1:] == owner[:-1]
    move = np.full(here.shape, np.nan)
    move[1:] = np.diff(here, axis=0)
    move[~inner] = np.nan
    span = np.zeros(len(rows), np.int64)
    span[1:] = np.diff(frame)
    span[~inner] = 0
    step = np.linalg.norm(move, axis=1)
    first = np.maximum.accumulate(np.where(inner, 0, np.arange(len(rows))))
    path = np.cumsum(np.where(inner, step, 0.0))

    def whole(values: Array, otherwise: float = np.nan) -> Array:
        column = np.full((len(tracks), *values.shape[1:]), otherwise, values.dtype)
        column[rows] = values
        return column

    return Steps(
        time=tracks.frame * units.interval,
        position=places,
        seen=seen,
        frames=whole(span, 0),
        displacement=whole(move),
        step=whole(step),
        speed=whole(np.where(span == 1, step / units.interval, np.nan)),
        turning=whole(_turning(move, span)),
        path=whole(path - path[first]),
        distance=whole(np.linalg.norm(here - here[first], axis=1)),
    )


def _turning(move: Array, span: Array) -> Array:
    """(N,) angle from the move that leads to a row to the one that leads to the next."""
    turning = np.full(len(move), np.nan)
    at = np.flatnonzero((span[:-1] == 1) & (span[1:] == 1))
    before, after = move[at], move[at + 1]
    dot = (before * after).sum(axis=1)
    if move.shape[1] == 2:
        across = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    else:
        across = np.linalg.norm(np.cross(before, after), axis=1)
    moved = before.any(axis=1) & after.any(axis=1)
    turning[at[moved]] = np.arctan2(across, dot)[moved]
    return turning


@dataclass(frozen=True)
class TrackMotion:
    """Every track as a whole; columns of K values, by track number. NaN where there is nothing to measure.

    Attributes
    ----------
    track : (K,) int64
    label : (K,) int64
        The class that most of its objects have.
    first, last : (K,) int64
        Frames, 0-based.
    seen, missing : (K,) int64
        Frames from first to last with an object, and without one.
    duration : (K,) float64
        From the first frame to the last; 0 for a track of one frame.
    net, path : (K,) float64
        Distance of the last seen position from the first; sum of all steps.
    directionality : (K,) float64
        net / path, 0 to 1: the confinement or meandering ratio. It falls with the length of a track, so compare tracks
        of about one length.
    speed_mean, speed_median, speed_max, speed_std : (K,) float64
        Over steps of one frame.
    turning : (K,) float64
        Mean size of the turning angle, 0 to pi; pi / 2 for random motion.
    turning_signed : (K,) float64
        Mean turning angle with its sign; NaN in 3-D.
    """

    track: Array
    label: Array
    first: Array
    last: Array
    seen: Array
    missing: Array
    duration: Array
    net: Array
    path: Array
    directionality: Array
    speed_mean: Array
    speed_median: Array
    speed_max: Array
    speed_std: Array
    turning: Array
    turning_signed: Array

    def __len__(self) -> int:
        return len(self.track)


def measure_tracks(tracks: Tracks, steps: Steps, units: Units) -> TrackMotion:
    """Sum up every track."""
    numbers, owner = np.unique(tracks.track, return_inverse=True)
    count = len(numbers)
    spans = tracks.spans().reshape(-1, 4)
    labels = tracks.labels()
    seen = np.bincount(owner[steps.seen], minlength=count)
    path, net = np.full((2, count), np.nan)
    rows = np.flatnonzero(steps.seen)  # the last seen row of a track is the one that stays
    path[owner[rows]] = steps.path[rows]
    net[owner[rows]] = steps.distance[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        directionality = np.where(path > 0, np.minimum(net / path, 1.0), np.nan)
    speed = by_group(steps.speed, owner, count)
    signed = by_group(steps.turning, owner, count)
    flat = tracks.position.shape[1] == 2
    return TrackMotion(
        track=numbers,
        label=np.array([labels[int(number)] for number in numbers], np.int64),
        first=spans[:, 1],
        last=spans[:, 2],
        seen=seen,
        missing=spans[:, 2] - spans[:, 1] + 1 - seen,
        duration=(spans[:, 2] - spans[:, 1]) * units.interval,
        net=net,
        path=path,
        directionality=directionality,
        speed_mean=speed.mean,
        speed_median=speed.median,
        speed_max=speed.largest,
        speed_std=speed.std,
        turning=by_group(np.abs(steps.turning), owner, count).mean,
        turning_signed=signed.mean if flat else np.full(count, np.nan),
    )


@dataclass(frozen=True)
class Spread:
    """Statistics of the values of each of G groups; NaN where there are too few.

    Attributes
    ----------
    count : (G,) int64
    mean, median, largest : (G,) float64
    std : (G,) float64
        Of the sample (divided by count - 1).
    sem : (G,) float64
        Standard error of the mean.
    """

    count: Array
    mean: Array
    median: Array
    largest: Array
    std: Array
    sem: Array


def by_group(values: Array, group: Array, groups: int) -> Spread:
    """Statistics per group, values that are NaN left out.

    Parameters
    ----------
    values : (N,) float
    group : (N,) int
        0 up to `groups`.
    """
    known = ~np.isnan(values)
    values, group = values[known], group[known]
    order = np.lexsort((values, group))
    values, group = values[order], group[order]
    count = np.bincount(group, minlength=groups)
    end = np.cumsum(count)
    start = end - count
    filled = count > 0
    median, largest = np.full((2, groups), np.nan)
    middle = start + count // 2
    median[filled] = (values[(start + (count - 1) // 2)[filled]] + values[middle[filled]]) / 2
    largest[filled] = values[end[filled] - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(group, values, groups) / count
        squares = np.bincount(group, (values - mean[group]) ** 2, groups)
        std = np.sqrt(np.where(count > 1, squares / (count - 1), np.nan))
        return Spread(count, mean, median, largest, std, std / np.sqrt(count))
