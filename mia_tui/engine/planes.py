"""Decoded planes: in memory as far as they fit, beyond that memory-mapped from a cache folder with a limit."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import psutil
from numpy.typing import NDArray

from mia_tui.engine.inputs import Inputs
from mia_tui.imaging.image import Image
from mia_tui.imaging.series import frame_files
from mia_tui.project import ImageRef
from mia_tui.storage import atomic_writer

RAM_SHARE = 0.25
"""Decoded images stay in memory up to this share of what is free, unless a limit is given."""

CACHE_LIMIT = 50 * 2**30
"""Bytes of decoded images kept in the cache folder; the longest unused go first."""


class PlaneCache:
    """Reads planes, and remembers how much memory is left for them."""

    def __init__(self, limit_gb: float | None = None) -> None:
        free = RAM_SHARE * psutil.virtual_memory().available
        self._left = free if limit_gb is None else limit_gb * 2**30
        self._stamps: dict[Path, str] = {}

    def read(self, image: Image, ref: ImageRef, frame: str, inputs: Inputs) -> NDArray[Any]:
        """The (C, Y, X) plane that a network sees of a frame: an array in memory, or a read-only memory map."""
        height, width = inputs.size(image.info.sizes[3], image.info.sizes[4])
        expected = inputs.channels * height * width * np.dtype(image.info.dtype).itemsize
        if expected <= self._left:
            plane = inputs.read(image, frame, ref.key)
            self._left -= plane.nbytes
            return plane
        path = cache_folder() / f"{self._fingerprint(image, ref.path, frame, inputs)}.npy"
        if not path.exists():
            plane = np.ascontiguousarray(inputs.read(image, frame, ref.key))
            with atomic_writer(path) as stream:
                np.save(stream, plane)
            prune_cache(path.parent, CACHE_LIMIT)
        os.utime(path)
        mapped: NDArray[Any] = np.load(path, mmap_mode="r")
        return mapped

    def keep(self, array: NDArray[Any]) -> NDArray[Any]:
        """The same array, in memory where it fits, else in a file that vanishes with the process."""
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            return array
        with tempfile.TemporaryFile(dir=cache_folder()) as stream:
            mapped: NDArray[Any] = np.memmap(stream, array.dtype, "w+", shape=array.shape)
        mapped[...] = array
        return mapped

    def _fingerprint(self, image: Image, path: Path, frame: str, inputs: Inputs) -> str:
        """Name of the file that holds a plane: another one when the image, its axes or the inputs are others."""
        if path not in self._stamps:
            self._stamps[path] = _stamp(path)
        text = f"{path.resolve()}|{self._stamps[path]}|{image.info}|{frame}|{inputs}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def cache_folder() -> Path:
    """Where decoded images are kept between trainings (`MIA_TUI_CACHE` overrides)."""
    base = os.environ.get("MIA_TUI_CACHE") or platformdirs.user_cache_dir("mia-tui")
    folder = Path(base) / "planes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prune_cache(folder: Path, limit: int) -> None:
    """Remove the longest unused files until the folder holds at most `limit` bytes."""
    files = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.npy")), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > limit:
            path.unlink(missing_ok=True)


def _stamp(path: Path) -> str:
    """Changes when an image file, or a file in a folder of frames, does."""
    stats = [(file.name, file.stat()) for file in (frame_files(path) if path.is_dir() else [path])]
    return "|".join(f"{name} {stat.st_mtime_ns} {stat.st_size}" for name, stat in stats)
