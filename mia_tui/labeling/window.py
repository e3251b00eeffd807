"""A part of an image, as numbers to compute on; pixels to outlines and back inside of it.

The pointing tools look at no more of an image than they need: they cut a window, compute, and trace what they found
back to the coordinates of the whole image.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.raster import fill, shapes_from_labels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right` (the last ones not included) of an image."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def inside(self, point: tuple[float, float]) -> tuple[int, int]:
        """Row and column, counted in the window, of the pixel at a point of the image; the nearest if outside."""
        height, width = self.shape
        y, x = (int(np.floor(value)) for value in point)
        return min(max(y - self.top, 0), height - 1), min(max(x - self.left, 0), width - 1)

    def pixels(self, geometry: BaseGeometry) -> Mask:
        """The pixels of the window that lie inside an outline."""
        mask = np.zeros(self.shape, np.bool_)
        rows, columns, part = fill(_shifted(geometry, -self.left, -self.top), self.shape)
        mask[rows, columns] = part
        return mask

    def outline(self, mask: Mask) -> BaseGeometry | None:
        """The outline, in the image, of pixels of the window; None when there are none."""
        if not mask.any():
            return None
        return _shifted(shapes_from_labels(mask.view(np.uint8))[1], self.left, self.top)


def _shifted(geometry: BaseGeometry, x: float, y: float) -> BaseGeometry:
    return shapely.transform(geometry, lambda points: points + np.array([x, y]))


def window_around(point: tuple[float, float], radius: float, shape: tuple[int, int]) -> Window:
    """The pixels at most `radius` away, per axis, from a point (y, x); never empty."""
    y, x = point
    return window_of((y - radius, x - radius, y + radius, x + radius), shape)


def window_of(box: tuple[float, float, float, float], shape: tuple[int, int], margin: float = 0) -> Window:
    """The pixels that a box (top, left, bottom, right) and a margin around it touch; never empty."""
    top, left, bottom, right = box
    first = [min(max(int(np.floor(low - margin)), 0), size - 1) for low, size in zip((top, left), shape, strict=True)]
    last = [min(max(int(np.ceil(high + margin)), 1), size) for high, size in zip((bottom, right), shape, strict=True)]
    return Window(first[0], first[1], max(last[0], first[0] + 1), max(last[1], first[1] + 1))


def window_over(geometry: BaseGeometry, shape: tuple[int, int], margin: float = 0) -> Window:
    """The pixels that an outline's bounding box and a margin around it touch."""
    left, top, right, bottom = geometry.bounds
    return window_of((top, left, bottom, right), shape, margin)


def grey(pixels: NDArray[np.generic]) -> Floats:
    """One number per pixel, to compute on.

    Parameters
    ----------
    pixels : (Y, X) or (Y, X, C) array of any number type

    Returns
    -------
    (Y, X) float32 array
        From 0 to 1 (all 0 where the picture is constant). Of several channels the one with the best contrast: the
        widest spread of its middle 90 % beside the noise from pixel to pixel. What is not a number becomes the median.
    """
    if pixels.ndim == 2:
        return _unit(pixels)
    channels = [_unit(pixels[..., number]) for number in range(pixels.shape[2])]
    spread = [_contrast(pixels[..., number]) for number in range(pixels.shape[2])]
    return channels[int(np.argmax(spread))]


def _unit(channel: NDArray[np.generic]) -> Floats:
    values = channel.astype(np.float64)
    known = np.isfinite(values)
    if not known.all():
        values = np.where(known, values, np.median(values[known]) if known.any() else 0.0)
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.zeros(values.shape, np.float32)
    # Halves first: the difference of two numbers of 64 bit may be infinite.
    return ((values / 2 - low / 2) / (high / 2 - low / 2)).astype(np.float32)


def _contrast(channel: NDArray[np.generic]) -> float:
    values = channel.astype(np.float64)
    values = values[np.isfinite(values)]
    return float(np.subtract(*np.percentile(values, [95, 5]))) if values.size else 0.0
