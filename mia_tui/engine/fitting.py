"""Whole images of any size as squares of one size, for networks that judge an image at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.inputs import resize


def fit(plane: NDArray[Any], size: int) -> NDArray[Any]:
    """A (C, Y, X) plane as (C, size, size): the longer side becomes `size`, proportions stay, the rest is mirrored.

    The image lies in the middle. Values keep their dtype.
    """
    height, width = plane.shape[1:]
    share = size / max(height, width)
    tall, wide = max(1, round(height * share)), max(1, round(width * share))
    fitted = plane if (tall, wide) == (height, width) else resize(np.asarray(plane), tall, wide)
    top, left = (size - tall) // 2, (size - wide) // 2
    rims = [(0, 0), (top, size - tall - top), (left, size - wide - left)]
    return np.pad(fitted, rims, mode="symmetric") if any(map(any, rims)) else fitted
