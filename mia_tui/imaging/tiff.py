"""TIFF files of every flavour, one page at a time.

tifffile reads the metadata and decodes compressed pages. Two things are done here instead, so that opening the first
plane of a stack of gigabytes reads next to nothing: the file is opened without a buffer (with one, walking the
directories of a 2 GB stack reads 1.6 % of it; without, 0.1 %), and uncompressed data in one piece come by `pread`.
"""

import io
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.axes import Shape, settle, text_shape
from mia_tui.imaging.calibration import imagej_calibration, ome_calibration, plain_calibration
from mia_tui.imaging.palette import expand
from mia_tui.imaging.source import Array, Calibration, Source

_RGB, _PALETTE, _YCBCR = 2, 3, 6
_GREYS = (0, 1)
_ALPHA = (1, 2)  # ExtraSamples: associated, unassociated
_BROKEN_CHAIN = ("page offset", "tag list", "offset to page", "circular reference")


def open_tiff(path: Path, *, indices: bool = False, unknown_axes: bool = False) -> Source:
    """Open a TIFF lazily; only metadata is read.

    Parameters
    ----------
    indices : bool
        A palette image gives its indices, not its colours (ImageJ's look-up tables are never applied).
    unknown_axes : bool
        Leave dimensions of unknown meaning as they are: the caller has axes of its own.

    Raises
    ------
    MiaError
        For a truncated or damaged file, no pixels, a pixel type or colour space that is not read, or unclear axes.
    """
    raw = io.FileIO(os.path.realpath(path))
    try:
        with _log_collected() as log:
            return _TiffReader(path, raw, log).source(indices, unknown_axes)
    except BaseException:
        raw.close()
        raise


class _TiffReader:
    """An open TIFF and the way from an index to the page with it."""

    def __init__(self, path: Path, raw: io.FileIO, log: list[str]) -> None:
        import tifffile

        self.path = path
        self.raw = raw
        self.size = os.fstat(raw.fileno()).st_size
        self.lock = threading.RLock()
        self.file = tifffile.TiffFile(raw)
        if not self.file.pages:
            raise MiaError(f"{path} has no image in it.")
        self.series = self.file.series
        self.first = self.series[0]
        self.page = self.first.keyframe
        self._check_complete(log)
        shape, page_shape = tuple(self.first.shape), tuple(self.page.shape)
        self.whole = shape[len(shape) - len(page_shape) :] != page_shape or self.first.transform is not None
        self.page_shape = shape if self.whole else page_shape
        self.lead = shape[: len(shape) - len(self.page_shape)]
        self.offset = None if self.whole or self.first.is_multifile else self.first.dataoffset
        if self.offset is not None and self.offset + prod(shape) * self.page.dtype.itemsize > self.size:
            raise self._truncated()
        for page in () if self.whole else (self.first._pages[0], self.first._pages[-1]):
            if page is not None:
                self._check_extent(page)

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _truncated(self, detail: str = "") -> MiaError:
        return MiaError(f"{self.path} is truncated or damaged{detail}. Copy it again from where it came.")

    def _check_complete(self, log: list[str]) -> None:
        """A file that promises more than it holds is an error, not a shorter movie."""
        kind = self.first.kind
        promised = (self.file.is_imagej and kind not in ("imagej", "ome")) or (self.file.is_shaped and kind != "shaped")
        if promised or any(sign in line for line in log for sign in _BROKEN_CHAIN):
            raise self._truncated(f": it holds {len(self.file.pages)} complete pages and should hold more")
        if self.page.samplesperpixel < 1:
            raise MiaError(f"{self.path} has no channels: it says 0 samples per pixel. Export it again.")
        if prod(self.first.shape) == 0:
            raise MiaError(f"{self.path} has no pixels: its shape is {text_shape(self.first.shape)}.")
        if self.page.dtype is None or self.page.dtype.kind not in "buif":
            raise MiaError(f"{self.path} has pixels of type {self.page.dtype}, which is not read. Save it as float32.")
        if self.page.photometric not in (*_GREYS, _RGB, _PALETTE, _YCBCR):
            space = getattr(self.page.photometric, "name", self.page.photometric)
            raise MiaError(f"{self.path} is in the colour space {space}, which is not read. Save it as RGB.")

    def _check_extent(self, page: Any) -> None:
        ends = zip(page.dataoffsets, page.databytecounts, strict=False)
        if any(offset + count > page.parent.filehandle.size for offset, count in ends):
            raise self._truncated()

    # ---- reading ----------------------------------------------------------------------------------------------------

    def read(self, index: Shape) -> Array:
        number = int(np.ravel_multi_index(index, self.lead)) if self.lead else 0
        if self.whole:
            with self.lock:
                return _native(self.first.asarray())
        if self.offset is not None:
            return self._read_contiguous(number)
        return _native(self._read_page(number))

    def _read_contiguous(self, number: int) -> Array:
        stored = self.page.dtype.newbyteorder(self.file.byteorder)
        out = np.empty(self.page_shape, dtype=stored)
        rest = memoryview(out.reshape(-1).view(np.uint8).data)
        position = int(self.offset or 0) + number * out.nbytes
        while rest:
            count = os.preadv(self.raw.fileno(), [rest[: 1 << 30]], position)
            if count == 0:
                raise self._truncated()
            rest, position = rest[count:], position + count
        return _native(out)

    def _read_page(self, number: int) -> Array:
        with self.lock:
            page = self.first[number]
            if page is None:
                raise MiaError(
                    f"{self.path}: plane {number} is missing. Its OME metadata names a file that is not here."
                )
            page.parent.filehandle.open()
        self._check_extent(page)
        with _log_collected():
            return np.asarray(page.asarray(lock=self.lock, maxworkers=1))

    def close(self) -> None:
        with self.lock:
            self.file.close()
            self.raw.close()

    # ---- what it is -------------------------------------------------------------------------------------------------

    def source(self, indices: bool, unknown_axes: bool) -> Source:
        axes, guessed = self.first.axes, False
        if not unknown_axes:
            axes, guessed = settle(axes, self.first.shape, str(self.path))
        calibration, names = self._metadata()
        samples, rgb = self._samples(axes)
        kind = self.first.kind
        source = Source(
            axes=axes,
            shape=tuple(int(size) for size in self.first.shape),
            dtype=self.page.dtype.newbyteorder("="),
            page_ndim=len(self.page_shape),
            read=self.read,
            flavour={"imagej": "ImageJ", "ome": "OME-TIFF"}.get(kind, "TIFF"),
            axes_source="guess" if guessed else {"imagej": "imagej", "ome": "ome"}.get(kind, "file"),
            samples=samples,
            rgb=rgb,
            calibration=calibration,
            channel_names=names,
            warnings=self._warnings(),
            close=self.close,
        )
        if self.page.photometric == _PALETTE and kind != "imagej" and not indices and self.page.colormap is not None:
            return expand(source, _colours(self.page.colormap))
        return source

    def _samples(self, axes: str) -> tuple[int, bool]:
        """How many samples of the S axis are kept, and whether they are red, green and blue."""
        if "S" not in axes:
            return 1, False
        count = self.first.shape[axes.index("S")]
        colour = self.page.photometric in (_RGB, _YCBCR) and count in (3, 4)
        if colour:
            return 3, True
        alpha = sum(int(extra) in _ALPHA for extra in self.page.extrasamples)
        return max(1, count - alpha), False

    def _metadata(self) -> tuple[Calibration, tuple[str, ...]]:
        tags = {tag.name: tag.value for tag in self.page.tags if tag.name.endswith(("Resolution", "ResolutionUnit"))}
        if self.first.kind == "imagej":
            metadata = self.file.imagej_metadata or {}
            return imagej_calibration(metadata, tags), self._imagej_channels(metadata.get("Labels"))
        if self.first.kind == "ome":
            return ome_calibration(self.file.ome_metadata or "")
        return plain_calibration(tags), ()

    def _imagej_channels(self, labels: Any) -> tuple[str, ...]:
        """ImageJ's slice labels name channels only in an image whose slices are channels."""
        axes, shape = self.first.axes, self.first.shape
        if not isinstance(labels, list) or "C" not in axes or set(axes) & set("TZS"):
            return ()
        names = tuple(str(label).strip() for label in labels)
        return names if len(names) == shape[axes.index("C")] else ()

    def _warnings(self) -> tuple[str, ...]:
        found = []
        if len(self.series) > 1:
            found.append(f"the file holds {len(self.series)} images; the first one is shown")
        missing = sum(page is None for page in self.first._pages)
        if missing:
            found.append(f"{missing} of {len(self.first._pages)} planes are missing: OME metadata names absent files")
        return tuple(found)


def _native(array: Array) -> Array:
    """The same values in the machine's byte order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _colours(colormap: Array) -> Array:
    """A TIFF colour map (3, n) of 16-bit values as (n, 3) uint8. Writers scale by 257 or by 256: both shift back."""
    return (np.asarray(colormap).T >> 8).astype(np.uint8)


# ---- tifffile's log -------------------------------------------------------------------------------------------------


class _Collector(logging.Handler):
    """Keeps what tifffile logs off the terminal; a thread that asked for it gets the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        lines = getattr(self.local, "lines", None)
        if lines is not None and record.levelno >= logging.ERROR:
            lines.append(record.getMessage())


_collector = _Collector()


@contextmanager
def _log_collected() -> Iterator[list[str]]:
    """Collect the errors that tifffile logs in this thread; nothing of it reaches the terminal."""
    logger = logging.getLogger("tifffile")
    if _collector not in logger.handlers:
        logger.addHandler(_collector)
        logger.propagate = False
    outer = getattr(_collector.local, "lines", None)
    lines: list[str] = []
    _collector.local.lines = lines
    try:
        yield lines
    finally:
        _collector.local.lines = outer
