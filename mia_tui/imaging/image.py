"""An image as lazy planes: the one way in which every other part of the program reads pixels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.axes import check_override, tczyx_sizes
from mia_tui.imaging.content import content_of
from mia_tui.imaging.source import Array, Calibration, Source, read_plane
from mia_tui.project import ImageRef, Project, frame_name, parse_frame

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image without reading its pixels.

    Attributes
    ----------
    axes, shape : str, tuple of int
        The dimensions as stored, letters of TCZYXS, and their sizes.
    axes_source : str
        Where the axes come from: "imagej", "ome", "guess", "override", "file" or "series" (a folder of frames).
    dtype : str
        NumPy's name of the pixel type: "bool", "uint8", "uint16", "float32" ...
    sizes : tuple of int
        T, C, Z, Y, X. Colour samples count as channels; alpha does not count.
    rgb : bool
        The channels are red, green and blue.
    pixel_size : tuple of float, optional
        (y, x) in micrometres.
    z_step : float, optional
        Micrometres between two planes.
    frame_interval : float, optional
        Seconds between two frames.
    channel_names : tuple of str
        One per channel; "channel 1" and so on where the file has no name.
    flavour : str
        "ImageJ", "OME-TIFF", "TIFF", "PNG", "JPEG", "BMP", or "series of ..." one of them.
    warnings : tuple of str
        What a person should know, such as several images in one file of which the first is read.
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    axes_source: str
    dtype: str
    sizes: tuple[int, int, int, int, int]
    rgb: bool
    pixel_size: tuple[float, float] | None
    z_step: float | None
    frame_interval: float | None
    channel_names: tuple[str, ...]
    flavour: str
    warnings: tuple[str, ...] = ()


class Image:
    """An open image. Nothing but the plane asked for is read; reading from several threads is safe."""

    def __init__(self, path: Path, source: Source) -> None:
        self._source = source
        self._open = True
        self.info = _describe(path, source)

    def plane(self, t: int = 0, z: int = 0) -> Array:
        """One plane with all its channels, shape (C, Y, X), values and dtype as stored."""
        return self._read(t, z, None)

    def channel(self, t: int, c: int, z: int) -> Array:
        """One channel of one plane, shape (Y, X); reads as little as the file allows."""
        if not 0 <= c < self.info.sizes[1]:
            raise MiaError(f"{self.info.path} has {self.info.sizes[1]} channels: there is no channel {c}.")
        plane: Array = self._read(t, z, c)[0]
        return plane

    @property
    def frames(self) -> list[str]:
        """Names of the planes, t major: `image` alone, or t0000z0000, t0000z0001 and so on."""
        times, _, depths, _, _ = self.info.sizes
        single = times * depths == 1
        return [frame_name(t, z, single=single) for t in range(times) for z in range(depths)]

    def frame(self, name: str) -> Array:
        """A plane by the name of its frame, shape (C, Y, X)."""
        return self.plane(*parse_frame(name))

    def _read(self, t: int, z: int, channel: int | None) -> Array:
        path, (times, _, depths, _, _) = self.info.path, self.info.sizes
        if not self._open:
            raise MiaError(f"{path} was closed.")
        if not (0 <= t < times and 0 <= z < depths):
            raise MiaError(f"{path} has {times} frames and {depths} z planes: there is no t={t}, z={z} (0-based).")
        return _named(path, lambda: read_plane(self._source, t, z, channel))

    def close(self) -> None:
        """Give the file back. Reading afterwards is an error."""
        self._open = False
        self._source.close()

    def __enter__(self) -> "Image":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_image(path: Path, axes: str | None = None, *, indices: bool = False) -> Image:
    """Open an image file, or a folder of frames (in natural order) as one time series. Only metadata is read.

    Parameters
    ----------
    axes : str, optional
        Letters of TCZYXS in the order stored, one per dimension, where the file's or the guessed ones are wrong. A
        folder of frames counts as the first dimension.
    indices : bool
        A palette image gives its indices instead of its colours: what a label image means.

    Raises
    ------
    MiaError
        For anything that cannot be read, with the file's name, the reason and the way out.
    """
    path = Path(path)
    source = _named(path, lambda: _open_source(path, axes is not None, indices))
    try:
        return Image(path, source if axes is None else _with_axes(source, axes, str(path)))
    except BaseException:
        source.close()
        raise


def open_ref(project: Project, ref: ImageRef) -> Image:
    """Open an image of a project, with the project's axes, pixel size and frame interval where it sets them."""
    image = open_image(ref.path, project.axes.get(ref.key))
    info = image.info
    if project.pixel_size is not None:
        info = replace(info, pixel_size=(project.pixel_size, project.pixel_size))
    if project.frame_interval is not None:
        info = replace(info, frame_interval=project.frame_interval)
    image.info = info
    return image


def _open_source(path: Path, unknown_axes: bool, indices: bool) -> Source:
    def open_file(file: Path, unknown: bool) -> Source:
        return _named(file, lambda: _open_file(file, unknown, indices))

    if path.is_dir():
        from mia_tui.imaging.series import open_series

        return open_series(path, open_file, unknown_axes=unknown_axes)
    return _open_file(path, unknown_axes, indices)


def _open_file(path: Path, unknown_axes: bool, indices: bool) -> Source:
    kind = content_of(path)
    if kind == "TIFF":
        from mia_tui.imaging.tiff import open_tiff

        return open_tiff(path, indices=indices, unknown_axes=unknown_axes)
    from mia_tui.imaging.raster import open_raster

    return open_raster(path, kind, indices=indices)


def _named(path: Path, read: Callable[[], _Result]) -> _Result:
    """Run `read`; whatever a decoder throws at damaged data becomes an error that names the file."""
    try:
        return read()
    except MiaError:
        raise
    except MemoryError:
        raise MiaError(f"{path}: one plane of it does not fit into memory.") from None
    except Exception as error:  # decoders raise ValueError, KeyError, struct.error, RuntimeError and kinds of their own
        if isinstance(error, OSError) and error.errno is not None:
            raise MiaError(f"{path} cannot be read: {error.strerror or error}.") from error
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise MiaError(f"{path} cannot be read ({reason}). It is damaged: copy it again from where it came.") from error


def _with_axes(source: Source, axes: str, name: str) -> Source:
    """The same data with the axes that a person gave."""
    axes = check_override(axes, source.shape, name)
    colour = "S" in axes
    return replace(
        source, axes=axes, axes_source="override", samples=3 if colour else 1, rgb=colour, channel_names=()
    )  # fmt: skip


def _describe(path: Path, source: Source) -> ImageInfo:
    sizes = tczyx_sizes(source.axes, source.shape, source.samples)
    rgb = source.rgb and sizes[1] == 3
    calibration: Calibration = source.calibration
    return ImageInfo(
        path=path,
        axes=source.axes,
        shape=source.shape,
        axes_source=source.axes_source,
        dtype=np.dtype(source.dtype).name,
        sizes=sizes,
        rgb=rgb,
        pixel_size=calibration.pixel_size,
        z_step=calibration.z_step if sizes[2] > 1 else None,
        frame_interval=calibration.frame_interval,
        channel_names=_channel_names(source.channel_names, sizes[1], rgb),
        flavour=source.flavour,
        warnings=source.warnings,
    )


def _channel_names(names: tuple[str, ...], count: int, rgb: bool) -> tuple[str, ...]:
    if rgb:
        return ("red", "green", "blue")
    given: list[Any] = list(names) if len(names) == count else [""] * count
    return tuple(name or f"channel {i}" for i, name in enumerate(given, 1))
