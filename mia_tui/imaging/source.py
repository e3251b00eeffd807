"""What a reader hands over: the dimensions as stored, a function that reads one page, and the calibration."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.imaging.axes import Shape

Array = NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """Physical sizes. `pixel_size` is (y, x) in micrometres, `z_step` micrometres, `frame_interval` seconds."""

    pixel_size: tuple[float, float] | None = None
    z_step: float | None = None
    frame_interval: float | None = None


@dataclass(frozen=True)
class Source:
    """One image as a reader found it.

    Attributes
    ----------
    axes, shape : str, tuple of int
        The dimensions in the order stored. The last `page_ndim` of them come back from one read, the ones before are
        the index of the read.
    read : callable
        `read(index) -> array` of the page's shape, in native byte order. Safe to call from several threads.
    samples : int
        How many samples of an S axis are kept (alpha is dropped); 1 without one.
    rgb : bool
        The samples are red, green and blue.
    """

    axes: str
    shape: Shape
    dtype: np.dtype[Any]
    page_ndim: int
    read: Callable[[tuple[int, ...]], Array]
    flavour: str
    axes_source: str
    samples: int = 1
    rgb: bool = False
    calibration: Calibration = field(default_factory=Calibration)
    channel_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    close: Callable[[], None] = lambda: None

    @property
    def page_shape(self) -> Shape:
        """Shape of what one read returns."""
        return self.shape[len(self.shape) - self.page_ndim :]


def read_plane(source: Source, t: int, z: int, channel: int | None = None) -> Array:
    """One plane as (C, Y, X), values and dtype as stored; with `channel` only that one, still three-dimensional.

    Reads the pages that hold it and no other.
    """
    fixed = {"T": t, "Z": z}
    if channel is not None and "C" in source.axes:
        fixed["C"] = channel // source.samples
    lead = source.axes[: len(source.axes) - source.page_ndim]
    block = _read_block(source, lead, fixed)
    axes = "".join(letter for letter in lead if letter not in fixed) + source.axes[len(lead) :]
    for letter, index in fixed.items():
        if letter in axes:
            block = block.take(index, axis=axes.index(letter))
            axes = axes.replace(letter, "")
    plane = _channels_first(block, axes, source.samples)
    if channel is not None:
        inside = channel % source.samples if "C" in fixed else channel
        plane = plane[inside : inside + 1]
    return np.ascontiguousarray(plane)


def _read_block(source: Source, lead: str, fixed: dict[str, int]) -> Array:
    """The pages of one plane, the axes that are not `fixed` stacked in front."""
    loops = [size for letter, size in zip(lead, source.shape, strict=False) if letter not in fixed]

    def indices() -> Iterator[tuple[int, ...]]:
        for free in product(*map(range, loops)):
            rest = iter(free)
            yield tuple(fixed[letter] if letter in fixed else next(rest) for letter in lead)

    pages = [source.read(index) for index in indices()]
    if not loops:
        return pages[0]
    return np.stack(pages).reshape(*loops, *source.page_shape)


def _channels_first(block: Array, axes: str, samples: int) -> Array:
    """A block with the letters C, S, Y, X in any order as (channels times samples, Y, X), without alpha."""
    if "S" in axes:
        block = np.moveaxis(block, axes.index("S"), -1)[..., :samples]
        axes = axes.replace("S", "") + "S"
    for letter in "SC":
        if letter not in axes:
            block, axes = block[None], letter + axes
    block = block.transpose([axes.index(letter) for letter in "CSYX"])
    return block.reshape(-1, *block.shape[-2:])
