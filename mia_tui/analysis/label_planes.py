"""Label images in files: which planes a file has, and each as whole numbers."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.analysis.matching import as_labels
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image

Labels = NDArray[Any]


def places(image: Image) -> list[tuple[int, int, int]]:
    """(t, c, z) of every label image in a file. Channels are frames too: which axis pages are is often a guess."""
    t, c, z, *_ = image.info.sizes
    return list(product(range(t), range(1 if _is_picture(image) else c), range(z)))


def _is_picture(image: Image) -> bool:
    """Whether pixels have red, green and blue side by side. In separate planes they are rather three frames that
    tifffile, given no more than an array of (3, Y, X), wrote as colours."""
    return image.info.rgb and image.info.axes.endswith("S")


def label_plane(image: Image, t: int, c: int, z: int) -> Labels:
    """A (Y, X) label image of a file.

    Raises
    ------
    MiaError
        When it is a colour picture, or holds negative or fractional values.
    """
    path = image.info.path
    if not _is_picture(image):
        plane = image.channel(t, c, z)
    else:
        red, green, blue = image.plane(t, z)
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            raise MiaError(f"{path} is a colour picture. Save a label image with one channel: a number per object.")
        plane = red
    try:
        return as_labels(plane)
    except MiaError as error:
        raise MiaError(f"{path}: {error}") from None
