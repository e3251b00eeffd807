"""A small picture of an image, read in little memory: by pyramid level, by stride, or by the decoder of JPEG."""

from pathlib import Path
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.contrast import contrast_limits, to_display
from mia_tui.imaging.image import Image, open_ref
from mia_tui.imaging.source import Array
from mia_tui.project import ImageRef, Project

WHOLE = 64 << 20
"""Planes of up to so many bytes are read whole."""
LARGEST = 1 << 30
"""Larger planes that can only be read whole get no thumbnail."""


def thumbnail(project: Project, ref: ImageRef, t: int, z: int, size: int) -> Array:
    """A frame of an image as a picture whose shorter side has about `size` pixels or more, never enlarged.

    Contrast is that of the frame, channels are in their default colours.

    Returns
    -------
    (Y, X, 3) uint8

    Raises
    ------
    MiaError
        When the image cannot be read, or is larger than `LARGEST` bytes a plane and has no pyramid to take it from.
    """
    with open_ref(project, ref) as image:
        rgb = image.info.rgb
        plane = _reduced(_small_plane(image, t, z, size), size)
    return to_display(plane, contrast_limits(plane, rgb=rgb))


def _small_plane(image: Image, t: int, z: int, size: int) -> Array:
    info = image.info
    times, channels, depths, height, width = info.sizes
    count = channels * height * width * np.dtype(info.dtype).itemsize
    if count > WHOLE and times * depths == 1 and info.path.is_file():
        small = _jpeg(info.path, size) if info.flavour == "JPEG" else _tiff(info.path, size)
        if small is not None and small.shape[0] >= channels:
            return small[:channels]
    if count > LARGEST:
        raise MiaError(f"{info.path} is too large for a thumbnail and has no pyramid. Open it alone to see it.")
    return image.plane(t, z)


def _jpeg(path: Path, size: int) -> Array | None:
    """The decoder leaves out up to seven of eight pixels by itself."""
    from PIL import Image as Pillow

    with Pillow.open(path) as picture:
        picture.draft(picture.mode, (size, size))
        values = np.asarray(picture)
    return np.moveaxis(values, -1, 0) if values.ndim == 3 else values[None]


def _tiff(path: Path, size: int) -> Array | None:
    """The smallest level of a pyramid that is large enough, or every n-th pixel of uncompressed data."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            fitting = [level for level in series.levels if min(_extent(level)) >= size]
            level = fitting[-1] if fitting else series
            if level.size * level.dtype.itemsize <= WHOLE:
                return _channels_first(level.asarray(), level.axes)
        mapped = tifffile.memmap(path, series=0, mode="r")
    except (ValueError, KeyError, OSError, IndexError, tifffile.TiffFileError):
        return None
    step = max(1, min(_extent(series)) // size)
    keep = tuple(slice(None, None, step) if letter in "YX" else slice(None) for letter in series.axes)
    return _channels_first(np.array(mapped[keep]), series.axes)


def _extent(series: Any) -> tuple[int, int]:
    return series.shape[series.axes.index("Y")], series.shape[series.axes.index("X")]


def _channels_first(values: Array, axes: str) -> Array | None:
    """(C, Y, X) of what is stored as YX, CYX, SYX or YXS, axes of length one aside; None for other orders."""
    for place, letter in reversed(list(enumerate(axes))):
        if values.shape[place] == 1 and letter not in "YX":
            values, axes = values.take(0, axis=place), axes[:place] + axes[place + 1 :]
    if axes == "YX":
        return values[None]
    if axes in ("CYX", "SYX"):
        return values
    return np.moveaxis(values, -1, 0) if axes in ("YXS", "YXC") else None


def _reduced(plane: Array, size: int) -> Array:
    """Means of blocks, so that the shorter side has `size` to two times `size` pixels."""
    step = min(plane.shape[-2:]) // size
    if step < 2:
        return plane
    height, width = plane.shape[-2] // step * step, plane.shape[-1] // step * step
    blocks = plane[:, :height, :width].reshape(-1, height // step, step, width // step, step)
    means: Array = blocks.mean(axis=(2, 4), dtype=np.float32)
    return np.rint(means).astype(plane.dtype) if plane.dtype.kind in "iu" else means
