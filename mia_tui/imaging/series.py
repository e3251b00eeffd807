"""A folder of frames as one time series."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.axes import text_shape
from mia_tui.imaging.source import Array, Source
from mia_tui.project import IMAGE_SUFFIXES, natural_key

OpenFile = Callable[[Path, bool], Source]
"""(path, leave unknown axes as they are) -> source"""


def frame_files(folder: Path) -> list[Path]:
    """The image files right in `folder`, in natural order of their names (`t2` before `t10`)."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    return sorted((p for p in found if p.is_file()), key=lambda p: natural_key(p.name))


def open_series(folder: Path, open_file: OpenFile, *, unknown_axes: bool = False) -> Source:
    """All images of a folder, stacked along time. One file is open only while its frame is read.

    Raises
    ------
    MiaError
        For a folder without images, a file that cannot be read, the first file whose size, axes or pixel type is not
        that of the first frame, or frames that have a time axis themselves (unless `unknown_axes`).
    """
    files = frame_files(folder)
    if not files:
        raise MiaError(f"{folder} has no images in it (PNG, JPEG, BMP or TIFF). Give the folder that holds the frames.")
    first = _header(files[0], open_file, unknown_axes)
    for path in files[1:]:
        _check_same(_header(path, open_file, unknown_axes), first, path, files[0])
    if "T" in first.axes and not unknown_axes:
        raise MiaError(
            f"{folder}: its files are stacks ({first.axes}, {text_shape(first.shape)}), not frames of one series. Open "
            "them one by one, or give the axes of the folder in project.toml."
        )

    def read(index: tuple[int, ...]) -> Array:
        path = files[index[0]]
        frame = open_file(path, unknown_axes)
        try:
            _check_same(frame, first, path, files[0])
            return frame.read(index[1:])
        finally:
            frame.close()

    return replace(
        first,
        axes="T" + first.axes,
        shape=(len(files), *first.shape),
        read=read,
        flavour=f"series of {first.flavour}",
        axes_source="series",
        close=lambda: None,
    )


def _header(path: Path, open_file: OpenFile, unknown_axes: bool) -> Source:
    source = open_file(path, unknown_axes)
    source.close()
    return source


def _check_same(frame: Source, first: Source, path: Path, first_path: Path) -> None:
    def describe(source: Source) -> str:
        return f"{source.axes} {text_shape(source.shape)} {np.dtype(source.dtype).name}"

    if describe(frame) != describe(first):
        raise MiaError(
            f"{path} is {describe(frame)}, but the first frame of the series, {first_path.name}, is {describe(first)}. "
            "Take the file out of the folder, or do not declare the folder as a series."
        )
