"""From a plane of any kind to a relief: one grey image in which the objects stand out bright, on a scale of contrast.

The relief is v = log(1 + (g - background) / s) with s a tenth of the image's range (or twice its noise): a faint object
beside a glaring one then is as high as it looks. All values are finite; heights run from 0 to about 2.4.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.imaging.source import Array

Relief = NDArray[np.float32]

POLARITIES = ("auto", "bright", "dark")

SAMPLE = 40_000
"""Pixels that percentiles and noise are estimated from."""

RANGE_SHARE = 0.1
"""Scale of the logarithm as a share of the range from background to the brightest objects."""

STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical densities (R, G, B) of haematoxylin, eosin and DAB (Ruifrok and Johnston 2001), as in skimage's `hed_from_rgb`."""


def relief(plane: Array, polarity: str = "auto") -> Relief:
    """Relief of a plane.

    Parameters
    ----------
    plane : (C, Y, X)
        Any real dtype; values that are not finite count as background. Three channels of uint8 on a bright ground are
        taken for stained tissue and un-mixed, other channels are averaged.
    polarity : str
        "bright", "dark" (objects darker than the ground) or "auto".

    Returns
    -------
    (Y, X) float32
    """
    grey, inverted = _grey(plane)
    if polarity == "dark" and not inverted or polarity == "auto" and not inverted and _dark_objects(grey):
        grey = -grey
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.7)
    sample = _sample(smooth)
    low, high = np.percentile(sample, [5, 99.9])
    scale = max(2 * noise(grey), RANGE_SHARE * float(high - low))
    if scale <= 0:
        return np.zeros(grey.shape, np.float32)
    np.subtract(smooth, low, out=smooth)
    smooth /= np.float32(scale)
    return np.asarray(np.log1p(np.maximum(smooth, 0, out=smooth), out=smooth))


def noise(grey: Relief) -> float:
    """Standard deviation of the noise, by the median response of a mask blind to slopes (after Immerkaer 1996)."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    step = max(1, int(np.sqrt(grey.size / (4 * SAMPLE))))
    rows = grey[: max(3, grey.shape[0] // step)]
    if min(rows.shape) < 3:
        return 0.0
    response = np.abs(cv2.filter2D(rows, -1, mask))[1:-1, 1:-1]
    return float(np.median(response[:: max(1, step // 2)]) / (0.6745 * 6))


def _grey(plane: Array) -> tuple[Relief, bool]:
    """(one grey image, whether dark objects are bright in it already)."""
    if len(plane) == 3 and plane.dtype == np.uint8 and float(np.median(_sample(plane.mean(0)))) > 127:
        return _haematoxylin(plane), True
    grey = plane[0].astype(np.float32) if len(plane) == 1 else plane.mean(0, dtype=np.float32)
    finite = np.isfinite(grey)
    if not finite.all():
        # Beyond float32 a value becomes infinite; a plane that holds nothing finite is flat.
        grey[~finite] = np.percentile(grey[finite], 5) if finite.any() else 0
    return grey, False


def _haematoxylin(plane: Array) -> Relief:
    """Density of the nuclear stain of an RGB plane on a bright ground."""
    density = -np.log10((plane.astype(np.float32) + 1) / 256)
    weights = np.linalg.inv(STAINS)[:, 0].astype(np.float32)
    return np.asarray(np.tensordot(weights, density, 1), np.float32)


def _dark_objects(grey: Relief) -> bool:
    """Objects cover less than the ground, so the longer tail of the histogram is theirs."""
    low, middle, high = np.percentile(_sample(grey), [1, 50, 99])
    return bool(middle - low > high - middle)


def _sample(image: Relief) -> Relief:
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    return image[::step, ::step]
