"""How the whole picture moved from one frame to the next: by its points here, by its objects' shapes in `flow`."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage
from scipy.spatial import cKDTree

Array = npt.NDArray[Any]

_SMALL = 2
"""Pixels: shifts up to there are hardly any."""
_SIDE = 512
"""Cells along the longest side of the grid that points are put on for cross-correlation."""
_POINTS = 400
"""Points that are enough to tell how all of them moved."""
_ENOUGH = 0.6
"""Share of points that find a partner within the expected step where no jump needs to be looked for."""
_BETTER = 1.25
"""How many times more partners a jump must give to be believed."""
_PRIOR = 5.0
"""Pairs that the expected shift is worth against those that are found."""


def points_shift(before: Array, after: Array, expected: Array, radius: float) -> Array:
    """The shift (D,) that takes the points of one frame to those of the next.

    Median over mutual nearest neighbours after the expected shift; where too few of them are near, the peak of the
    cross-correlation of both frames' points on a grid takes its place if it explains clearly more: the stage jumped.

    Parameters
    ----------
    before, after : (n, D), (m, D) float64
        D is 2 or 3; jumps are looked for along the last two.
    expected : (D,) float64
        The shift one frame earlier.
    radius : float
        Steps up to this length are usual.
    """
    fewer = min(len(before), len(after))
    if not fewer:
        return expected
    refined, share = _refine(before, after, expected, radius)
    if share >= _ENOUGH or fewer < 4:
        return refined
    jump = np.array(expected)
    jump[-2:] = correlation_shift(before[:, -2:], after[:, -2:], max(radius / 4, 1.0))
    jumped, better = _refine(before, after, jump, radius)
    return jumped if better > _BETTER * share and better * fewer >= 4 else refined


def _refine(before: Array, after: Array, shift: Array, radius: float) -> tuple[Array, float]:
    """The shift corrected by the median of mutual nearest neighbours, and the share of points that have one near."""
    moved = before + shift
    some = np.arange(0, len(moved), 1 + len(moved) // _POINTS)
    distance, partner = cKDTree(after).query(moved[some], distance_upper_bound=2 * radius)
    some, partner = some[np.isfinite(distance)], partner[np.isfinite(distance)]
    own = cKDTree(moved).query(after[partner])[1] == some
    if not own.any():
        return shift, 0.0
    apart = after[partner[own]] - moved[some[own]]
    middle = np.median(apart, axis=0)
    near = np.count_nonzero(np.linalg.norm(apart - middle, axis=1) <= radius) * (1 + len(moved) // _POINTS)
    correction = middle * (len(apart) / (len(apart) + _PRIOR))
    return shift + correction, near / min(len(before), len(after))


def correlation_shift(before: Array, after: Array, cell: float) -> Array:
    """(2,): the most common displacement of any point to any other, by cross-correlation on a grid.

    Parameters
    ----------
    before, after : (n, 2), (m, 2) float64
    cell : float
        Side of a grid cell in pixels; larger ones are taken when the points are spread widely.
    """
    both = np.concatenate([before, after])
    low, extent = both.min(0), np.ptp(both, axis=0)
    cell = max(cell, float(extent.max()) / _SIDE)
    shape = tuple(int(n) for n in extent // cell + 1)
    grids = []
    for points in (before, after):
        grid = np.zeros(shape, np.float32)
        np.add.at(grid, tuple(((points - low) / cell).astype(np.int64).T), 1)
        grids.append(ndimage.gaussian_filter(grid, 1.0, mode="constant") if min(shape) > 1 else grid)
    return cell * image_shifts(*grids)[-1]


def image_shifts(before: Array, after: Array) -> list[Array]:
    """How far the second image may be moved against the first (y, x), in whole pixels, by FFT cross-correlation.

    The shift that fits best of those up to `_SMALL` pixels, and the one that fits best of all if it is another. Shifts
    up to the whole size are told apart (both images are padded with zeros).
    """
    shape = [fft.next_fast_len(2 * n - 1, real=True) for n in before.shape]
    product = fft.rfft2(after, shape) * np.conj(fft.rfft2(before, shape))
    correlation = fft.irfft2(product, shape)
    reach = [min(_SMALL, n // 2) for n in shape]
    small = correlation[np.ix_(*(np.arange(-n, n + 1) for n in reach))]
    best = np.array(np.unravel_index(int(small.argmax()), small.shape)) - reach if small.max() > 0 else np.zeros(2)
    shifts: list[Array] = [best.astype(np.float64)]
    if correlation.max() > max(float(small.max()), 0.0):
        peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
        shifts.append(np.array([at - n if at > n // 2 else at for at, n in zip(peak, shape, strict=True)], np.float64))
    return shifts
