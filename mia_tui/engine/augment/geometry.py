"""One random change of shape: mirrors, quarter turns, an affine map and an elastic deformation in a single resampling.

All arrays are (y, x). The change takes an input position p to the output position q with

    q + u(q) = M p                      M affine, u the elastic displacement,

so the picture is resampled from p(q) = M^-1 (q + u(q)). u is a cubic B-spline over a coarse grid of control points
(free-form deformation: Rueckert et al., IEEE TMI 18, 1999). Such a spline reproduces affine maps, so p(q) is one too:
its values at all pixels are two small matrix products, and points are moved by solving the same equation.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.augment.strengths import CHANCE, Strengths

Matrix = NDArray[np.float64]
Place = tuple[int, int]
"""First pixel (y, x) of a patch in the arrays that it is taken from, which may show what is around it."""

_STEEPEST = 0.5
"""Bound of the change of u from pixel to pixel (spectral norm): below 1 nothing folds over and points converge."""

_ROUNDS = 24
"""Fixed-point steps for points: the error shrinks by `_STEEPEST` or better each time, to below 1e-6 pixels."""

_SINGLE_THREADED = 2**17
"""Multiplications of one matrix product: OpenBLAS takes threads from about twice as many."""

_FARTHEST = 0.75
"""Widest margin laid out around an image, as a share of its shorter side."""


@dataclass(frozen=True)
class Warp:
    """A drawn change of shape for arrays of `size` (Y, X).

    Attributes
    ----------
    turn : (2, 2) int
        The mirrors and quarter turns, a signed permutation of (y, x) about the centre.
    matrix : (2, 3) float64
        M, `turn` included: output (y, x) = matrix @ (y, x, 1), in pixels.
    resampled : bool
        False when `turn` is all that happens: then no pixel is interpolated.
    control : (2, rows, columns) float64
        Displacements u (y, x) in pixels at the control points.
    spacing : float
        Pixels between control points; the first lies at -spacing.
    """

    size: tuple[int, int]
    turn: NDArray[np.int64]
    matrix: Matrix
    resampled: bool
    control: Matrix
    spacing: float


# ---- drawing --------------------------------------------------------------------------------------------------------


def draw_warp(strengths: Strengths, size: tuple[int, int], rng: np.random.Generator) -> Warp:
    """A random change of shape. The number of draws before the elastic part is fixed: a switch leaves others alone."""
    mirror_y, mirror_x, turned, quarters, warped, bent = rng.random(6)
    amounts = rng.uniform(-1, 1, 8)
    turn = _turn(strengths, mirror_y, mirror_x, turned, 1 + int(3 * quarters), size[0] == size[1])
    affine = _affine(strengths, amounts)
    shift = strengths.translate * amounts[6:] * size
    elastic = strengths.elastic > 0 and bent < CHANCE["elastic"]
    moved = elastic or not np.array_equal(affine, np.eye(2)) or bool(shift.any())
    if not moved or warped >= CHANCE["warp"]:
        return Warp(size, turn, _about_centre(turn.astype(np.float64), np.zeros(2), size), False, *_flat(size))
    control, spacing = _elastic(strengths.elastic, size, rng) if elastic else _flat(size)
    return Warp(size, turn, _about_centre(affine @ turn, shift, size), True, control, spacing)


def _turn(
    strengths: Strengths, mirror_y: float, mirror_x: float, turned: float, quarters: int, square: bool
) -> NDArray[np.int64]:
    if turned >= strengths.turn:
        quarters = 0
    elif not square:
        quarters = quarters // 2 * 2  # a quarter turn would swap height and width
    quarter = np.array([[0, -1], [1, 0]])
    mirror = np.diag([-1 if mirror_y < strengths.flip else 1, -1 if mirror_x < strengths.flip else 1])
    return np.asarray(mirror @ np.linalg.matrix_power(quarter, quarters))


def _affine(strengths: Strengths, amounts: NDArray[np.float64]) -> Matrix:
    """The 2 x 2 part: scale, then shear, then rotation."""
    angle = math.radians(strengths.rotate * amounts[0])
    cos, sin = math.cos(angle), math.sin(angle)
    zoom = amounts[1] * math.log1p(strengths.scale) + amounts[2:4] * math.log1p(strengths.stretch)
    shear_y, shear_x = np.tan(np.radians(strengths.shear * amounts[4:6]))
    rotation = np.array([[cos, -sin], [sin, cos]])
    return np.asarray(rotation @ np.array([[1, shear_y], [shear_x, 1]]) @ np.diag(np.exp(zoom)))


def _about_centre(linear: Matrix, shift: NDArray[np.float64], size: tuple[int, int]) -> Matrix:
    centre = (np.array(size) - 1) / 2
    return np.column_stack([linear, centre + shift - linear @ centre])


def _elastic(strength: float, size: tuple[int, int], rng: np.random.Generator) -> tuple[Matrix, float]:
    """Control points drawn within a random share of `strength`, and their spacing.

    The slope of a B-spline is at most the difference of neighbours over the spacing, 2 * strength / spacing here, for
    each of the four derivatives; the spacing keeps their norm below `_STEEPEST`.
    """
    spacing = max(16.0, 4 * strength / _STEEPEST)
    shape = (2, *(_count(length, spacing) for length in size))
    return rng.uniform(-1, 1, shape) * strength * rng.random(), spacing


def _flat(size: tuple[int, int]) -> tuple[Matrix, float]:
    """No displacement: the 4 x 4 control points of a single cell."""
    return np.zeros((2, 4, 4)), float(max(size))


def _count(length: int, spacing: float) -> int:
    return int((length - 1) / spacing) + 4


# ---- arrays ---------------------------------------------------------------------------------------------------------


def source_maps(warp: Warp) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each output pixel the input position it shows, from the first pixel of the patch: two (Y, X) float32 maps, y
    and x."""
    rows, columns = warp.control.shape[1:]
    at_y = (np.arange(rows)[:, None] - 1) * warp.spacing + warp.control[0] - warp.matrix[0, 2]
    at_x = (np.arange(columns) - 1) * warp.spacing + warp.control[1] - warp.matrix[1, 2]
    back = np.linalg.inv(warp.matrix[:, :2])
    basis_y = _raster_basis(warp.size[0], rows, warp.spacing)
    basis_x = _raster_basis(warp.size[1], columns, warp.spacing)
    maps = [_product(basis_y @ (a * at_y + b * at_x).astype(np.float32), basis_x.T) for a, b in back]
    return maps[0], maps[1]


def _product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """left @ right in bands of rows, each too small for BLAS to start threads in every loader process."""
    out = np.empty((len(left), right.shape[1]), np.float32)
    band = max(1, _SINGLE_THREADED // right.size)
    for start in range(0, len(left), band):
        np.matmul(left[start : start + band], right, out=out[start : start + band])
    return out


def warp_image(
    image: NDArray[np.float32],
    warp: Warp,
    maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    place: Place = (0, 0),
) -> NDArray[np.float32]:
    """(Y, X, C) resampled bilinearly; beyond its edge it is mirrored, so that the network meets no false edge."""
    if maps is None:
        return _turned(_patch(image, warp, place), warp.turn)
    # OpenCV mirrors pixel by pixel, at several times the usual cost: unless it is far, lay out the mirror first.
    there = _around(image.shape, warp, place)
    top, bottom, left, right = lacking = [max(a - b, 0) for a, b in zip(margins(warp), there, strict=True)]
    if not 0 < max(lacking) <= min(warp.size) * _FARTHEST:
        top, bottom, left, right = 0, 0, 0, 0
    source = image
    if top or bottom or left or right:
        source = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    y, x = _placed(maps, (place[0] + top, place[1] + left))
    moved = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved.reshape(*warp.size, image.shape[2]))


def margins(warp: Warp | None) -> tuple[int, int, int, int]:
    """Pixels above, below, left and right of the patch that hold what the output shows; 0 if nothing is resampled."""
    if warp is None or not warp.resampled:
        return 0, 0, 0, 0
    end = np.array(warp.size) - 1
    back = np.linalg.inv(warp.matrix[:, :2])
    corners = (np.array([[0, 0], [0, end[1]], [end[0], 0], end]) - warp.matrix[:, 2]) @ back.T
    reach = np.abs(back) @ np.abs(warp.control).max(axis=(1, 2)) + 1
    before = np.ceil(np.maximum(reach - corners.min(axis=0), 0)).astype(int)
    after = np.ceil(np.maximum(corners.max(axis=0) + reach - end, 0)).astype(int)
    return int(before[0]), int(after[0]), int(before[1]), int(after[1])


def warp_labels(
    labels: NDArray[Any],
    warp: Warp,
    maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    place: Place = (0, 0),
) -> NDArray[Any]:
    """(Y, X) integers from the nearest pixel; 0 beyond the edge."""
    if maps is None:
        return _turned(_patch(labels, warp, place), warp.turn)
    y, x = _placed(maps, place)
    return np.asarray(cv2.remap(labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT))


def _patch(array: NDArray[Any], warp: Warp, place: Place) -> NDArray[Any]:
    return array[place[0] : place[0] + warp.size[0], place[1] : place[1] + warp.size[1]]


def _around(shape: tuple[int, ...], warp: Warp, place: Place) -> tuple[int, int, int, int]:
    """Pixels that there are above, below, left and right of the patch."""
    return place[0], shape[0] - place[0] - warp.size[0], place[1], shape[1] - place[1] - warp.size[1]


def _placed(
    maps: tuple[NDArray[np.float32], NDArray[np.float32]], place: Place
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The positions counted from the first pixel of the array that the patch is taken from."""
    if place == (0, 0):
        return maps
    return maps[0] + np.float32(place[0]), maps[1] + np.float32(place[1])


def _turned(array: NDArray[Any], turn: NDArray[np.int64]) -> NDArray[Any]:
    """By OpenCV, which copies several times faster than NumPy but cannot transpose more than four channels."""
    transposed, up, left = turn[0, 0] == 0, turn[0].sum() < 0, turn[1].sum() < 0
    if array.ndim == 3 and array.shape[2] > 4:
        view = array.swapaxes(0, 1) if transposed else array
        return np.ascontiguousarray(view[:: -1 if up else 1, :: -1 if left else 1])
    out = cv2.transpose(array) if transposed else array
    if up or left:
        out = cv2.flip(out, -1 if up and left else int(left))
    return np.asarray(out.reshape(array.shape))


# ---- points ---------------------------------------------------------------------------------------------------------


def move_points(points: NDArray[np.float32], warp: Warp) -> NDArray[np.float32]:
    """(N, 2) input positions (y, x) -> output positions, also of those that leave the image."""
    aim = points.astype(np.float64) @ warp.matrix[:, :2].T + warp.matrix[:, 2]
    if not warp.control.any():
        return aim.astype(np.float32)
    moved = aim
    for _ in range(_ROUNDS):
        moved = aim - _displacement(moved, warp)
    return moved.astype(np.float32)


def _displacement(points: NDArray[np.float64], warp: Warp) -> NDArray[np.float64]:
    """u at (N, 2) output positions; beyond the image that of its edge."""
    (height, width), (rows, columns) = warp.size, warp.control.shape[1:]
    basis_y = _basis(np.clip(points[:, 0], 0, height - 1), rows, warp.spacing)
    basis_x = _basis(np.clip(points[:, 1], 0, width - 1), columns, warp.spacing)
    return np.stack([((basis_y @ part) * basis_x).sum(axis=1) for part in warp.control], axis=1)


def _basis(positions: NDArray[np.float64], count: int, spacing: float) -> NDArray[np.float64]:
    """(N, count) weights of the control points, which lie at (-1, 0, 1, ...) * spacing, at N positions >= 0."""
    cell = np.minimum((positions / spacing).astype(np.intp), count - 4)
    t = positions / spacing - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    basis = np.zeros((len(positions), count))
    np.put_along_axis(basis, cell[:, None] + np.arange(4), weights, axis=1)
    return basis


@lru_cache(maxsize=16)
def _raster_basis(length: int, count: int, spacing: float) -> NDArray[np.float32]:
    return _basis(np.arange(length, dtype=np.float64), count, spacing).astype(np.float32)
