"""Run-length masks of COCO: lengths of runs of 0, 1, 0, ... down the columns, from the left column to the right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def counts_of(mask: NDArray[np.bool_], left: int = 0, width: int | None = None) -> list[int]:
    """The run lengths of a (Y, X) mask. The first run is of 0 and may be empty.

    `mask` may be the columns from `left` on of a mask that is `width` wide and 0 elsewhere.
    """
    height = mask.shape[0]
    changes = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False, append=False)) + left * height
    runs: list[int] = np.diff(changes, prepend=0, append=height * (width or mask.shape[1])).tolist()
    return runs if runs[-1] else runs[:-1]


def mask_of(counts: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The (Y, X) mask of run lengths, given as a list or as COCO's compressed string.

    Raises
    ------
    ValueError
        When they are no run lengths of an image of `size` (height, width).
    """
    runs = np.asarray(_decompressed(counts) if isinstance(counts, str) else counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise ValueError("a run-length mask that holds no run lengths")
    if sum(runs.tolist()) != size[0] * size[1]:
        raise ValueError(f"a run-length mask that is not of {size[0]} x {size[1]} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[1], size[0]).T


def _decompressed(text: str) -> list[int]:
    """Run lengths from COCO's string.

    Each number is written in groups of five bits, the lowest first, as the character 48 + group + 32 where another
    group follows; the highest bit of the last group is the sign. From the fourth number on, the difference to the
    number two before it is written.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64:
            raise ValueError("a run-length mask with a character that has no meaning")
        value |= (group & 31) << shift
        shift += 5
        if shift > 60:
            raise ValueError("a run-length mask with a number that is too large")
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("a run-length mask that ends in the middle of a number")
    return counts
