"""The plots of motion: paths from one origin (rose), MSD with its fit, speed over time and around divisions."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.analysis.figure import Axis, Curve, Figure
from mia_tui.analysis.motion_results import Group, Motion
from mia_tui.project import PALETTE
from mia_tui.tracking.around_division import speed_around
from mia_tui.tracking.motion import by_group

Array = npt.NDArray[Any]

MOST_PATHS = 500
"""Paths in a rose; of more tracks every so-many-th is drawn."""
LEAST_CELLS = 3
"""Cells that a mean around divisions is drawn of, where there are so many."""
_TIMES = ((300.0, "s", 1.0), (18_000.0, "min", 60.0), (np.inf, "h", 3600.0))
"""Longest span, name and seconds of units of time."""
_LOG_POINTS = 50


class Shown:
    """Units and colours as plots show them: the time in seconds, minutes or hours by the length of the sequence."""

    def __init__(self, motion: Motion, colors: Mapping[str, str] | None = None) -> None:
        units = motion.units
        self.length = "µm" if units.length == "um" else units.length
        self.time, self.second = units.time, 1.0
        if units.time == "s":
            span = motion.tracks.frames * units.interval
            self.time, self.second = next((name, factor) for most, name, factor in _TIMES if span <= most)
        self.speed = f"{self.length}/{self.time}"
        self.area = f"{self.length}²"
        names = motion.tracks.classes
        self.colors = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)} | dict(colors or {})

    def times(self, values: Any) -> Any:
        return values / self.second

    def speeds(self, values: Any) -> Any:
        return values * self.second


def class_groups(motion: Motion) -> Iterator[Group]:
    """The groups that are classes."""
    return (group for group in motion.groups if group.name)


def rose(motion: Motion, shown: Shown) -> Figure:
    """All paths moved to one origin; of 3-D motion the projection along z."""
    steps, tracks = motion.steps, motion.tracks
    rows = np.flatnonzero(steps.seen)
    owner, first, where = np.unique(tracks.track[rows], return_index=True, return_inverse=True)
    places = steps.position[rows][:, -2:]
    away = places - places[first][where]
    stride = -(-len(owner) // MOST_PATHS) or 1
    drawn = owner[::stride]
    curves = []
    for group in class_groups(motion):
        own = np.isin(owner[where], [t for t in drawn.tolist() if t in group.tracks])
        path, ends = _broken(away[own], where[own])
        color = shown.colors[group.name]
        curves.append(Curve(path[:, 1], path[:, 0], color, group.name, faint=True, width=1.2))
        curves.append(Curve(ends[:, 1], ends[:, 0], color, kind="dots", faint=True))
    reach = 1.05 * (float(np.abs(away).max(initial=0)) or 1.0)
    limits = -reach, reach
    return Figure(
        "Paths from one origin",
        Axis(f"x ({shown.length})", limits=limits),
        Axis(f"y ({shown.length})", limits=limits, down=True),
        tuple(curves),
        notes=() if stride == 1 else (f"{len(drawn)} of {len(owner)} tracks",),
        square=True,
        size=(560, 600),
    )


def _broken(points: Array, owner: Array) -> tuple[Array, Array]:
    """Paths one after the other with NaN between them, and their last points."""
    border = np.flatnonzero(np.diff(owner)) + 1
    last = np.append(border, len(points))[: len(border) + bool(len(points))] - 1
    return np.insert(points, border, np.nan, axis=0), points[last]


def msd(motion: Motion, shown: Shown) -> Figure:
    """MSD of each class over the lag, both logarithmic: the mean with its standard error, and the power law dashed."""
    axes = len(motion.units.sizes)
    curves = []
    for group in class_groups(motion):
        found = group.curve
        kept = _even(found.lag, (found.tracks >= min(2, len(group.tracks))) & (found.value > 0))
        lag, value, sem = shown.times(found.lag[kept] * motion.units.interval), found.value[kept], found.sem[kept]
        color = shown.colors[group.name]
        known = np.nan_to_num(sem)
        low = np.maximum(value - known, value / 2)
        curves.append(Curve(lag, value, color, group.name, "dots", low=low, high=value + known))
        if len(group.fits.owner) and not np.isnan(group.fits.alpha[0]):
            times = np.array([1, group.fits.lags[0]]) * motion.units.interval
            line = 2 * axes * group.fits.generalized[0] * times ** group.fits.alpha[0]
            d = group.fits.diffusion[0] * shown.second
            name = f"α {group.fits.alpha[0]:.2f}, D {d:.3g} {shown.area}/{shown.time}"
            curves.append(Curve(shown.times(times), line, color, name, "dashed"))
    return Figure(
        "Mean squared displacement",
        Axis(f"lag ({shown.time})", log=True),
        Axis(f"MSD ({shown.area})", log=True),
        tuple(curves),
        notes=("dashed: the power law over the lags it was fitted to; band: standard error between tracks",),
    )


def _even(lag: Array, good: Array) -> Array:
    """Rows of about evenly spread logarithms of the lag."""
    rows = np.flatnonzero(good)
    if len(rows) <= _LOG_POINTS:
        return rows
    at = np.searchsorted(lag[rows], np.geomspace(lag[rows[0]], lag[rows[-1]], _LOG_POINTS))
    chosen: Array = rows[np.unique(np.minimum(at, len(rows) - 1))]
    return chosen


def speed(motion: Motion, shown: Shown) -> Figure:
    """Mean speed of each class over time with its standard deviation."""
    tracks, frames = motion.tracks, motion.tracks.frames
    classes = {name: number for number, name in enumerate(tracks.classes)}
    label = np.array([classes[motion.classes[int(track)]] for track in motion.whole.track], np.int64)
    own = label[np.searchsorted(motion.whole.track, tracks.track)]
    found = by_group(motion.steps.speed, own * frames + tracks.frame, len(classes) * frames)
    time = shown.times(np.arange(frames) * motion.units.interval)
    curves = []
    for group in class_groups(motion):
        part = slice(classes[group.name] * frames, (classes[group.name] + 1) * frames)
        mean, std = shown.speeds(found.mean[part]), shown.speeds(found.std[part])
        curves.append(
            Curve(time, mean, shown.colors[group.name], group.name, low=np.maximum(mean - std, 0), high=mean + std)
        )
    return Figure(
        "Speed over time",
        Axis(f"time ({shown.time})"),
        Axis(f"speed ({shown.speed})", from_zero=True),
        tuple(curves),
        notes=("mean and standard deviation of the cells on each frame",),
    )


def around(motion: Motion, shown: Shown) -> Figure:
    """Mean speed of each class over the time from division with its standard error."""
    curves = []
    for group in class_groups(motion):
        frames, found = speed_around(motion.aligned.of(group.tracks))
        kept = found.count >= min(LEAST_CELLS, found.count.max(initial=0))
        every = np.arange(frames[kept][0], frames[kept][-1] + 1) if kept.any() else frames
        mean, sem = (np.full(len(every), np.nan) for _ in range(2))
        at = np.searchsorted(every, frames[kept])  # frame 0, that of the division itself, stays a break
        mean[at], sem[at] = shown.speeds(found.mean[kept]), shown.speeds(found.sem[kept])
        time = shown.times(every * motion.units.interval)
        if len(every):
            color = shown.colors[group.name]
            band = np.nan_to_num(sem)
            curves.append(Curve(time, mean, color, group.name, low=np.maximum(mean - band, 0), high=mean + band))
    return Figure(
        "Speed around division",
        Axis(f"time from division ({shown.time})"),
        Axis(f"speed ({shown.speed})", from_zero=True),
        tuple(curves),
        rules=(0.0,),
        notes=(compared_text(motion, shown),) if curves else (),
    )


def compared_text(motion: Motion, shown: Shown) -> str:
    """Before against after in one line."""
    found, unit = motion.compared, shown.speed
    if not found.divisions:
        return f"no division with speeds in the {motion.window} frames on both sides"
    before, after = (
        f"{shown.speeds(mean):.3g}" + ("" if np.isnan(sem) else f" ± {shown.speeds(sem):.2g}") + f" {unit}"
        for mean, sem in ((found.before, found.before_sem), (found.after, found.after_sem))
    )
    p = "" if np.isnan(found.p) else ", Wilcoxon p < 0.001" if found.p < 0.001 else f", Wilcoxon p = {found.p:.3f}"
    return f"{motion.window} frames before: {before}, after: {after} ({counted(found.divisions, 'division')}{p})"


def counted(number: int, noun: str) -> str:
    """`1 division`, `2 divisions`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
