"""Writing what was found as files."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from mia_tui.storage import atomic_writer


def narrow(labels: NDArray[np.int32]) -> NDArray[Any]:
    """A label image as uint16 where its ids allow, else uint32."""
    return labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)


def write_tiff(path: Path, data: NDArray[Any]) -> None:
    """Write an array as a zlib-compressed TIFF, atomically."""
    with atomic_writer(path) as stream:
        tifffile.imwrite(stream, data, compression="zlib", photometric="minisblack")
