"""Work on large images in blocks of rows, in as many threads as OpenCV has.

The result is the same for any block and any number of threads, and temporaries are small. Arrays of one axis, such as
the pixels of a foreground, have blocks, too.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 18
"""Pixels worked on at once: temporaries are of this size, and stay in the cache."""

LEAST_ROWS = 16
"""A block has no fewer rows, for neighbouring rows are read again."""

MOST_THREADS = 8
"""More would need more memory for their temporaries."""

Part = TypeVar("Part")
Result = TypeVar("Result")


def blocks(image: NDArray[Any]) -> list[slice]:
    """Slices of rows that cover an image, or of the only axis of an array."""
    rows = max(BLOCK // max(int(np.prod(image.shape[1:])), 1), LEAST_ROWS)
    return [slice(row, min(row + rows, len(image))) for row in range(0, len(image), rows)]


def in_threads(work: Callable[[Part], Result], parts: Sequence[Part], most: int = MOST_THREADS) -> Iterator[Result]:
    """`work(part)` of all parts in their order, several at a time: NumPy, OpenCV and watersheds let others run."""
    threads = min(cv2.getNumThreads(), len(parts), most)
    if threads < 2:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, parts)


def each_block(image: NDArray[Any], work: Callable[[slice], object]) -> None:
    """`work(rows)` of all blocks of an image; it may write what lies in its rows."""
    for _ in in_threads(work, blocks(image)):
        pass


def summed(image: NDArray[Any], shape: tuple[int, ...], work: Callable[[slice], NDArray[Any]]) -> NDArray[np.float64]:
    """Sum of the arrays (of one `shape`) `work(rows)` of all blocks, added in their order: the same bits each time."""
    total: NDArray[np.float64] = np.zeros(shape)
    for part in in_threads(work, blocks(image)):
        total += part
    return total


def pixel_type(shape: tuple[int, ...]) -> type[np.signedinteger[Any]]:
    """The smallest integer that can number every pixel."""
    return np.int32 if shape[0] * shape[1] < 2**31 - 1 else np.int64


def places(mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Indices in the flat image of the pixels of a (Y, X) mask, in reading order."""
    number, width = pixel_type(mask.shape), mask.shape[1]

    def look(rows: slice) -> NDArray[Any]:
        found: NDArray[Any] = np.flatnonzero(mask[rows]).astype(number) + number(rows.start * width)
        return found

    return np.concatenate([np.empty(0, number), *in_threads(look, blocks(mask))])


def taken(values: NDArray[Any], index: NDArray[Any]) -> NDArray[Any]:
    """`values[index]` of flat arrays, block by block: the index is not copied to eight bytes."""
    out = np.empty(len(index), values.dtype)
    each_block(index, lambda part: np.take(values, index[part], out=out[part], mode="clip"))
    return out


def standing(at: NDArray[Any], index: NDArray[Any], size: int) -> NDArray[Any]:
    """Where in `at`, which has pixels of a flat image of `size` once each, those of `index` stand."""
    rank = np.empty(size, at.dtype)
    rank[at] = np.arange(len(at), dtype=at.dtype)
    return taken(rank, index)
