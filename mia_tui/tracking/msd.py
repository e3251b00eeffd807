"""Mean squared displacement (MSD) over time lags, and what it says about the kind of motion.

The MSD of a track at a lag of n frames is the mean of |r(t + n) - r(t)|^2 over all times t at which both positions were
seen (overlapping windows, time average). Two straight lines are fitted to its first quarter of lags, at least three:

- log MSD against log lag: MSD = 2 d D_alpha t^alpha, with the anomalous exponent alpha (1 for diffusion, 2 for straight
  motion, below 1 where something confines it);
- MSD against lag: MSD = 2 d D t + 2 d sigma^2, with the diffusion coefficient D and the error of localisation sigma
  along one axis (in 2-D, 4 D t + 4 sigma^2).

Points are weighted by the inverse of the variance that diffusion gives them, because long lags rest on few windows that
overlap: H. Qian, M. P. Sheetz, E. L. Elson, Biophys. J. 60, 910 (1991); on how many lags to fit and on sigma:
X. Michalet, Phys. Rev. E 82, 041914 (2010). The weights of the second fit come from this model and not from the
measured MSD, so that D and sigma^2 are not biased by the noise; of short tracks D can be below zero, and cutting it off
there would bias their mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft

from mia_tui.tracking.motion import Units
from mia_tui.tracking.tracks import Tracks

Array = npt.NDArray[Any]

LEAST_LAGS = 3
"""Lags that a fit needs, and has where a quarter of them is less."""
_BLOCK = 1 << 20
"""Numbers in one Fourier transform of many tracks."""
_ROUNDING = 1e-13
"""Of the sum of squares: what Fourier transforms leave where the sum is zero."""


@dataclass(frozen=True)
class Msd:
    """MSD curves as columns, sorted by owner, then lag; only lags with a window.

    Attributes
    ----------
    owner : (L,) int64
        The track (or, of an ensemble, the number of the group).
    lag : (L,) int64
        Frames, at least 1.
    value : (L,) float64
        Square of the unit of length.
    windows : (L,) int64
        Pairs of positions that the mean is over.
    variance : (L,) float64
        Of the value, relative to its square, for diffusion in 2-D (for d dimensions times 2 / d).
    tracks : (L,) int64
        How many tracks have windows of this lag.
    sem : (L,) float64
        Of an ensemble: standard error between its tracks; NaN for one track.
    """

    owner: Array
    lag: Array
    value: Array
    windows: Array
    variance: Array
    tracks: Array
    sem: Array

    def __len__(self) -> int:
        return len(self.owner)


def track_msd(tracks: Tracks, units: Units) -> Msd:
    """MSD of every track; interpolated positions are left out.

    Sums over windows are correlations, computed by Fourier transforms of positions and of the mask of those seen, so
    that a track of n frames takes n log n instead of n^2 steps (V. Calandrini et al., Collection SFN 12, 201 (2011)).
    """
    seen = tracks.object > 0
    owner, start = np.unique(tracks.track[seen], return_index=True)
    frame = tracks.frame[seen].astype(np.int64)
    places = tracks.position[seen] * np.asarray(units.sizes)
    end = np.append(start[1:], len(frame))[: len(start)]
    length = frame[end - 1] - frame[start] + 1
    parts = []
    for block in _blocks(length):
        sums, windows = _window_sums(frame, places, start[block], end[block], int(length[block].max()))
        which, lag = np.nonzero(windows[:, 1:])
        lag += 1
        parts.append((owner[block][which], lag, sums[which, lag] / windows[which, lag], windows[which, lag]))
    if not parts:
        return _curves(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    return _curves(*(column[order] for column in columns))


def _curves(owner: Array, lag: Array, value: Array, windows: Array) -> Msd:
    variance = relative_variance(lag, windows)
    return Msd(owner, lag, value, windows, variance, np.ones_like(owner), np.full(len(owner), np.nan))


def _blocks(length: Array) -> list[Array]:
    """Tracks of two frames and more, in blocks of about one length."""
    order = np.argsort(length, kind="stable")
    order = order[length[order] > 1]
    blocks = []
    while len(order):
        size = max(1, _BLOCK // int(2 * length[order[0]]))
        near = int(np.searchsorted(length[order], 1.25 * length[order[0]], side="right"))
        blocks.append(order[: min(size, near)])
        order = order[min(size, near) :]
    return blocks


def _window_sums(frame: Array, places: Array, start: Array, end: Array, width: int) -> tuple[Array, Array]:
    """(B, width) sums of squared displacements over the windows of each lag, and (B, width) the numbers of windows."""
    counts = end - start
    track = np.repeat(np.arange(len(start)), counts)
    rows = np.arange(len(track)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    at = frame[rows] - frame[start][track]
    size = next_fast_len(2 * width, real=True)
    shape = (len(start), width)
    mask = np.zeros(shape)
    mask[track, at] = 1
    offset = places[rows] - places[start][track]
    square = np.zeros(shape)
    square[track, at] = (offset**2).sum(axis=1)
    masks, squares = rfft(mask, size), rfft(square, size)
    total = squares.conj() * masks + masks.conj() * squares
    for axis in range(places.shape[1]):
        line = np.zeros(shape)
        line[track, at] = offset[:, axis]
        total -= 2 * np.abs(rfft(line, size)) ** 2
    sums = irfft(total, size)[:, :width]
    windows = np.rint(irfft(np.abs(masks) ** 2, size)[:, :width]).astype(np.int64)
    sums[sums < _ROUNDING * square.sum(axis=1, keepdims=True)] = 0
    return sums, windows


def relative_variance(lag: Array, windows: Array) -> Array:
    """Variance of the MSD of a diffusing track, relative to its square, in 2-D (Qian et al. 1991).

    It is the sum over all pairs of windows of the squared share of steps that both have, in closed form.

    Parameters
    ----------
    lag, windows : (L,) int
        n frames and K overlapping windows. Gaps are taken as if the windows were those of a shorter track.
    """
    n, k = lag.astype(np.float64), np.maximum(windows.astype(np.float64), 1)
    many = (4 * n**2 * k + 2 * k + n - n**3) / (6 * n * k**2)
    few = 1 + (k**3 - 4 * n * k**2 + 4 * n - k) / (6 * n**2 * k)
    variance: Array = np.where(k >= n, many, few)
    return variance


def ensemble(curves: Msd, group_of: dict[int, int]) -> Msd:
    """MSD of groups of tracks: the mean over all windows of all tracks of a group.

    Parameters
    ----------
    group_of : dict
        Track -> the number of its group; tracks that are not there are left out.

    Returns
    -------
    Msd
        `sem` counts tracks as independent and weighs them by their windows.
    """
    owners, where = np.unique(curves.owner, return_inverse=True)
    groups = np.array([group_of.get(int(owner), -1) for owner in owners], np.int64)[where]
    kept = groups >= 0
    group, lag = groups[kept], curves.lag[kept]
    value, windows = curves.value[kept], curves.windows[kept].astype(np.float64)
    pairs, place = np.unique(np.stack([group, lag], 1), axis=0, return_inverse=True)
    place, count = place.reshape(-1), len(pairs)
    total = np.bincount(place, windows, count)
    tracks = np.bincount(place, minlength=count)
    mean = np.bincount(place, windows * value, count) / total
    between = np.bincount(place, (windows * (value - mean[place])) ** 2, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        sem = np.where(tracks > 1, np.sqrt(between * tracks / (tracks - 1)) / total, np.nan)
    variance = np.bincount(place, windows**2 * curves.variance[kept], count) / total**2
    return Msd(pairs[:, 0], pairs[:, 1], mean, total.astype(np.int64), variance, tracks, sem)


@dataclass(frozen=True)
class Fits:
    """Both fits of every curve, by owner; NaN where there are fewer than `LEAST_LAGS` lags (or zeros, for alpha).

    Attributes
    ----------
    owner : (K,) int64
    lags : (K,) int64
        The longest lag that was fitted, in frames.
    alpha : (K,) float64
    generalized : (K,) float64
        D_alpha, length^2 / time^alpha.
    diffusion : (K,) float64
        D, length^2 / time.
    localisation : (K,) float64
        sigma, length; NaN where the fit gives a square below zero.
    """

    owner: Array
    lags: Array
    alpha: Array
    generalized: Array
    diffusion: Array
    localisation: Array


def fit(curves: Msd, units: Units) -> Fits:
    """Fit every curve of `track_msd` or `ensemble`."""
    owner, which = np.unique(curves.owner, return_inverse=True)
    count, axes = len(owner), len(units.sizes)
    longest = np.zeros(count, np.int64)
    np.maximum.at(longest, which, curves.lag)
    lags = np.minimum(longest, np.maximum(LEAST_LAGS, longest // 4))
    used = curves.lag <= lags[which]
    time, value, weight = curves.lag * units.interval, curves.value, 1 / curves.variance
    above = used & (value > 0)
    exponent, level = _line(np.log(time[above]), np.log(value[above]), weight[above], which[above], count)
    slope, offset = _line(time[used], value[used], weight[used] / time[used] ** 2, which[used], count)
    sigma = np.sqrt(np.where(offset >= 0, offset, np.nan) / (2 * axes))
    return Fits(owner, lags, exponent, np.exp(level) / (2 * axes), slope / (2 * axes), sigma)


def _line(x: Array, y: Array, weight: Array, group: Array, groups: int) -> tuple[Array, Array]:
    """(G,) slopes and (G,) intercepts of weighted least squares in each group."""

    def total(values: Array) -> Array:
        return np.bincount(group, values, groups)

    with np.errstate(invalid="ignore", divide="ignore"):
        weights = total(weight)
        centre, level = total(weight * x) / weights, total(weight * y) / weights
        away = x - centre[group]
        slope = total(weight * away * (y - level[group])) / total(weight * away**2)
    slope[np.bincount(group, minlength=groups) < LEAST_LAGS] = np.nan
    return slope, level - slope * centre
